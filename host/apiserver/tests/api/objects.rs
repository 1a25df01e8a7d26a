//! Create, read, update, delete.

use serde_json::{Value, json};

use crate::harness::{MAPS, PODS, map, node, pod, start};

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() {
    let api = start().await;
    let created = api.call("POST", MAPS, map("a", "1")).await;
    assert_eq!(created.code, 201);
    let meta = &created.body["metadata"];
    assert_eq!(meta["namespace"], "default");
    assert!(meta["uid"].as_str().unwrap().len() == 36 && meta["creationTimestamp"].is_string());
    let read = api.get(&format!("{MAPS}/a")).await;
    assert_eq!(read.body, created.body);
    assert_eq!(read.headers["content-type"], "application/json");

    let mut changed = read.body.clone();
    changed["data"]["k"] = json!("2");
    let updated = api.ok("PUT", &format!("{MAPS}/a"), changed.clone()).await;
    assert_eq!(updated["data"]["k"], "2");
    assert_ne!(
        updated["metadata"]["resourceVersion"],
        meta["resourceVersion"]
    );
    assert_eq!(updated["metadata"]["uid"], meta["uid"]);

    // The same version again is stale now.
    api.call("PUT", &format!("{MAPS}/a"), changed).await.refused(
        409,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again",
    );
    let gone = api.call("DELETE", &format!("{MAPS}/a"), Value::Null).await;
    assert_eq!(gone.body["status"], "Success");
    assert_eq!(
        gone.body["details"],
        json!({"name": "a", "kind": "configmaps", "uid": meta["uid"]})
    );
    api.get(&format!("{MAPS}/a"))
        .await
        .refused(404, "configmaps \"a\" not found");
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let api = start().await;
    let created = api.ok("POST", MAPS, map("a", "1")).await;
    let before = api.store.revision();
    let same = api.ok("PUT", &format!("{MAPS}/a"), created.clone()).await;
    assert_eq!(same, created);
    assert_eq!(api.store.revision(), before);
}

/// The server's own fields are wiped or filled in; a kind that does not count generations keeps what was sent.
#[tokio::test]
async fn metadata_that_belongs_to_the_server_is_not_taken_from_a_client() {
    let api = start().await;
    let mut sent = map("a", "1");
    sent["metadata"] = json!({"name": "a", "generation": 7, "selfLink": "/a", "uid": "u",
        "deletionGracePeriodSeconds": 3, "deletionTimestamp": "2020-01-01T00:00:00Z", "resourceVersion": "x"});
    let made = api.ok("POST", MAPS, sent.clone()).await;
    let meta = |object: &Value, key: &str| object["metadata"][key].clone();
    assert_eq!(meta(&made, "generation"), 7);
    for key in [
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        assert_eq!(meta(&made, key), Value::Null, "{key}");
    }
    assert_ne!(meta(&made, "uid"), "u");
    assert_ne!(meta(&made, "resourceVersion"), "x");

    let path = format!("{MAPS}/a");
    let change = json!({"metadata": {"generation": 9, "selfLink": "/b"}});
    let tried = format!("{path}?dryRun=All");
    let tried = api.ok("PATCH", &tried, change.clone()).await;
    let changed = api.ok("PATCH", &path, change).await;
    assert_eq!(
        (meta(&tried, "generation"), meta(&tried, "selfLink")),
        (json!(7), json!("/b"))
    );
    assert_eq!(
        (meta(&changed, "generation"), meta(&changed, "selfLink")),
        (json!(7), Value::Null)
    );

    sent["metadata"] = json!({"name": "b", "resourceVersion": "5"});
    api.call("POST", MAPS, sent).await.refused(
        500,
        "resourceVersion should not be set on objects to be created",
    );
}

