//! All controllers together against the in-memory API server.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod support;

use std::time::Duration;

use k3s_base::Clock;
use k3s_client::fake::FakeApi;
use k3s_client::resources::*;
use k3s_client::{DeleteParams, Patch};
use serde_json::{Value, json};
use support::{Cluster, cluster, cluster_at, ready};

fn node() -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1", "labels": {"kubernetes.io/os": "linux"},
        "annotations": {"k3s.io/internal-ip": "192.0.2.1", "k3s.io/hostname": "node-1"}},
        "spec": {"taints": [{"key": "node.cloudprovider.kubernetes.io/uninitialized", "effect": "NoSchedule", "value": "true"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}})
}

fn deployment(replicas: i64, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
        "spec": {"replicas": replicas, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10, "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image,
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]}]}}}})
}

fn images(api: &FakeApi) -> Vec<String> {
    let live = api
        .all(&PODS)
        .into_iter()
        .filter(|p| p["metadata"]["deletionTimestamp"].is_null());
    live.map(|p| {
        p["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned()
    })
    .collect()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let all = object["status"]["conditions"].as_array();
    all.and_then(|all| all.iter().find(|c| c["type"] == kind))
        .and_then(|c| c["status"].as_str())
        .unwrap_or("")
}

fn web(api: &FakeApi) -> Value {
    api.get(&DEPLOYMENTS, "n", "web").unwrap_or_default()
}

#[tokio::test]
async fn a_deployment_rolls_out_updates_rolls_back_scales_and_goes() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&DEPLOYMENTS, Some("n"), &deployment(3, "one"))
        .await
        .unwrap();
    let complete = |api: &FakeApi, n: i64| {
        let d = web(api);
        d["status"]["availableReplicas"] == n
            && d["status"]["updatedReplicas"] == n
            && d["status"]["replicas"] == n
    };
    cluster
        .live_until("three are available", |api| {
            complete(api, 3) && condition(&web(api), "Available") == "True"
        })
        .await;
    assert_eq!(
        web(&cluster.api)["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );

    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    let quiet = cluster.api.writes().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        cluster.api.writes().len(),
        quiet,
        "an idle cluster sees no write"
    );

    let image = |image: &str| {
        Patch::Strategic(
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}),
        )
    };
    client
        .patch(&DEPLOYMENTS, Some("n"), "web", &image("two"))
        .await
        .unwrap();
    cluster
        .live_until("all run the second image", |api| {
            complete(api, 3) && images(api) == ["two", "two", "two"]
        })
        .await;
    client
        .patch(&DEPLOYMENTS, Some("n"), "web", &image("one"))
        .await
        .unwrap();
    cluster
        .live_until("all are back at the first", |api| {
            complete(api, 3) && images(api) == ["one", "one", "one"]
        })
        .await;
    assert_eq!(
        web(&cluster.api)["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
    assert_eq!(
        cluster.api.all(&REPLICA_SETS).len(),
        2,
        "the first set was taken up again"
    );

    client
        .patch(
            &DEPLOYMENTS,
            Some("n"),
            "web",
            &Patch::Merge(json!({"spec": {"replicas": 5}})),
        )
        .await
        .unwrap();
    cluster
        .live_until("five are available", |api| complete(api, 5))
        .await;

    client
        .delete(&DEPLOYMENTS, Some("n"), "web", &DeleteParams::background())
        .await
        .unwrap();
    cluster
        .live_until("everything is gone", |api| {
            api.all(&REPLICA_SETS).is_empty() && api.all(&PODS).is_empty()
        })
        .await;
    assert!(cluster.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn orphaned_pods_stay_and_are_adopted_again() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&DEPLOYMENTS, Some("n"), &deployment(2, "one"))
        .await
        .unwrap();
    cluster
        .live_until("two run", |api| {
            web(api)["status"]["availableReplicas"] == 2
        })
        .await;
    let before: Vec<Value> = cluster
        .api
        .all(&PODS)
        .iter()
        .map(|p| p["metadata"]["uid"].clone())
        .collect();
    let orphan = DeleteParams::orphan();
    client
        .delete(&DEPLOYMENTS, Some("n"), "web", &orphan)
        .await
        .unwrap();
    cluster
        .until("the deployment is gone and its set free", |api| {
            let sets = api.all(&REPLICA_SETS);
            web(api).is_null()
                && sets.len() == 1
                && sets[0]["metadata"]["ownerReferences"]
                    .as_array()
                    .is_none_or(Vec::is_empty)
        })
        .await;
    client
        .create(&DEPLOYMENTS, Some("n"), &deployment(2, "one"))
        .await
        .unwrap();
    cluster
        .live_until("the set is adopted", |api| {
            web(api)["status"]["availableReplicas"] == 2
        })
        .await;
    let after: Vec<Value> = cluster
        .api
        .all(&PODS)
        .iter()
        .map(|p| p["metadata"]["uid"].clone())
        .collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn foreground_deletion_waits_for_dependents() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&DEPLOYMENTS, Some("n"), &deployment(1, "one"))
        .await
        .unwrap();
    cluster
        .live_until("one runs", |api| {
            web(api)["status"]["availableReplicas"] == 1
        })
        .await;
    let foreground = DeleteParams::foreground();
    client
        .delete(&DEPLOYMENTS, Some("n"), "web", &foreground)
        .await
        .unwrap();
    cluster
        .until("the pod is being deleted", |api| {
            api.all(&PODS)
                .iter()
                .all(|p| !p["metadata"]["deletionTimestamp"].is_null())
        })
        .await;
    assert!(!web(&cluster.api).is_null(), "the owner waits");
    cluster
        .live_until("all of it is gone", |api| {
            web(api).is_null() && api.all(&REPLICA_SETS).is_empty() && api.all(&PODS).is_empty()
        })
        .await;
}

