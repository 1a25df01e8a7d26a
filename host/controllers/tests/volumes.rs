//! StatefulSets, claims and volumes against the in-memory API server.

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

use k3s_client::fake::FakeApi;
use k3s_client::resources::*;
use k3s_client::{DeleteParams, Patch};
use serde_json::{Value, json};
use support::cluster;

fn set(replicas: i64, image: &str, extra: &Value) -> Value {
    let mut set = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "n"},
        "spec": {"replicas": replicas, "serviceName": "db", "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
            "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}});
    k3s_meta::patch::merge_patch(&mut set, extra).unwrap();
    set
}

fn with_claims(policy: &Value) -> Value {
    json!({"spec": {"persistentVolumeClaimRetentionPolicy": policy, "volumeClaimTemplates": [{"metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s", "resources": {"requests": {"storage": "1Gi"}}}}]}})
}

fn db(api: &FakeApi) -> Value {
    api.get(&STATEFUL_SETS, "n", "db").unwrap_or_default()
}

/// Pods by name with their images; those on their way out are marked.
fn pods(api: &FakeApi) -> Vec<String> {
    let shown = |pod: &Value| {
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap();
        let mark = if pod["metadata"]["deletionTimestamp"].is_null() {
            ""
        } else {
            " leaving"
        };
        format!(
            "{} {image}{mark}",
            pod["metadata"]["name"].as_str().unwrap()
        )
    };
    api.all(&PODS).iter().map(shown).collect()
}

fn complete(api: &FakeApi, replicas: i64) -> bool {
    let status = &db(api)["status"];
    status["readyReplicas"] == replicas
        && status["replicas"] == replicas
        && status["updatedReplicas"] == replicas
        && status["currentRevision"] == status["updateRevision"]
        && status["observedGeneration"] == db(api)["metadata"]["generation"]
}

fn claim(name: &str, extra: &Value) -> Value {
    let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "n"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s", "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"}});
    k3s_meta::patch::merge_patch(&mut claim, extra).unwrap();
    claim
}

fn volume(name: &str, extra: &Value) -> Value {
    let mut volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "s", "capacity": {"storage": "2Gi"},
            "hostPath": {"path": "/tmp/x"}, "persistentVolumeReclaimPolicy": "Retain"},
        "status": {"phase": "Pending"}});
    k3s_meta::patch::merge_patch(&mut volume, extra).unwrap();
    volume
}

fn phase(api: &FakeApi, name: &str) -> Value {
    api.get(&PERSISTENT_VOLUMES, "", name).unwrap_or_default()["status"]["phase"].clone()
}

fn event(api: &FakeApi, reason: &str) -> Option<String> {
    let events = api.all(&EVENTS);
    events
        .iter()
        .find(|e| e["reason"] == reason)
        .map(|e| e["message"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_stateful_set_is_made_updated_undone_and_scaled_in_order() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&STATEFUL_SETS, Some("n"), &set(3, "one", &json!({})))
        .await
        .unwrap();
    cluster
        .until("the first pod is there", |api| pods(api) == ["db-0 one"])
        .await;
    assert!(cluster.api.settles(Duration::from_millis(200)).await);
    assert_eq!(
        pods(&cluster.api),
        ["db-0 one"],
        "the second waits for the first"
    );
    cluster
        .live_until("three run", |api| complete(api, 3))
        .await;
    let first = cluster.api.get(&PODS, "n", "db-2").unwrap();
    assert_eq!(
        first["metadata"]["labels"]["apps.kubernetes.io/pod-index"],
        "2"
    );
    assert_eq!(
        first["metadata"]["labels"]["controller-revision-hash"],
        db(&cluster.api)["status"]["currentRevision"]
    );
    let one = db(&cluster.api)["status"]["currentRevision"].clone();

    let change = |spec: Value| Patch::Merge(json!({"spec": spec}));
    let image = |image: &str| json!({"spec": {"containers": [{"name": "c", "image": image}]}});
    let staged =
        json!({"template": image("two"), "updateStrategy": {"rollingUpdate": {"partition": 2}}});
    client
        .patch(&STATEFUL_SETS, Some("n"), "db", &change(staged))
        .await
        .unwrap();
    cluster
        .live_until("only the last is updated", |api| {
            pods(api) == ["db-0 one", "db-1 one", "db-2 two"]
                && db(api)["status"]["readyReplicas"] == 3
        })
        .await;
    client
        .delete(
            &PODS,
            Some("n"),
            "db-0",
            &DeleteParams::default().grace_period(0),
        )
        .await
        .unwrap();
    cluster
        .live_until(
            "a lost pod below the partition comes back as it was",
            |api| {
                pods(api) == ["db-0 one", "db-1 one", "db-2 two"]
                    && db(api)["status"]["readyReplicas"] == 3
            },
        )
        .await;
    let whole = json!({"updateStrategy": {"rollingUpdate": {"partition": 0}}});
    client
        .patch(&STATEFUL_SETS, Some("n"), "db", &change(whole))
        .await
        .unwrap();
    cluster
        .live_until("all are updated", |api| {
            complete(api, 3) && pods(api) == ["db-0 two", "db-1 two", "db-2 two"]
        })
        .await;
    assert_eq!(cluster.api.all(&CONTROLLER_REVISIONS).len(), 2);

    client
        .patch(
            &STATEFUL_SETS,
            Some("n"),
            "db",
            &change(json!({"template": image("one")})),
        )
        .await
        .unwrap();
    cluster
        .live_until("the first revision is taken up again", |api| {
            complete(api, 3)
        })
        .await;
    assert_eq!(db(&cluster.api)["status"]["currentRevision"], one);
    assert_eq!(cluster.api.all(&CONTROLLER_REVISIONS).len(), 2);

    client
        .patch(
            &STATEFUL_SETS,
            Some("n"),
            "db",
            &change(json!({"replicas": 1})),
        )
        .await
        .unwrap();
    cluster
        .live_until("one is left", |api| {
            complete(api, 1) && pods(api) == ["db-0 one"]
        })
        .await;
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    let quiet = cluster.api.writes().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        cluster.api.writes().len(),
        quiet,
        "an idle set sees no write"
    );
}

