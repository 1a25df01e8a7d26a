//! The kubelet's behaviour between an API server and a runtime that both live in memory. Needs root:
//! cgroups and tmpfs are real.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod resize;
mod restarts;
mod support;

use k3s_client::resources;
use serde_json::{Value, json};
use support::Bench;

pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let list = object["status"]["conditions"].as_array();
    list.and_then(|l| l.iter().find(|c| c["type"] == kind))
        .unwrap_or(&Value::Null)
}

pub fn ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_registers_and_runs_a_pod_to_its_end() {
    let bench = Bench::start().await;
    bench
        .until("node Ready", || {
            bench
                .api
                .get(&resources::NODES, "", "node1")
                .is_some_and(|n| condition(&n, "Ready")["status"] == "True")
        })
        .await;
    let node = bench.api.get(&resources::NODES, "", "node1").unwrap();
    assert_eq!(node["spec"]["providerID"], "k3s://node1");
    assert_eq!(
        node["metadata"]["labels"]["node.kubernetes.io/instance-type"],
        "k3s"
    );
    assert_eq!(
        node["metadata"]["annotations"]["k3s.io/internal-ip"],
        "192.0.2.10"
    );
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.36.0+k3s1");
    bench
        .until("lease", || {
            bench
                .api
                .get(&resources::LEASES, "kube-node-lease", "node1")
                .is_some()
        })
        .await;

    bench.pod(
        "web",
        json!({"containers": [{"name": "c", "image": "app:1", "env": [
        {"name": "A", "value": "1"}, {"name": "B", "value": "x$(A)"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}]}),
    );
    let pod = bench.pod_until("web", "Ready", ready).await;
    let status = &pod["status"];
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["qosClass"], "BestEffort");
    assert_eq!(status["hostIP"], "192.0.2.10");
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(
        condition(&pod, "PodReadyToStartContainers")["status"],
        "True"
    );
    let container = &status["containerStatuses"][0];
    assert!(
        container["containerID"]
            .as_str()
            .unwrap()
            .starts_with("fake://container")
    );
    assert_eq!(
        (
            &container["ready"],
            &container["started"],
            &container["restartCount"]
        ),
        (&json!(true), &json!(true), &json!(0))
    );
    let (_, config) = bench.cri.newest("c").unwrap();
    let env = |name: &str| {
        config
            .envs
            .iter()
            .find(|e| e.key == name)
            .map(|e| e.value.clone())
    };
    assert_eq!(env("B").as_deref(), Some("x1"));
    assert_eq!(env("IP").as_deref(), status["podIP"].as_str());
    bench
        .until("events", || {
            ["Pulled", "Created", "Started"]
                .iter()
                .all(|r| !bench.events(r).is_empty())
        })
        .await;

    let dir = bench.pod_dir("web");
    bench.delete("web");
    bench
        .until("the pod gone from the API", || bench.get("web").is_none())
        .await;
    assert!(bench.cri.is_empty() && !dir.exists());
    assert!(bench.cri.calls().contains(&"stop c".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_pod_causes_no_writes() {
    let bench = Bench::start().await;
    bench.pod(
        "web",
        json!({"containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("web", "Ready", ready).await;
    assert!(
        bench
            .api
            .settles(std::time::Duration::from_millis(500))
            .await
    );
    let writes = bench.api.writes();
    let patches = writes
        .iter()
        .filter(|w| w.contains("/pods/web/status"))
        .count();
    assert!(patches <= 3, "{writes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashing_container_backs_off_and_shows_its_last_end() {
    let bench = Bench::start().await;
    bench.pod(
        "bad",
        json!({"containers": [{"name": "c", "image": "app:1", "command": ["exit", "3"]}]}),
    );
    let pod = bench
        .pod_until("bad", "CrashLoopBackOff", |p| {
            p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        })
        .await;
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["restartCount"], 1);
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 3);
    let message = container["state"]["waiting"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("back-off 10s restarting failed container=c pod=bad_default("),
        "{message}"
    );
    assert_eq!(pod["status"]["phase"], "Running");
    bench
        .until("event", || !bench.events("BackOff").is_empty())
        .await;
    let (code, log) = bench
        .http("/containerLogs/default/bad/c?previous=true", Some("good"))
        .await;
    assert_eq!((code, log.as_str()), (200, "hello\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_pod_succeeds_and_frees_what_it_held() {
    let bench = Bench::start().await;
    bench.pod("job", json!({"restartPolicy": "Never", "initContainers": [{"name": "first", "image": "app:1", "command": ["exit", "0"]}],
        "containers": [{"name": "c", "image": "app:1", "command": ["exit", "0"]}], "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}));
    let pod = bench
        .pod_until("job", "Succeeded", |p| p["status"]["phase"] == "Succeeded")
        .await;
    assert_eq!(condition(&pod, "Ready")["reason"], "PodCompleted");
    assert_eq!(pod["status"]["initContainerStatuses"][0]["ready"], true);
    let order: Vec<_> = bench
        .cri
        .calls()
        .into_iter()
        .filter(|c| c.starts_with("start"))
        .collect();
    assert_eq!(order, ["start first", "start c"]);
    let volumes = bench.pod_dir("job").join("volumes");
    bench.until("volumes gone", || !volumes.exists()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_pod_keeps_its_address() {
    let bench = Bench::start().await;
    bench.pod(
        "job",
        json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "app:1", "command": ["exit", "0"]}]}),
    );
    let pod = bench
        .pod_until("job", "Succeeded", |p| p["status"]["phase"] == "Succeeded")
        .await;
    let address = &pod["status"]["podIP"];
    assert!(address.is_string(), "{pod}");
    let volumes = bench.pod_dir("job").join("volumes");
    bench
        .until("what it held given back", || !volumes.exists())
        .await;
    bench.api.change(&resources::PODS, "default", "job", |p| {
        p["metadata"]["generation"] = json!(2);
    });
    let again = bench
        .pod_until("job", "another sync", |p| {
            p["status"]["observedGeneration"] == 2
        })
        .await;
    assert_eq!(&again["status"]["podIP"], address);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_that_passes_after_the_end_does_not_fail_the_pod() {
    let bench = Bench::start().await;
    let status = json!({"phase": "Succeeded", "startTime": "2020-01-01T00:00:00Z"});
    bench.api.seed(
        &resources::PODS,
        json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "job", "namespace": "default", "generation": 1}, "status": status,
        "spec": {"nodeName": "node1", "restartPolicy": "Never", "activeDeadlineSeconds": 1,
            "containers": [{"name": "c", "image": "app:1"}]}}),
    );
    let pod = bench
        .pod_until("job", "a sync", |p| p["status"]["observedGeneration"] == 1)
        .await;
    assert_eq!(pod["status"]["phase"], "Succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let bench = Bench::start().await;
    bench.pod("job", json!({"restartPolicy": "Never", "initContainers": [{"name": "first", "image": "app:1", "command": ["exit", "2"]}],
        "containers": [{"name": "c", "image": "app:1"}]}));
    bench
        .pod_until("job", "Failed", |p| p["status"]["phase"] == "Failed")
        .await;
    assert!(!bench.cri.calls().contains(&"start c".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_adopts_running_containers_and_removes_orphans() {
    let mut bench = Bench::start().await;
    for name in ["web", "orphan"] {
        bench.pod(
            name,
            json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": name, "image": "app:1",
            "readinessProbe": {"exec": {"command": ["check"]}, "periodSeconds": 1}}]}),
        );
        bench.pod_until(name, "Ready", ready).await;
    }
    let before = bench.cri.newest("web").unwrap().0;
    bench.restart().await;
    // Between the two processes nothing happened; now one of the pods ends without an event.
    bench.api.remove(&resources::PODS, "default", "orphan");
    bench
        .until("orphan removed", || bench.cri.newest("orphan").is_none())
        .await;
    bench.pod_until("web", "Ready", ready).await;
    assert_eq!(bench.cri.newest("web").unwrap().0, before);
    let calls = bench.cri.calls();
    assert_eq!(
        calls.iter().filter(|c| *c == "create web").count(),
        1,
        "{calls:?}"
    );
    assert!(!calls.contains(&"stop web".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_change_reaches_the_file_and_tokens_are_projected() {
    let bench = Bench::start().await;
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": {"key": value}});
    bench.pod(
        "web",
        json!({"serviceAccountName": "default", "containers": [{"name": "c", "image": "app:1", "volumeMounts": [
            {"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/one", "subPath": "key"}]}],
        "volumes": [{"name": "v", "configMap": {"name": "m"}},
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]}),
    );
    bench
        .until("FailedMount", || {
            bench
                .events("FailedMount")
                .iter()
                .any(|m| m.contains("configmap \"m\" not found"))
        })
        .await;
    bench.api.seed(&resources::CONFIG_MAPS, map("one"));
    bench.pod_until("web", "Ready", ready).await;
    let volumes = bench.pod_dir("web").join("volumes");
    let file = volumes.join("kubernetes.io~configmap/v/key");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
    assert_eq!(
        std::fs::read_to_string(volumes.join("kubernetes.io~projected/t/token")).unwrap(),
        "jwt"
    );
    let (_, config) = bench.cri.newest("c").unwrap();
    let sub_path = config
        .mounts
        .iter()
        .find(|m| m.container_path == "/one")
        .unwrap();
    assert_eq!(std::fs::read_to_string(&sub_path.host_path).unwrap(), "one");
    assert!(
        config
            .mounts
            .iter()
            .find(|m| m.container_path == "/v")
            .unwrap()
            .readonly
    );
    bench
        .api
        .change(&resources::CONFIG_MAPS, "default", "m", |m| {
            m["data"]["key"] = json!("two")
        });
    bench
        .until("the new content", || {
            std::fs::read_to_string(&file).is_ok_and(|t| t == "two")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_gate_readiness_and_restart_the_container() {
    let bench = Bench::start().await;
    bench.cri.set_exec_exit("c", 1);
    let probe = json!({"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 1});
    bench.pod("web", json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "c", "image": "app:1", "readinessProbe": probe}]}));
    bench
        .until("Unhealthy", || {
            bench
                .events("Unhealthy")
                .iter()
                .any(|m| m == "Readiness probe failed: said no")
        })
        .await;
    assert!(!ready(&bench.get("web").unwrap()));
    bench.cri.set_exec_exit("c", 0);
    bench.pod_until("web", "Ready", ready).await;

    bench.cri.set_exec_exit("live", 1);
    bench.pod("sick", json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "live", "image": "app:1", "livenessProbe": probe}]}));
    bench
        .pod_until("sick", "a restart", |p| {
            p["status"]["containerStatuses"][0]["restartCount"] == 1
        })
        .await;
    bench
        .until("Killing", || {
            bench
                .events("Killing")
                .iter()
                .any(|m| m == "Container live failed liveness probe, will be restarted")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_honoured_or_pulled_says_so() {
    let bench = Bench::start().await;
    bench.pod(
        "userns",
        json!({"hostUsers": false, "containers": [{"name": "c", "image": "app:1"}]}),
    );
    let pod = bench
        .pod_until("userns", "Failed", |p| p["status"]["phase"] == "Failed")
        .await;
    assert_eq!(pod["status"]["reason"], "UserNamespacesNotSupported");
    bench.delete("userns");
    bench.until("gone", || bench.get("userns").is_none()).await;

    bench.pod(
        "missing",
        json!({"containers": [{"name": "c", "image": "other:1"}]}),
    );
    let waits = |p: &Value, reason: &str| {
        p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
    };
    bench
        .pod_until("missing", "ErrImagePull", |p| waits(p, "ErrImagePull"))
        .await;
    let (code, text) = bench
        .http("/containerLogs/default/missing/c", Some("good"))
        .await;
    assert_eq!(
        (code, text.as_str()),
        (
            400,
            "container \"c\" in pod \"missing\" is waiting to start: image can't be pulled"
        )
    );
    bench.pod(
        "root",
        json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench
        .pod_until("root", "CreateContainerConfigError", |p| {
            waits(p, "CreateContainerConfigError")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_lets_in_only_who_may() {
    let bench = Bench::start().await;
    bench.pod(
        "web",
        json!({"containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("web", "Ready", ready).await;
    assert_eq!(bench.http("/pods", None).await.0, 401);
    assert_eq!(bench.http("/pods", Some("bad")).await.0, 401);
    let (code, text) = bench.http("/stats/summary", Some("good")).await;
    assert_eq!(
        (code, text.as_str()),
        (
            403,
            "Forbidden (user=somebody, verb=get, resource=nodes, subresource(1)=[\"stats\"])"
        )
    );
    let (code, text) = bench.http("/pods", Some("good")).await;
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &list["items"][0]["metadata"]["name"]),
        (200, &json!("web"))
    );
    assert_eq!(
        bench
            .http("/containerLogs/default/web/c?timestamps=true", Some("good"))
            .await
            .1,
        "2026-01-01T00:00:00Z hello\n"
    );
    assert_eq!(
        bench.http("/healthz", Some("good")).await,
        (200, "ok".to_owned())
    );
    assert!(
        bench
            .http("/metrics", Some("good"))
            .await
            .1
            .contains("kubelet_running_pods 1")
    );
    assert_eq!(bench.http("/nope", Some("good")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_pod_runs_and_has_a_mirror() {
    let bench = Bench::start().await;
    let file = bench.dir.join("manifests/a.yaml");
    bench
        .until("directory", || bench.dir.join("manifests").exists())
        .await;
    std::fs::write(&file, "kind: Pod\nmetadata: {name: st}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers: [{name: s, image: 'app:1'}]\n").unwrap();
    let mirror = bench.pod_until("st-node1", "a ready mirror", ready).await;
    assert_eq!(mirror["metadata"]["ownerReferences"][0]["kind"], "Node");
    std::fs::remove_file(&file).unwrap();
    bench
        .until("mirror gone", || bench.get("st-node1").is_none())
        .await;
    bench.until("container gone", || bench.cri.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_with_a_finalizer_is_deleted_once_by_the_node_and_then_waited_for() {
    let mut bench = Bench::start().await;
    bench.pod(
        "kept",
        json!({"containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("kept", "Ready", ready).await;
    bench
        .api
        .change(&resources::PODS, "default", "kept", |pod| {
            pod["metadata"]["finalizers"] = json!(["example.com/keep"]);
        });
    bench.delete("kept");
    let deletions = |bench: &Bench| {
        let writes = bench.api.writes();
        writes
            .iter()
            .filter(|w| w.starts_with("DELETE ") && w.ends_with("/pods/kept"))
            .count()
    };
    bench
        .until("the node's deletion", || deletions(&bench) > 0)
        .await;
    assert!(bench.cri.is_empty());
    let quiet = std::time::Duration::from_millis(500);
    assert!(bench.api.settles(quiet).await, "{:?}", bench.api.writes());
    assert_eq!(deletions(&bench), 1);
    // A change of what is left concerns the node as little.
    bench
        .api
        .change(&resources::PODS, "default", "kept", |pod| {
            pod["metadata"]["labels"] = json!({"a": "b"});
        });
    assert!(bench.api.settles(quiet).await);
    assert_eq!(deletions(&bench), 1);
    // A kubelet that starts again cannot know: it does its part once more.
    bench.restart().await;
    bench
        .until("the new node's deletion", || deletions(&bench) > 1)
        .await;
    assert!(bench.api.settles(quiet).await);
    assert_eq!(deletions(&bench), 2);
    // The name is free for another pod once the object is deleted.
    bench.api.remove(&resources::PODS, "default", "kept");
    bench.pod(
        "kept",
        json!({"containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("kept", "Ready", ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_admitted_by_the_node_that_its_scheduler_saw() {
    let bench = Bench::start().await;
    bench.pod(
        "first",
        json!({"containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("first", "Ready", ready).await;
    bench.api.change(&resources::NODES, "", "node1", |node| {
        node["metadata"]["labels"]["disk"] = json!("ssd");
    });
    bench.pod(
        "picky",
        json!({"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("picky", "Ready", ready).await;
    bench.pod(
        "misplaced",
        json!({"nodeSelector": {"disk": "tape"}, "containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench
        .pod_until("misplaced", "refused", |p| {
            p["status"]["reason"] == "NodeAffinity"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_decided_about_a_pod_while_the_node_cannot_be_read() {
    let bench = Bench::start().await;
    bench.pod(
        "first",
        json!({"containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("first", "Ready", ready).await;
    bench.api.change(&resources::NODES, "", "node1", |node| {
        node["metadata"]["labels"]["disk"] = json!("ssd");
    });
    let refused = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = refused.clone();
    bench.api.fail(move |asked| {
        let is_node = asked.method == "GET" && asked.path.ends_with("/nodes/node1");
        let fails = is_node && counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
        fails.then(|| k3s_meta::Status::bad_request("not now"))
    });
    bench.pod(
        "picky",
        json!({"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("picky", "Ready", ready).await;
    assert!(refused.load(std::sync::atomic::Ordering::SeqCst) >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_that_others_advertise_are_counted_and_those_of_nobody_are_not_the_nodes() {
    let bench = Bench::start().await;
    let dongle = |name: &str| json!({"containers": [{"name": "c", "image": "app:1", "resources": {"requests": {name: "1"}}}]});
    bench.pod("cluster-wide", dongle("example.com/unknown"));
    bench.pod_until("cluster-wide", "Ready", ready).await;
    bench.api.change(&resources::NODES, "", "node1", |node| {
        for list in ["capacity", "allocatable"] {
            node["status"][list]["example.com/dongle"] = json!("1");
        }
    });
    // The kubelet has not seen it, so that room can only be found by reading the Node.
    bench.pod("one", dongle("example.com/dongle"));
    bench.pod_until("one", "Ready", ready).await;
    bench.api.change(&resources::NODES, "", "node1", |node| {
        node["metadata"]["labels"]["seen"] = json!("yes");
    });
    bench.pod(
        "reader",
        json!({"nodeSelector": {"seen": "yes"}, "containers": [{"name": "c", "image": "app:1"}]}),
    );
    bench.pod_until("reader", "Ready", ready).await;
    bench.pod("two", dongle("example.com/dongle"));
    bench
        .pod_until("two", "refused", |p| {
            p["status"]["reason"] == "OutOfexample.com/dongle"
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_was_deleted_or_blanked_shows_the_status_again() {
    let bench = Bench::start().await;
    let manifest = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "st", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "app:1"}]}});
    let path = bench.dir.join("manifests/st.yaml");
    bench
        .until("manifest folder", || path.parent().unwrap().exists())
        .await;
    std::fs::write(&path, manifest.to_string()).unwrap();
    let first = bench.pod_until("st-node1", "a ready mirror", ready).await;
    bench.delete("st-node1");
    let again = |pod: &Value| ready(pod) && pod["metadata"]["uid"] != first["metadata"]["uid"];
    bench
        .pod_until("st-node1", "another ready mirror", again)
        .await;
    bench
        .api
        .change(&resources::PODS, "default", "st-node1", |pod| {
            pod["status"] = json!({"phase": "Pending"});
        });
    bench.pod_until("st-node1", "its status again", ready).await;
    assert!(
        bench
            .api
            .settles(std::time::Duration::from_millis(500))
            .await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_pulled_with_a_secret_is_not_for_pods_without_it() {
    const IMAGE: &str = "private.example/app:1";
    let bench = Bench::start().await;
    bench.cri.offer(IMAGE, Some("tenant"));
    // {"auths":{"private.example":{"username":"tenant","password":"p"}}}
    let auths =
        "eyJhdXRocyI6eyJwcml2YXRlLmV4YW1wbGUiOnsidXNlcm5hbWUiOiJ0ZW5hbnQiLCJwYXNzd29yZCI6InAifX19";
    bench.api.seed(
        &resources::SECRETS,
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "pull", "namespace": "default"}, "data": {".dockerconfigjson": auths}}),
    );
    let pod = |name: &str, secrets: Value| {
        let container = json!({"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent"});
        bench.pod(
            name,
            json!({"imagePullSecrets": secrets, "containers": [container]}),
        );
    };
    pod("owner", json!([{"name": "pull"}]));
    bench.pod_until("owner", "Ready", ready).await;
    pod("stranger", json!([]));
    bench
        .pod_until("stranger", "a failed pull", |pod| {
            let state = &pod["status"]["containerStatuses"][0]["state"];
            state["waiting"]["reason"] == "ErrImagePull"
        })
        .await;
    // Whoever shows the same needs no registry.
    bench.cri.offer(IMAGE, None);
    pod("second", json!([{"name": "pull"}]));
    bench.pod_until("second", "Ready", ready).await;
}