#[tokio::test]
async fn a_service_follows_the_readiness_of_its_pods() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "n", "labels": {"a": "b"}},
        "spec": {"selector": {"app": "web"}, "clusterIP": "10.43.0.7", "ipFamilies": ["IPv4"], "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}]}});
    client.create(&SERVICES, Some("n"), &service).await.unwrap();
    client
        .create(&DEPLOYMENTS, Some("n"), &deployment(2, "one"))
        .await
        .unwrap();
    let serving = |api: &FakeApi, n: usize| {
        let slices = api.all(&ENDPOINT_SLICES);
        let ready = slices
            .iter()
            .flat_map(|s| s["endpoints"].as_array().cloned().unwrap_or_default())
            .filter(|e| e["conditions"]["ready"] == true);
        let endpoints = api.get(&ENDPOINTS, "n", "web").unwrap_or_default();
        ready.count() == n
            && endpoints["subsets"][0]["addresses"]
                .as_array()
                .map_or(0, Vec::len)
                == n
    };
    cluster.live_until("two serve", |api| serving(api, 2)).await;
    let slice = &cluster.api.all(&ENDPOINT_SLICES)[0];
    assert_eq!(slice["ports"][0]["port"], 8080);
    assert_eq!(
        slice["metadata"]["labels"]["kubernetes.io/service-name"],
        "web"
    );
    let name = cluster.api.all(&PODS)[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster.api.change(&PODS, "n", &name, |pod| {
        pod["status"]["conditions"][0]["status"] = "False".into()
    });
    cluster
        .until("one is out of rotation", |api| serving(api, 1))
        .await;
    client
        .delete(&SERVICES, Some("n"), "web", &DeleteParams::background())
        .await
        .unwrap();
    cluster
        .until("endpoints go with the service", |api| {
            api.all(&ENDPOINTS).is_empty() && api.all(&ENDPOINT_SLICES).is_empty()
        })
        .await;
}

#[tokio::test]
async fn a_namespace_is_furnished_and_emptied() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    cluster
        .until("account and CA are there", |api| {
            api.get(&SERVICE_ACCOUNTS, "n", "default").is_some()
                && api
                    .get(&CONFIG_MAPS, "n", "kube-root-ca.crt")
                    .is_some_and(|c| c["data"]["ca.crt"] == "PEM")
        })
        .await;
    client
        .create(&DEPLOYMENTS, Some("n"), &deployment(3, "one"))
        .await
        .unwrap();
    cluster
        .live_until("three run", |api| {
            web(api)["status"]["availableReplicas"] == 3
        })
        .await;
    client
        .delete(&NAMESPACES, None, "n", &DeleteParams::background())
        .await
        .unwrap();
    // The fake has no NamespaceLifecycle admission: refuse what it would refuse.
    cluster.api.fail(|asked| {
        let refused = asked.method == "POST" && asked.path.contains("/namespaces/n/");
        refused.then(|| {
            let gr = k3s_meta::GroupResource::new("", "x");
            let text = "unable to create new content in namespace n because it is being terminated";
            let mut status = k3s_meta::Status::forbidden(&gr, "x", text);
            let cause = k3s_meta::Cause {
                reason: k3s_meta::CauseType::NAMESPACE_TERMINATING,
                message: "namespace n is being terminated".into(),
                field: "metadata.namespace".into(),
            };
            status.details.get_or_insert_default().causes.push(cause);
            status
        })
    });
    cluster
        .live_until("the namespace is gone", |api| {
            api.get(&NAMESPACES, "", "n").is_none()
        })
        .await;
    assert!(cluster.api.all(&PODS).is_empty() && cluster.api.all(&CONFIG_MAPS).is_empty());
}

