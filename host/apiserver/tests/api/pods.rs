//! Binding, eviction, scale, ephemeral containers.

use serde_json::{Value, json};

use crate::harness::{PODS, pod, start};

#[tokio::test]
async fn a_pod_is_bound_once() {
    let api = start().await;
    api.ok("POST", PODS, pod("a")).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}});
    let done = api
        .call("POST", &format!("{PODS}/a/binding"), binding.clone())
        .await;
    assert_eq!(
        (done.code.as_u16(), &done.body["status"]),
        (201, &json!("Success"))
    );
    let bound = api.ok("GET", &format!("{PODS}/a"), Value::Null).await;
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    api.call("POST", &format!("{PODS}/a/binding"), binding)
        .await
        .refused(409, "Operation cannot be fulfilled on pods/binding \"a\": pod a is already assigned to node \"n1\"");
    api.ok("POST", PODS, pod("b")).await;
    let legacy = json!({"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "n1"}});
    api.ok("POST", "/api/v1/namespaces/default/bindings", legacy)
        .await;
    let bad = api
        .call(
            "POST",
            &format!("{PODS}/b/binding"),
            json!({"target": {"kind": "Pod", "name": ""}}),
        )
        .await;
    assert_eq!(bad.code, 422);
}

#[tokio::test]
async fn an_eviction_asks_the_budget() {
    let api = start().await;
    let mut object = pod("a");
    object["metadata"]["labels"] = json!({"app": "x"});
    api.ok("POST", PODS, object).await;
    api.ok(
        "POST",
        &format!("{PODS}/a/binding"),
        json!({"target": {"kind": "Node", "name": "n1"}}),
    )
    .await;
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    api.ok("PATCH", &format!("{PODS}/a/status"), ready).await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    api.ok(
        "POST",
        budgets,
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}),
    )
    .await;
    let path = format!("{PODS}/a/eviction");
    let evict = || {
        api.call(
            "POST",
            &path,
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}),
        )
    };
    let refused = evict().await;
    refused.refused(
        429,
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    assert_eq!(
        refused.body["details"]["causes"][0]["reason"],
        "DisruptionBudget"
    );
    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}});
    api.ok("PATCH", &format!("{budgets}/b/status"), status)
        .await;
    assert_eq!(evict().await.code, 201);
    let charged = api.ok("GET", &format!("{budgets}/b"), Value::Null).await;
    assert_eq!(charged["status"]["disruptionsAllowed"], 0);
    assert!(charged["status"]["disruptedPods"]["a"].is_string());
    assert!(
        api.ok("GET", &format!("{PODS}/a"), Value::Null).await["metadata"]["deletionTimestamp"]
            .is_string()
    );
}

#[tokio::test]
async fn a_workload_is_scaled() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    api.ok("POST", path, json!({"metadata": {"name": "d"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": template}})).await;
    let path = format!("{path}/d/scale");
    let scale = api.ok("GET", &path, Value::Null).await;
    assert_eq!(
        (
            &scale["kind"],
            &scale["spec"]["replicas"],
            &scale["status"]["selector"]
        ),
        (&json!("Scale"), &json!(2), &json!("app=a"))
    );
    let patched = api
        .ok("PATCH", &path, json!({"spec": {"replicas": 5}}))
        .await;
    assert_eq!(patched["spec"]["replicas"], 5);
    let mut wanted = patched.clone();
    wanted["spec"]["replicas"] = json!(1);
    api.ok("PUT", &path, wanted.clone()).await;
    assert_eq!(api.call("PUT", &path, wanted).await.code, 409);
    let negative = api
        .call("PATCH", &path, json!({"spec": {"replicas": -1}}))
        .await;
    negative.refused(
        422,
        "Scale.autoscaling \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    );
}

#[tokio::test]
async fn ephemeral_containers_join_a_pod_and_resize_is_refused() {
    let api = start().await;
    api.ok("POST", PODS, pod("a")).await;
    let path = format!("{PODS}/a/ephemeralcontainers");
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}});
    let joined = api.ok("PATCH", &path, debug).await;
    assert_eq!(joined["spec"]["ephemeralContainers"][0]["name"], "debug");
    let same = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox", "env": [], "ports": []}]}});
    api.ok("PATCH", &path, same).await;
    let changed = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "other"}]}});
    assert_eq!(api.call("PATCH", &path, changed).await.code, 422);
    let resize = api
        .call("PATCH", &format!("{PODS}/a/resize"), json!({}))
        .await;
    assert!(resize.message().contains("is not supported by this server"));
}
