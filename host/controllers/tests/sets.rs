//! Sets whose Pods are refused, and Endpoints that are mirrored.

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

use std::collections::BTreeSet;
use std::time::Duration;

use k3s_base::Clock;
use k3s_client::fake::FakeApi;
use k3s_client::resources::*;
use k3s_client::{DeleteParams, Patch};
use serde_json::json;
use support::{Cluster, cluster, cluster_at};

/// Plays a node that refuses each Pod at once, until there were as many, and a little longer; returns how
/// many there were.
async fn refuse(cluster: &Cluster, seen: &mut BTreeSet<String>, wanted: usize) -> usize {
    let refused = json!({"phase": "Failed", "reason": "NodeAffinity"});
    let mut more = 30;
    for _ in 0..2000 {
        cluster.run_pods("n", &refused);
        cluster.reap_pods();
        let pods = cluster.api.all(&PODS).into_iter();
        seen.extend(pods.filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned)));
        if seen.len() >= wanted {
            more -= 1;
        }
        if more == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    seen.len()
}

#[tokio::test]
async fn pods_that_a_node_refuses_at_once_are_replaced_ever_later() {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}});
    let spec = json!({"replicas": 1, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": template});
    // The first that fails is replaced at once where its place has to be made free.
    for (resource, kind, at_once) in [
        (&REPLICA_SETS, "ReplicaSet", 1),
        (&STATEFUL_SETS, "StatefulSet", 2),
        (&DAEMON_SETS, "DaemonSet", 2),
    ] {
        let clock = Clock::manual(Clock::system().now());
        let cluster = cluster_at(clock.clone()).await;
        cluster.api.seed(
            &NODES,
            json!({"metadata": {"name": "node-1", "labels": {"kubernetes.io/os": "linux"}},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}}),
        );
        let set = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "n"}, "spec": spec});
        cluster
            .api
            .client("user")
            .create(resource, Some("n"), &set)
            .await
            .unwrap();
        let mut seen = BTreeSet::new();
        // The controllers' time stands still but for these steps.
        for (number, seconds) in [(at_once, 0), (at_once + 1, 1), (at_once + 2, 2)] {
            clock.advance(Duration::from_secs(seconds));
            assert_eq!(refuse(&cluster, &mut seen, number).await, number, "{kind}");
        }
        clock.advance(Duration::from_secs(4));
        cluster
            .live_until("the next one runs", |api| {
                let pods = api.all(&PODS);
                pods.iter().any(|pod| pod["status"]["phase"] == "Running")
            })
            .await;
    }
}

#[tokio::test]
async fn hand_made_endpoints_are_mirrored_as_long_as_they_are_there() {
    let cluster = cluster().await;
    let client = cluster.api.client("user");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "own", "namespace": "n"},
        "spec": {"clusterIP": "10.43.0.9", "ports": [{"name": "web", "port": 80}]}});
    client.create(&SERVICES, Some("n"), &service).await.unwrap();
    let endpoints = |ip: &str| {
        json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "own", "namespace": "n"},
            "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}]}]})
    };
    client
        .create(&ENDPOINTS, Some("n"), &endpoints("192.0.2.7"))
        .await
        .unwrap();
    let slices = |api: &FakeApi| {
        let mut slices = api.all(&ENDPOINT_SLICES);
        slices.retain(|s| s["metadata"]["labels"]["kubernetes.io/service-name"] == "own");
        slices
    };
    let shows = |api: &FakeApi, ip: &str| {
        let slices = slices(api);
        slices.len() == 1 && slices[0]["endpoints"][0]["addresses"] == json!([ip])
    };
    cluster
        .until("they are mirrored", |api| shows(api, "192.0.2.7"))
        .await;
    let first = slices(&cluster.api).remove(0);
    assert_eq!(
        first["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"],
        "endpointslicemirroring-controller.k8s.io"
    );
    let moved = Patch::Merge(endpoints("192.0.2.8"));
    client
        .patch(&ENDPOINTS, Some("n"), "own", &moved)
        .await
        .unwrap();
    cluster
        .until("the change is mirrored", |api| shows(api, "192.0.2.8"))
        .await;
    let second = slices(&cluster.api).remove(0);
    assert_eq!(second["metadata"]["name"], first["metadata"]["name"]);
    let params = DeleteParams::default();
    client
        .delete(&ENDPOINTS, Some("n"), "own", &params)
        .await
        .unwrap();
    cluster
        .until("the mirror goes with them", |api| slices(api).is_empty())
        .await;
}

#[tokio::test]
async fn sets_say_that_pods_are_refused_and_stop_saying_it() {
    for (resource, api_version, selector) in [
        (&REPLICATION_CONTROLLERS, "v1", json!({"app": "a"})),
        (
            &REPLICA_SETS,
            "apps/v1",
            json!({"matchLabels": {"app": "a"}}),
        ),
    ] {
        let cluster = cluster().await;
        let client = cluster.api.client("user");
        let mut places = 2;
        cluster.api.fail(move |asked| {
            let creates = asked.method == "POST" && asked.path.ends_with("/pods");
            if creates && places > 0 {
                places -= 1;
                return None;
            }
            creates.then(|| {
                let gr = k3s_meta::GroupResource::new("", "pods");
                k3s_meta::Status::forbidden(&gr, "p", "exceeded quota: q")
            })
        });
        let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let set = json!({"apiVersion": api_version, "kind": resource.kind, "metadata": {"name": "s", "namespace": "n", "generation": 1},
            "spec": {"replicas": 3, "selector": selector, "template": template}});
        client.create(resource, Some("n"), &set).await.unwrap();
        let failure = |api: &FakeApi| {
            let set = api.get(resource, "n", "s").unwrap_or_default();
            let conditions = set["status"]["conditions"].as_array().cloned();
            let mut conditions = conditions.unwrap_or_default().into_iter();
            conditions.find(|condition| condition["type"] == "ReplicaFailure")
        };
        cluster
            .live_until("the refusal stands in the status", |api| {
                failure(api).is_some_and(|it| it["reason"] == "FailedCreate")
            })
            .await;
        let fewer = Patch::Merge(json!({"spec": {"replicas": 2}}));
        client
            .patch(resource, Some("n"), "s", &fewer)
            .await
            .unwrap();
        cluster
            .live_until("the status is clean", |api| failure(api).is_none())
            .await;
    }
}