#[tokio::test]
async fn a_node_gets_its_network_addresses_and_daemons() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    cluster.api.seed(&NODES, node());
    cluster
        .until("the node is furnished", |api| {
            let node = api.get(&NODES, "", "node-1").unwrap_or_default();
            node["spec"]["podCIDR"] == "10.42.0.0/24"
                && node["spec"]["providerID"] == "k3s://node-1"
                && node["status"]["addresses"][0]["address"] == "192.0.2.1"
                && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
        })
        .await;
    let daemon = |image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "n"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}})
    };
    client
        .create(&DAEMON_SETS, Some("n"), &daemon("one"))
        .await
        .unwrap();
    let done = |api: &FakeApi| {
        let d = api.get(&DAEMON_SETS, "n", "d").unwrap_or_default();
        d["status"]["numberAvailable"] == 1 && d["status"]["updatedNumberScheduled"] == 1
    };
    cluster.live_until("the daemon runs", |api| done(api)).await;
    client
        .patch(&DAEMON_SETS, Some("n"), "d", &Patch::Merge(daemon("two")))
        .await
        .unwrap();
    cluster
        .live_until("the daemon is updated", |api| {
            done(api) && images(api) == ["two"]
        })
        .await;
    assert_eq!(cluster.api.all(&CONTROLLER_REVISIONS).len(), 2);
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
}

fn job(spec: Value) -> Value {
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "n"},
        "spec": {"parallelism": 2, "completions": 3, "backoffLimit": 6, "selector": {"matchLabels": {"batch.kubernetes.io/job-name": "j"}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/job-name": "j"}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    job["spec"]
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    job
}

async fn run_job(
    cluster: &Cluster,
    phase: &str,
    code: i64,
    what: &str,
    condition: impl Fn(&Value) -> bool,
) {
    let status = json!({"phase": phase, "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"}}}]});
    for _ in 0..1000 {
        cluster.run_pods("n", &status);
        cluster.reap_pods();
        if condition(&cluster.api.get(&JOBS, "n", "j").unwrap_or_default()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!(
        "never came true: {what}\njob: {:#?}\nwrites: {:#?}",
        cluster.api.get(&JOBS, "n", "j"),
        cluster.api.writes()
    );
}

#[tokio::test]
async fn a_job_completes_with_an_exact_count_and_leaves_no_finalizer() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&JOBS, Some("n"), &job(json!({})))
        .await
        .unwrap();
    run_job(&cluster, "Succeeded", 0, "complete", |j| {
        condition(j, "Complete") == "True"
    })
    .await;
    let done = cluster.api.get(&JOBS, "n", "j").unwrap();
    assert_eq!(done["status"]["succeeded"], 3);
    assert!(done["status"]["completionTime"].is_string());
    let pods = cluster.api.all(&PODS);
    assert_eq!(pods.len(), 3);
    assert!(pods.iter().all(|p| {
        p["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
    }));
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
}

