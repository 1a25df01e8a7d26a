//! Binding, eviction, scale, ephemeral containers, resize, tokens for pods.

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
            json!({"metadata": {"name": "b"}, "target": {"kind": "Pod", "name": ""}}),
        )
        .await;
    bad.refused(
        500,
        "[target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\", target.name: Required value]",
    );
    let bindings = "/api/v1/namespaces/default/bindings";
    let to_node =
        |metadata: Value| json!({"metadata": metadata, "target": {"kind": "Node", "name": "n1"}});
    for (path, metadata, why) in [
        (bindings.to_owned(), json!({}), "Name parameter required."),
        (
            bindings.to_owned(),
            json!({"name": "a/b"}),
            "Name parameter invalid: \"a/b\": may not contain '/'",
        ),
        (
            bindings.to_owned(),
            json!({"name": "b", "namespace": "elsewhere"}),
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            format!("{PODS}/b/binding"),
            json!({}),
            "name in URL does not match name in Binding object",
        ),
    ] {
        let answer = api.call("POST", &path, to_node(metadata)).await;
        answer.refused(400, why);
    }
    api.ok("POST", PODS, pod("c")).await;
    for (metadata, part) in [
        (json!({"name": "c", "uid": "other"}), "UID"),
        (
            json!({"name": "c", "resourceVersion": "1"}),
            "ResourceVersion",
        ),
    ] {
        let path = format!("{PODS}/c/binding");
        let stale = api.call("POST", &path, to_node(metadata)).await;
        let start = format!(
            "Operation cannot be fulfilled on pods \"c\": Precondition failed: {part} in precondition: "
        );
        assert!(stale.message().starts_with(&start), "{}", stale.text);
    }
    let other = to_node(json!({"name": "c", "uid": "other"}));
    api.ok("POST", bindings, other).await;
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
        json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}),
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
    let going = api.ok("GET", &format!("{PODS}/a"), Value::Null).await;
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    let condition = &going["status"]["conditions"][1];
    assert_eq!(
        (
            &condition["type"],
            &condition["status"],
            &condition["reason"]
        ),
        (
            &json!("DisruptionTarget"),
            &json!("True"),
            &json!("EvictionByEvictionAPI")
        )
    );
}

#[tokio::test]
async fn an_update_without_tolerations_keeps_those_of_every_pod() {
    let api = start().await;
    let mut made = api.ok("POST", PODS, pod("a")).await;
    let spec = made["spec"].as_object_mut().unwrap();
    let tolerations = spec.remove("tolerations").unwrap();
    let updated = api.ok("PUT", &format!("{PODS}/a"), made).await;
    assert_eq!(updated["spec"]["tolerations"], tolerations);
}

#[tokio::test]
async fn an_eviction_is_of_the_pod_in_its_path() {
    let api = start().await;
    api.ok("POST", PODS, pod("a")).await;
    let path = format!("{PODS}/a/eviction");
    let namespace = json!({"name": "a", "namespace": "elsewhere"});
    let elsewhere = json!({ "metadata": namespace });
    api.call("POST", &path, elsewhere).await.refused(
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    );
    let option = "ignoreStoreReadErrorWithClusterBreakingPotential";
    let blind = json!({"metadata": {"name": "a"}, "deleteOptions": { option: true }});
    let text = format!(
        "Eviction.policy \"a\" is invalid: deleteOptions.{option}: Invalid value: true: can not be set for pod eviction, try after removing the option"
    );
    api.call("POST", &path, blind).await.refused(422, &text);
}

#[tokio::test]
async fn an_eviction_that_changes_nothing_says_nothing_on_the_pod() {
    let api = start().await;
    let made = api.ok("POST", PODS, pod("a")).await;
    let evict = async |options: Value| {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"},
            "deleteOptions": options});
        let path = format!("{PODS}/a/eviction");
        api.call("POST", &path, eviction).await.code.as_u16()
    };
    assert_eq!(evict(json!({"dryRun": ["All"]})).await, 201);
    assert_eq!(evict(json!({"preconditions": {"uid": "other"}})).await, 409);
    assert_eq!(
        evict(json!({"preconditions": {"resourceVersion": "1"}})).await,
        409
    );
    let version = &made["metadata"]["resourceVersion"];
    let same = api.ok("GET", &format!("{PODS}/a"), Value::Null).await;
    assert_eq!(&same["metadata"]["resourceVersion"], version);
    // The version that the client names is the one before the mark.
    assert_eq!(
        evict(json!({"preconditions": {"resourceVersion": version}})).await,
        201
    );
    assert_eq!(api.get(&format!("{PODS}/a")).await.code, 404);
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
    let labels = json!({"metadata": {"labels": {"-bad": "x"}}});
    let labelled = api.call("PATCH", &path, labels).await;
    let start = "Scale.autoscaling \"d\" is invalid: metadata.labels: Invalid value: \"-bad\": name part must";
    assert!(labelled.message().starts_with(start), "{}", labelled.text);
    let other = json!({"apiVersion": "*", "kind": "Scale", "metadata": {"name": "d"}});
    api.call("PUT", &path, other).await.refused(
        400,
        "Scale in version \"*\" cannot be handled as a Scale: no kind \"Scale\" is registered for version \"*\" in scheme \"pkg/runtime/scheme.go:111\"",
    );
}