#[tokio::test]
async fn claims_outlive_their_pods_unless_the_policy_says_otherwise() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(
            &STATEFUL_SETS,
            Some("n"),
            &set(2, "one", &with_claims(&json!({}))),
        )
        .await
        .unwrap();
    cluster.live_until("two run", |api| complete(api, 2)).await;
    let claims = |api: &FakeApi| -> Vec<String> {
        api.all(&PERSISTENT_VOLUME_CLAIMS)
            .iter()
            .map(|c| c["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(claims(&cluster.api), ["data-db-0", "data-db-1"]);
    let pod = cluster.api.get(&PODS, "n", "db-1").unwrap();
    assert_eq!(
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"],
        "data-db-1"
    );
    let scale = |n: i64| Patch::Merge(json!({"spec": {"replicas": n}}));
    client
        .patch(&STATEFUL_SETS, Some("n"), "db", &scale(1))
        .await
        .unwrap();
    cluster.live_until("one runs", |api| complete(api, 1)).await;
    assert_eq!(claims(&cluster.api).len(), 2);

    let policy = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Delete"}}});
    client
        .patch(&STATEFUL_SETS, Some("n"), "db", &Patch::Merge(policy))
        .await
        .unwrap();
    client
        .patch(&STATEFUL_SETS, Some("n"), "db", &scale(2))
        .await
        .unwrap();
    cluster
        .live_until("two run again", |api| complete(api, 2))
        .await;
    client
        .patch(&STATEFUL_SETS, Some("n"), "db", &scale(1))
        .await
        .unwrap();
    cluster
        .live_until("the scaled claim goes", |api| {
            complete(api, 1) && claims(api) == ["data-db-0"]
        })
        .await;
    client
        .delete(&STATEFUL_SETS, Some("n"), "db", &DeleteParams::background())
        .await
        .unwrap();
    cluster
        .live_until("the last claim goes with the set", |api| {
            claims(api).is_empty()
        })
        .await;
}

#[tokio::test]
async fn parallel_sets_and_ended_pods() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    let parallel = json!({"spec": {"podManagementPolicy": "Parallel", "ordinals": {"start": 4}}});
    client
        .create(&STATEFUL_SETS, Some("n"), &set(3, "one", &parallel))
        .await
        .unwrap();
    cluster
        .until("all are made at once", |api| {
            pods(api) == ["db-4 one", "db-5 one", "db-6 one"]
        })
        .await;
    cluster
        .live_until("three run", |api| complete(api, 3))
        .await;
    let uid =
        |api: &FakeApi| api.get(&PODS, "n", "db-5").unwrap_or_default()["metadata"]["uid"].clone();
    let before = uid(&cluster.api);
    cluster.api.change(&PODS, "n", "db-5", |pod| {
        pod["status"]["phase"] = "Failed".into()
    });
    cluster
        .live_until("the failed pod is made again", |api| {
            complete(api, 3) && !uid(api).is_null() && uid(api) != before
        })
        .await;
}

#[tokio::test]
async fn a_claim_is_bound_to_a_volume_that_is_kept_after_it() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    client
        .create(&PERSISTENT_VOLUMES, None, &volume("v", &json!({})))
        .await
        .unwrap();
    cluster
        .until("the volume is available", |api| {
            phase(api, "v") == "Available"
        })
        .await;
    client
        .create(
            &PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            &claim("c", &json!({})),
        )
        .await
        .unwrap();
    let of = |api: &FakeApi, name: &str| {
        api.get(&PERSISTENT_VOLUME_CLAIMS, "n", name)
            .unwrap_or_default()
    };
    cluster
        .until("both sides are bound", |api| {
            let claim = of(api, "c");
            claim["status"]["phase"] == "Bound"
                && claim["spec"]["volumeName"] == "v"
                && claim["status"]["capacity"]["storage"] == "2Gi"
                && phase(api, "v") == "Bound"
        })
        .await;
    assert!(cluster.api.settles(Duration::from_millis(300)).await);

    // A pod on a node holds the claim, the claim holds the volume.
    cluster.api.seed(
        &PODS,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {"nodeName": "node-1",
            "containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}}),
    );
    client
        .delete(
            &PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            "c",
            &DeleteParams::background(),
        )
        .await
        .unwrap();
    assert!(cluster.api.settles(Duration::from_millis(300)).await);
    assert!(!of(&cluster.api, "c").is_null(), "in use");
    cluster.api.remove(&PODS, "n", "p");
    cluster
        .until("the claim goes and releases the volume", |api| {
            of(api, "c").is_null() && phase(api, "v") == "Released"
        })
        .await;

    client
        .create(
            &PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            &claim("d", &json!({"spec": {"storageClassName": ""}})),
        )
        .await
        .unwrap();
    cluster
        .until("a claim without a volume says so", |api| {
            event(api, "FailedBinding").is_some()
        })
        .await;
    assert_eq!(
        event(&cluster.api, "FailedBinding").unwrap(),
        "no persistent volumes available for this claim and no storage class is set"
    );
}

#[tokio::test]
async fn provisioners_are_asked_when_the_class_says() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "s"},
        "provisioner": "example.com/p", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete"});
    client.create(&STORAGE_CLASSES, None, &class).await.unwrap();
    client
        .create(
            &PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            &claim("c", &json!({})),
        )
        .await
        .unwrap();
    cluster
        .until("it waits for a pod", |api| {
            event(api, "WaitForFirstConsumer").is_some()
        })
        .await;
    let selected =
        json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "node-1"}}});
    client
        .patch(
            &PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            "c",
            &Patch::Merge(selected),
        )
        .await
        .unwrap();
    let annotation = "volume.kubernetes.io/storage-provisioner";
    cluster
        .until("the provisioner is named", |api| {
            let claim = api
                .get(&PERSISTENT_VOLUME_CLAIMS, "n", "c")
                .unwrap_or_default();
            claim["metadata"]["annotations"][annotation] == "example.com/p"
        })
        .await;
    let uid = cluster
        .api
        .get(&PERSISTENT_VOLUME_CLAIMS, "n", "c")
        .unwrap()["metadata"]["uid"]
        .clone();
    let made = json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "example.com/p"}},
        "spec": {"persistentVolumeReclaimPolicy": "Delete", "claimRef": {"name": "c", "namespace": "n", "uid": uid}}});
    client
        .create(&PERSISTENT_VOLUMES, None, &volume("pvc-1", &made))
        .await
        .unwrap();
    cluster
        .until("the new volume is bound", |api| {
            phase(api, "pvc-1") == "Bound"
        })
        .await;
    client
        .delete(
            &PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            "c",
            &DeleteParams::background(),
        )
        .await
        .unwrap();
    cluster
        .until("it is released for its provisioner", |api| {
            phase(api, "pvc-1") == "Released"
        })
        .await;
    client
        .delete(
            &PERSISTENT_VOLUMES,
            None,
            "pvc-1",
            &DeleteParams::background(),
        )
        .await
        .unwrap();
    cluster
        .until("nothing holds a released volume", |api| {
            api.all(&PERSISTENT_VOLUMES).is_empty()
        })
        .await;
}

#[tokio::test]
async fn ephemeral_volumes_get_claims_of_their_own() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "s"}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": [], "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]}});
    client.create(&PODS, Some("n"), &pod).await.unwrap();
    let of = |api: &FakeApi| {
        api.get(&PERSISTENT_VOLUME_CLAIMS, "n", "p-scratch")
            .unwrap_or_default()
    };
    cluster
        .until("the claim is made", |api| {
            of(api)["metadata"]["ownerReferences"][0]["kind"] == "Pod"
                && of(api)["metadata"]["labels"]["a"] == "b"
        })
        .await;
    client
        .delete(
            &PODS,
            Some("n"),
            "p",
            &DeleteParams::default().grace_period(0),
        )
        .await
        .unwrap();
    cluster
        .live_until("it goes with the pod", |api| of(api).is_null())
        .await;
}