#[tokio::test]
async fn an_indexed_job_runs_each_index_and_a_failing_one_ends() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&JOBS, Some("n"), &job(json!({"completionMode": "Indexed"})))
        .await
        .unwrap();
    run_job(&cluster, "Succeeded", 0, "complete", |j| {
        condition(j, "Complete") == "True"
    })
    .await;
    assert_eq!(
        cluster.api.get(&JOBS, "n", "j").unwrap()["status"]["completedIndexes"],
        "0-2"
    );
    client
        .delete(&JOBS, Some("n"), "j", &DeleteParams::background())
        .await
        .unwrap();
    cluster
        .live_until("all is collected", |api| {
            api.all(&JOBS).is_empty() && api.all(&PODS).is_empty()
        })
        .await;
    client
        .create(
            &JOBS,
            Some("n"),
            &job(json!({"backoffLimit": 0, "completions": 1, "parallelism": 1})),
        )
        .await
        .unwrap();
    run_job(&cluster, "Failed", 1, "failed", |j| {
        condition(j, "Failed") == "True"
    })
    .await;
    let failed = cluster.api.get(&JOBS, "n", "j").unwrap();
    assert_eq!(failed["status"]["failed"], 1);
}

#[tokio::test]
async fn a_job_deleted_under_running_pods_leaves_none_behind() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&JOBS, Some("n"), &job(json!({})))
        .await
        .unwrap();
    cluster
        .live_until("two run", |api| api.all(&PODS).len() == 2)
        .await;
    client
        .delete(&JOBS, Some("n"), "j", &DeleteParams::background())
        .await
        .unwrap();
    cluster
        .live_until("pods are gone", |api| api.all(&PODS).is_empty())
        .await;
}

#[tokio::test]
async fn a_silent_node_becomes_unknown_after_grace_and_its_intolerant_pods_leave() {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = cluster_at(clock.clone()).await;
    let mut node = node();
    node["spec"] = json!({});
    cluster.api.seed(&NODES, node);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "node-1", "namespace": "kube-node-lease"},
        "spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}});
    cluster.api.seed(&LEASES, lease);
    let pod = |name: &str, tolerations: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n"},
        "spec": {"nodeName": "node-1", "tolerations": tolerations}, "status": ready()})
    };
    cluster.api.seed(&PODS, pod("leaves", json!([])));
    cluster
        .api
        .seed(&PODS, pod("stays", json!([{"operator": "Exists"}])));
    // The lease is years old, but this process has only just begun to listen.
    let touch = |n: u32| {
        cluster.api.change(&NODES, "", "node-1", |node| {
            node["metadata"]["labels"]["touched"] = n.to_string().into()
        })
    };
    cluster
        .until("the node is known", |api| {
            api.get(&NODES, "", "node-1")
                .is_some_and(|n| n["spec"]["podCIDR"].is_string())
        })
        .await;
    assert!(cluster.api.settles(Duration::from_millis(200)).await);
    clock.advance(Duration::from_secs(40));
    touch(1);
    assert!(cluster.api.settles(Duration::from_millis(200)).await);
    assert_eq!(
        condition(&cluster.api.get(&NODES, "", "node-1").unwrap(), "Ready"),
        "True"
    );
    clock.advance(Duration::from_secs(20));
    touch(2);
    cluster
        .until("the node is unknown and tainted", |api| {
            let node = api.get(&NODES, "", "node-1").unwrap();
            condition(&node, "Ready") == "Unknown"
                && node["spec"]["taints"]
                    .as_array()
                    .is_some_and(|t| t.len() == 2)
        })
        .await;
    let deleting = |api: &FakeApi, name: &str| {
        api.get(&PODS, "n", name)
            .is_none_or(|p| !p["metadata"]["deletionTimestamp"].is_null())
    };
    cluster
        .until("the intolerant pod leaves", |api| deleting(api, "leaves"))
        .await;
    assert!(!deleting(&cluster.api, "stays"));
    assert_eq!(
        condition(&cluster.api.get(&PODS, "n", "stays").unwrap(), "Ready"),
        "False"
    );
}