/// The server's metadata is wiped; other metadata means nothing in a question about access and is refused; reviews of
/// the asker alone repeat nothing of what was sent.
#[tokio::test]
async fn reviews_answer_with_the_metadata_that_upstream_leaves() {
    let api = start().await;
    let sent = json!({"uid": "u", "selfLink": "x", "deletionTimestamp": "2020-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 0});
    let question =
        json!({"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}});
    let mut about_bob = question.clone();
    about_bob["user"] = json!("bob");
    let of_all = json!({"namespace": "default"});
    let local = "namespaces/default/localsubjectaccessreviews";
    for (path, spec, metadata, answered) in [
        (
            local,
            &about_bob,
            json!({"namespace": "default"}),
            &about_bob,
        ),
        ("subjectaccessreviews", &about_bob, json!({}), &about_bob),
        ("selfsubjectaccessreviews", &question, json!({}), &question),
        ("selfsubjectrulesreviews", &of_all, json!({}), &json!({})),
    ] {
        let path = format!("/apis/authorization.k8s.io/v1/{path}");
        let body = json!({"metadata": sent, "spec": spec});
        let answer = api.ok("POST", &path, body).await;
        assert_eq!(answer["metadata"], metadata, "{path}");
        assert_eq!(answer["spec"], *answered, "{path}");
    }
    for (path, why) in [
        ("subjectaccessreviews", "{\"name\":\"a\"}: must be empty"),
        (
            local,
            "{\"name\":\"a\",\"namespace\":\"default\"}: must be empty except for namespace",
        ),
    ] {
        let path = format!("/apis/authorization.k8s.io/v1/{path}");
        let body = json!({"metadata": {"name": "a"}, "spec": about_bob});
        api.call("POST", &path, body).await.refused(
            422,
            &format!(".authorization.k8s.io \"\" is invalid: metadata: Invalid value: {why}"),
        );
    }
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let whoami = api.ok("POST", path, json!({"metadata": sent})).await;
    let metadata = whoami["metadata"].as_object().unwrap();
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["creationTimestamp"]);
}

#[tokio::test]
async fn null_is_stored_where_go_writes_it() {
    let api = start().await;
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let slice = json!({"metadata": {"name": "a"}, "addressType": "IPv4", "ports": [],
        "endpoints": [{"addresses": ["10.0.0.1"]}]});
    let made = api.ok("POST", path, slice).await;
    assert_eq!(made.get("ports"), Some(&Value::Null));
    assert_eq!(made["endpoints"][0]["conditions"], json!({}));
    let path = format!("{path}/a");
    let before = api.store.revision();
    let mut same = made.clone();
    same["ports"] = json!([]);
    assert_eq!(api.ok("PUT", &path, same).await, made);
    assert_eq!(api.store.revision(), before);
}

/// The answer shows the last state: a Pod that is removed at once was marked before.
#[tokio::test]
async fn a_pod_that_is_removed_at_once_is_shown_as_deleted() {
    let api = start().await;
    let made = api.ok("POST", PODS, pod("a")).await;
    let options = json!({"gracePeriodSeconds": 0});
    let gone = api.ok("DELETE", &format!("{PODS}/a"), options).await;
    assert_eq!(gone["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(gone["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(gone["metadata"]["uid"], made["metadata"]["uid"]);
    api.get(&format!("{PODS}/a"))
        .await
        .refused(404, "pods \"a\" not found");
}

#[tokio::test]
async fn put_never_creates_where_upstream_does_not() {
    let api = start().await;
    api.call("PUT", &format!("{MAPS}/a"), map("a", "1"))
        .await
        .refused(404, "configmaps \"a\" not found");
    let lease = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "x"}});
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    assert_eq!(api.call("PUT", path, lease).await.code, 201);
}

#[tokio::test]
async fn names_are_generated() {
    let api = start().await;
    let object = json!({"metadata": {"generateName": "run-"}});
    let first = api.ok("POST", MAPS, object.clone()).await;
    let second = api.ok("POST", MAPS, object).await;
    let (first, second) = (
        first["metadata"]["name"].as_str().unwrap(),
        second["metadata"]["name"].as_str().unwrap(),
    );
    assert!(first.starts_with("run-") && first.len() == 9 && first != second);
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let api = start().await;
    let before = api.store.revision();
    let made = api
        .ok("POST", &format!("{MAPS}?dryRun=All"), map("a", "1"))
        .await;
    assert!(made["metadata"]["uid"].is_string());
    assert_eq!(api.store.revision(), before);
    assert_eq!(api.get(&format!("{MAPS}/a")).await.code, 404);
    api.ok("POST", MAPS, map("a", "1")).await;
    let deleted = api
        .ok("DELETE", &format!("{MAPS}/a?dryRun=All"), Value::Null)
        .await;
    assert_eq!(deleted["status"], "Success");
    assert_eq!(api.get(&format!("{MAPS}/a")).await.code, 200);
}

#[tokio::test]
async fn finalizers_hold_an_object_back() {
    let api = start().await;
    let mut object = map("a", "1");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.ok("POST", MAPS, object).await;
    let held = api.ok("DELETE", &format!("{MAPS}/a"), Value::Null).await;
    assert_eq!(held["kind"], "ConfigMap");
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    // A second delete changes nothing.
    let again = api.ok("DELETE", &format!("{MAPS}/a"), Value::Null).await;
    assert_eq!(
        again["metadata"]["resourceVersion"],
        held["metadata"]["resourceVersion"]
    );
    api.ok(
        "PATCH",
        &format!("{MAPS}/a"),
        json!({"metadata": {"finalizers": null}}),
    )
    .await;
    assert_eq!(api.get(&format!("{MAPS}/a")).await.code, 404);
}

#[tokio::test]
async fn propagation_becomes_finalizers() {
    let api = start().await;
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let name = policy.to_lowercase();
        api.ok("POST", MAPS, map(&name, "1")).await;
        let held = api
            .ok(
                "DELETE",
                &format!("{MAPS}/{name}"),
                json!({"propagationPolicy": policy}),
            )
            .await;
        assert_eq!(held["metadata"]["finalizers"], json!([finalizer]));
    }
}

#[tokio::test]
async fn deleting_jobs_warns_that_pods_stay() {
    let api = start().await;
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let silent = api.call("DELETE", jobs, Value::Null).await.warnings();
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(silent[0].contains("child pods are preserved by default when jobs are deleted"));
    let chosen = json!({"propagationPolicy": "Background"});
    assert!(api.call("DELETE", jobs, chosen).await.warnings().is_empty());
}

#[tokio::test]
async fn preconditions_of_a_delete() {
    let api = start().await;
    let made = api.ok("POST", MAPS, map("a", "1")).await;
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let options = json!({"preconditions": {"uid": "other"}});
    api.call("DELETE", &format!("{MAPS}/a"), options).await.refused(
        409,
        &format!("Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (other) does not match the UID in record ({uid}). The object might have been deleted and then recreated"),
    );
    api.ok(
        "DELETE",
        &format!("{MAPS}/a"),
        json!({"preconditions": {"uid": uid}}),
    )
    .await;
}

#[tokio::test]
async fn mistakes_in_delete_options_are_named() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let head = "DeleteOptions.meta.k8s.io \"\" is invalid: ";
    let policies = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
    for (query, body, code, message) in [
        (
            "gracePeriodSeconds=x",
            json!(null),
            400,
            "strconv.ParseInt: parsing \"x\": invalid syntax".to_owned(),
        ),
        (
            "propagationPolicy=",
            json!(null),
            422,
            format!("{head}propagationPolicy: Unsupported value: \"\": {policies}"),
        ),
        (
            "",
            json!({"propagationPolicy": "", "orphanDependents": true}),
            422,
            format!(
                "{head}[propagationPolicy: Invalid value: \"\": orphanDependents and deletionPropagation cannot be both set, propagationPolicy: Unsupported value: \"\": {policies}]"
            ),
        ),
        (
            "dryRun=All&dryRun=Some",
            json!(null),
            422,
            format!(
                "{head}dryRun: Unsupported value: [\"All\",\"Some\"]: supported values: \"All\""
            ),
        ),
    ] {
        let answer = api.call("DELETE", &format!("{MAPS}/a?{query}"), body).await;
        answer.refused(code, &message);
    }
    for (query, code, message) in [
        (
            "resourceVersion=x&fieldSelector=y",
            400,
            "invalid selector: 'y'; can't understand 'y'".to_owned(),
        ),
        (
            "resourceVersion=x",
            422,
            format!("{head}propagationPolicy: Unsupported value: \"\": {policies}"),
        ),
    ] {
        let body = json!({"propagationPolicy": ""});
        let answer = api.call("DELETE", &format!("{MAPS}?{query}"), body).await;
        answer.refused(code, &message);
    }
    let stale = api
        .call("DELETE", &format!("{MAPS}/a?uid=other"), Value::Null)
        .await;
    assert_eq!(stale.code, 409, "{}", stale.text);
}