#[tokio::test]
async fn a_pods_generation_counts_what_users_ask_for() {
    let api = start().await;
    let mut made = pod("a");
    made["metadata"]["generation"] = json!(100);
    let generation = |pod: &Value| pod["metadata"]["generation"].as_i64();
    assert_eq!(generation(&api.ok("POST", PODS, made).await), Some(1));
    let path = format!("{PODS}/a");
    let target = json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}});
    api.ok("POST", &format!("{path}/binding"), target).await;
    let debug = json!({"metadata": {"annotations": {"a": "b"}},
        "spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}});
    for (subresource, change, expected) in [
        (
            "",
            json!({"metadata": {"annotations": {"x": "y"}, "generation": 7}}),
            1,
        ),
        ("/status", json!({"status": {"phase": "Running"}}), 1),
        ("", json!({"spec": {"activeDeadlineSeconds": 5000}}), 2),
        ("", json!({"spec": {"activeDeadlineSeconds": 5000}}), 2),
        ("", json!({"spec": {"activeDeadlineSeconds": 4000}}), 3),
        ("/ephemeralcontainers", debug.clone(), 4),
        ("/ephemeralcontainers", debug, 4),
    ] {
        let changed = api
            .ok("PATCH", &format!("{path}{subresource}"), change.clone())
            .await;
        assert_eq!(
            generation(&changed),
            Some(expected),
            "{subresource} {change}"
        );
        assert_eq!(changed["metadata"]["annotations"], json!({"x": "y"}));
    }
    let going = api
        .ok("DELETE", &path, json!({"gracePeriodSeconds": 60}))
        .await;
    assert_eq!(generation(&going), Some(5));
    let sooner = api
        .ok("DELETE", &path, json!({"gracePeriodSeconds": 30}))
        .await;
    assert_eq!(generation(&sooner), Some(5));
}

#[tokio::test]
async fn ephemeral_containers_join_a_pod() {
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
}

#[tokio::test]
async fn a_pod_is_resized_within_what_its_namespace_and_node_have() {
    let api = start().await;
    api.ok("POST", "/api/v1/nodes", json!({"metadata": {"name": "n1"}}))
        .await;
    let has = json!({"status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}});
    api.ok("PATCH", "/api/v1/nodes/n1/status", has).await;
    let cpu = |amount: &str| json!([{"name": "c", "image": "busybox", "resources": {"requests": {"cpu": amount}}}]);
    let mut asking = pod("a");
    asking["spec"] = json!({"nodeName": "n1", "containers": cpu("1")});
    api.ok("POST", PODS, asking).await;
    let limits = json!([{"type": "Container", "min": {"cpu": "500m"}}]);
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": limits}});
    api.ok("POST", "/api/v1/namespaces/default/limitranges", range)
        .await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let hard = json!({"requests.cpu": "2"});
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    api.ok("POST", quotas, quota).await;
    let counted = json!({"status": {"hard": hard, "used": {"requests.cpu": "1"}}});
    api.ok("PATCH", &format!("{quotas}/q/status"), counted)
        .await;

    let path = format!("{PODS}/a/resize");
    let to = |amount: &str| json!({"spec": {"containers": cpu(amount)}});
    let resized = api.ok("PATCH", &path, to("2")).await;
    assert_eq!(resized["metadata"]["generation"], 2);
    let used = api.ok("GET", &format!("{quotas}/q"), Value::Null).await;
    assert_eq!(used["status"]["used"], json!({"requests.cpu": "2"}));
    // What is no resource is put back.
    let mut image = to("2");
    image["spec"]["containers"][0]["image"] = json!("other");
    assert_eq!(api.ok("PATCH", &path, image).await, resized);
    assert_eq!(api.ok("GET", &path, Value::Null).await, resized);
    for (amount, why) in [
        (
            "100m",
            "pods \"a\" is forbidden: minimum cpu usage per Container is 500m, but request is 100m",
        ),
        (
            "2500m",
            "pods \"a\" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=2, \
             limited: requests.cpu=2",
        ),
        (
            "5",
            "pods \"a\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 5000, \
             allocatable: 4000",
        ),
    ] {
        let answer = api.call("PATCH", &path, to(amount)).await;
        answer.refused(403, why);
        if amount == "5" {
            let causes = &answer.body["details"]["causes"];
            assert_eq!(causes, &json!([{"reason": "NodeCapacity"}]));
        }
    }
    let limited = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "2", "memory": "1Gi"}});
    let mut guaranteed = to("2");
    guaranteed["spec"]["containers"][0]["resources"] = limited;
    let answer = api.call("PATCH", &path, guaranteed).await;
    assert!(
        answer
            .message()
            .contains("Pod QOS Class may not change as a result of resizing"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_token_is_for_the_account_and_the_object_that_the_request_names() {
    let api = start().await;
    api.ok("POST", PODS, pod("p")).await;
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let bound = |reference: Value| json!({"spec": {"boundObjectRef": reference}});
    for (request, code, text) in [
        (
            json!({"metadata": {"name": "other"}}),
            422,
            "TokenRequest.authentication.k8s.io \"default\" is invalid: metadata.name: Invalid value: \"other\": must match the service account name if specified",
        ),
        (
            json!({"metadata": {"namespace": "other"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
        (
            bound(json!({"name": "p"})),
            400,
            "cannot bind token to object of type /, Kind=",
        ),
        (
            bound(json!({"apiVersion": "apps/v1", "kind": "Pod", "name": "p"})),
            400,
            "cannot bind token to object of type apps/v1, Kind=Pod",
        ),
        (
            bound(json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "other"})),
            409,
            "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (other) does not match the UID in record. The object might have been deleted and then recreated",
        ),
    ] {
        api.call("POST", path, request).await.refused(code, text);
    }
    let other = json!({"metadata": {"uid": "other"}});
    let conflict = api.call("POST", path, other).await;
    let start = "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"default\": the UID in the token request (other) does not match the UID of the service account (";
    assert!(conflict.message().starts_with(start), "{}", conflict.text);
}