#[tokio::test]
async fn only_objects_without_any_living_owner_are_collected() {
    let cluster = cluster().await;
    let owner = cluster.api.seed(
        &CONFIG_MAPS,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": "n"}}),
    );
    let owned = |name: &str, owners: &[&str]| {
        let references: Vec<Value> = owners
            .iter()
            .map(
                |uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}),
            )
            .collect();
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "n", "ownerReferences": references}})
    };
    let uid = owner["metadata"]["uid"].as_str().unwrap();
    cluster.api.seed(&SECRETS, owned("held", &[uid]));
    cluster.api.seed(&SECRETS, owned("half", &[uid, "gone"]));
    cluster.api.seed(&SECRETS, owned("namesake", &["gone"]));
    let unknown = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "unknown-kind", "namespace": "n",
        "ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Thing", "name": "t", "uid": "t"}]}});
    cluster.api.seed(&SECRETS, unknown);
    cluster
        .until("the namesake's dependent is gone", |api| {
            api.get(&SECRETS, "n", "namesake").is_none()
        })
        .await;
    cluster
        .until("the dead reference is dropped", |api| {
            api.get(&SECRETS, "n", "half").is_some_and(|s| {
                s["metadata"]["ownerReferences"]
                    .as_array()
                    .is_some_and(|r| r.len() == 1)
            })
        })
        .await;
    assert!(
        cluster.api.get(&SECRETS, "n", "held").is_some()
            && cluster.api.get(&SECRETS, "n", "unknown-kind").is_some()
    );
    cluster.api.remove(&CONFIG_MAPS, "n", "owner");
    cluster
        .until("all dependents go with the owner", |api| {
            api.get(&SECRETS, "n", "held").is_none() && api.get(&SECRETS, "n", "half").is_none()
        })
        .await;
    assert!(cluster.api.get(&SECRETS, "n", "unknown-kind").is_some());
}

#[tokio::test]
async fn a_tolerated_taint_without_a_time_counts_from_its_first_sight() {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = cluster_at(clock.clone()).await;
    cluster.api.seed(&NODES, node());
    cluster.api.seed(
        &PODS,
        json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1", "containers": [],
            "tolerations": [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2}]}, "status": {"phase": "Running"}}),
    );
    cluster.api.change(&NODES, "", "node-1", |node| {
        node["spec"]["taints"] = json!([{"key": "k", "effect": "NoExecute"}]);
    });
    let deleted = |api: &FakeApi| {
        let pod = api.get(&PODS, "n", "p").unwrap();
        !pod["metadata"]["deletionTimestamp"].is_null()
    };
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    // Another try meanwhile does not start the time again.
    clock.advance(Duration::from_secs(1));
    cluster.api.change(&PODS, "n", "p", |pod| {
        pod["spec"]["tolerations"][0]["tolerationSeconds"] = json!(3);
    });
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert!(!deleted(&cluster.api));
    clock.advance(Duration::from_secs(2));
    cluster.until("the pod leaves", deleted).await;
}

#[tokio::test]
async fn a_token_secret_is_filled_and_goes_with_its_account() {
    let cluster = cluster().await;
    let account = json!({"metadata": {"name": "robot", "namespace": "n"}});
    cluster.api.seed(&SERVICE_ACCOUNTS, account.clone());
    let secret = json!({"metadata": {"name": "robot", "namespace": "n",
        "annotations": {"kubernetes.io/service-account.name": "robot"}}, "type": "kubernetes.io/service-account-token"});
    cluster.api.seed(&SECRETS, secret.clone());
    let token = |api: &FakeApi| {
        let secret = api.get(&SECRETS, "n", "robot").unwrap_or_default();
        let has_all = ["ca.crt", "namespace", "token"]
            .iter()
            .all(|key| secret["data"][key].is_string());
        has_all.then(|| secret["data"]["token"].as_str().unwrap().to_owned())
    };
    cluster
        .until("the secret is filled", |api| token(api).is_some())
        .await;
    let first = token(&cluster.api);
    cluster.api.change(&SECRETS, "n", "robot", |secret| {
        secret["data"]["ca.crt"] = json!("eA==");
    });
    cluster
        .until("the CA is put right", |api| {
            api.get(&SECRETS, "n", "robot").unwrap()["data"]["ca.crt"] != "eA=="
        })
        .await;
    assert_eq!(token(&cluster.api), first);
    cluster.api.remove(&SERVICE_ACCOUNTS, "n", "robot");
    cluster
        .until("the secret goes with its account", |api| {
            api.get(&SECRETS, "n", "robot").is_none()
        })
        .await;
    // An account of the same name is another one.
    cluster.api.seed(&SERVICE_ACCOUNTS, account);
    cluster.api.seed(&SECRETS, secret);
    cluster
        .until("another token", |api| {
            token(api).is_some_and(|new| Some(new) != first)
        })
        .await;
}