#[tokio::test]
async fn who_asks_for_cascading_hears_that_an_object_stays() {
    let api = start().await;
    let mut held = map("a", "1");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.ok("POST", MAPS, held).await;
    for (query, code) in [("orphanDependents=false", 202), ("", 200)] {
        let path = format!("{MAPS}/a?{query}");
        assert_eq!(api.call("DELETE", &path, Value::Null).await.code, code);
    }
}

#[tokio::test]
async fn a_bound_pod_gets_its_grace() {
    let api = start().await;
    api.ok("POST", "/api/v1/nodes", json!({"metadata": {"name": "n1"}}))
        .await;
    for name in ["a", "b"] {
        api.ok("POST", PODS, pod(name)).await;
        api.ok(
            "POST",
            &format!("{PODS}/{name}/binding"),
            json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}}),
        )
        .await;
    }
    let going = api.ok("DELETE", &format!("{PODS}/a"), Value::Null).await;
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    // The kubelet ends it.
    let done = api
        .call_as(
            node("n1"),
            "DELETE",
            &format!("{PODS}/a"),
            json!({"gracePeriodSeconds": 0}),
        )
        .await;
    assert_eq!(done.code, 200, "{}", done.text);
    assert_eq!(api.get(&format!("{PODS}/a")).await.code, 404);
    api.ok(
        "DELETE",
        &format!("{PODS}/b"),
        json!({"gracePeriodSeconds": 0}),
    )
    .await;
    assert_eq!(api.get(&format!("{PODS}/b")).await.code, 404);
}

#[tokio::test]
async fn an_unscheduled_pod_goes_at_once() {
    let api = start().await;
    api.ok("POST", PODS, pod("a")).await;
    let gone = api.ok("DELETE", &format!("{PODS}/a"), Value::Null).await;
    assert_eq!(gone["kind"], "Pod");
    assert_eq!(api.get(&format!("{PODS}/a")).await.code, 404);
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_finalized() {
    let api = start().await;
    let path = "/api/v1/namespaces/x";
    let made = api
        .ok(
            "POST",
            "/api/v1/namespaces",
            json!({"metadata": {"name": "x"}}),
        )
        .await;
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    let going = api.ok("DELETE", path, Value::Null).await;
    assert_eq!(going["status"]["phase"], "Terminating");
    let refused = api
        .call("POST", "/api/v1/namespaces/x/configmaps", map("a", "1"))
        .await;
    refused.refused(
        403,
        "configmaps \"a\" is forbidden: unable to create new content in namespace x because it is being terminated",
    );
    assert_eq!(
        refused.body["details"]["causes"][0]["reason"],
        "NamespaceTerminating"
    );
    let mut object = api.ok("GET", path, Value::Null).await;
    object["spec"] = json!({});
    api.ok("PUT", "/api/v1/namespaces/x/finalize", object).await;
    assert_eq!(api.get(path).await.code, 404);
    api.call("DELETE", "/api/v1/namespaces/default", Value::Null)
        .await
        .refused(
            403,
            "namespaces \"default\" is forbidden: this namespace may not be deleted",
        );
}

/// The finalizer of the spec holds a namespace, whatever the propagation; `Background` adds none to
/// the metadata and takes away those of the garbage collector.
#[tokio::test]
async fn a_namespace_is_deleted_in_the_background() {
    let api = start().await;
    let cases = [
        (json!([]), Value::Null),
        (
            json!(["example.com/hold", "foregroundDeletion"]),
            json!(["example.com/hold"]),
        ),
    ];
    for (at, (before, after)) in cases.into_iter().enumerate() {
        let name = format!("x{at}");
        let path = format!("/api/v1/namespaces/{name}");
        let object = json!({"metadata": {"name": name, "finalizers": before}});
        api.ok("POST", "/api/v1/namespaces", object).await;
        let options = json!({"propagationPolicy": "Background"});
        let going = api.ok("DELETE", &path, options).await;
        assert_eq!(going["kind"], "Namespace");
        assert_eq!(going["status"]["phase"], "Terminating");
        assert_eq!(going["spec"]["finalizers"], json!(["kubernetes"]));
        assert_eq!(going["metadata"]["finalizers"], after);
        assert!(going["metadata"]["deletionTimestamp"].is_string());
        let grace = &going["metadata"]["deletionGracePeriodSeconds"];
        assert_eq!(*grace, Value::Null);
    }
}

#[tokio::test]
async fn generation_counts_changes_of_the_spec() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let object = json!({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}});
    let made = api.ok("POST", path, object).await;
    assert_eq!(
        (&made["metadata"]["generation"], &made["spec"]["replicas"]),
        (&json!(1), &json!(1))
    );
    let path = format!("{path}/d");
    let scaled = api
        .ok("PATCH", &path, json!({"spec": {"replicas": 3}}))
        .await;
    assert_eq!(scaled["metadata"]["generation"], 2);
    let labelled = api
        .ok("PATCH", &path, json!({"metadata": {"labels": {"x": "y"}}}))
        .await;
    assert_eq!(labelled["metadata"]["generation"], 2);
    let status = api
        .ok(
            "PATCH",
            &format!("{path}/status"),
            json!({"status": {"replicas": 3}, "spec": {"replicas": 9}}),
        )
        .await;
    assert_eq!(
        (
            &status["metadata"]["generation"],
            &status["spec"]["replicas"],
            &status["status"]["replicas"]
        ),
        (&json!(2), &json!(3), &json!(3))
    );
    // The main resource leaves the status alone.
    let kept = api
        .ok("PATCH", &path, json!({"status": {"replicas": 7}}))
        .await;
    assert_eq!(kept["status"]["replicas"], 3);
}

#[tokio::test]
async fn events_are_one_resource_in_two_groups() {
    let api = start().await;
    let event = json!({"metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "hello",
        "reason": "Test", "action": "Testing", "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "x/y", "reportingInstance": "i"});
    let made = api
        .ok(
            "POST",
            "/apis/events.k8s.io/v1/namespaces/default/events",
            event,
        )
        .await;
    assert_eq!(
        (&made["note"], &made["apiVersion"]),
        (&json!("hello"), &json!("events.k8s.io/v1"))
    );
    let core = api
        .ok("GET", "/api/v1/namespaces/default/events/e", Value::Null)
        .await;
    assert_eq!(
        (&core["message"], &core["involvedObject"]["name"]),
        (&json!("hello"), &json!("p"))
    );
    // Both are one type inside upstream, and errors name that.
    for group in ["api/v1", "apis/events.k8s.io/v1"] {
        let path = format!("/{group}/namespaces/default/events/e");
        let refused = api
            .call("DELETE", &path, json!({"preconditions": {"uid": "other"}}))
            .await;
        let start =
            "Operation cannot be fulfilled on Event \"e\": the UID in the precondition (other)";
        assert!(refused.message().starts_with(start), "{}", refused.text);
    }
    let list = api
        .ok("GET", "/apis/events.k8s.io/v1/events", Value::Null)
        .await;
    assert_eq!(list["items"][0]["regarding"]["name"], "p");
    let selected = api
        .ok(
            "GET",
            "/api/v1/events?fieldSelector=involvedObject.name%3Dp",
            Value::Null,
        )
        .await;
    assert_eq!(selected["items"].as_array().unwrap().len(), 1);
}
