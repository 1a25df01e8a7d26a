//! Watches: what a client sees from where it starts.

use serde_json::{Value, json};

use crate::harness::{MAPS, map, seen, start};

#[tokio::test]
async fn changes_follow_the_list() {
    let api = start().await;
    api.ok("POST", MAPS, map("before", "1")).await;
    let version = api.store.revision().0;
    let mut watch = api
        .watch(&format!("{MAPS}?watch=true&resourceVersion={version}"))
        .await;
    let made = api.ok("POST", MAPS, map("a", "1")).await;
    api.ok("PATCH", &format!("{MAPS}/a"), json!({"data": {"k": "2"}}))
        .await;
    api.ok("DELETE", &format!("{MAPS}/a"), Value::Null).await;
    let (kind, name, first) = watch.brief().await;
    assert_eq!((kind.as_str(), name.as_str()), ("ADDED", "a"));
    assert_eq!(made["metadata"]["resourceVersion"], first.to_string());
    let (kind, _, second) = watch.brief().await;
    assert_eq!((kind.as_str(), second), ("MODIFIED", first + 1));
    let (kind, _, third) = watch.brief().await;
    // A deletion carries its own version, newer than the object's last.
    assert_eq!((kind.as_str(), third), ("DELETED", first + 2));
}

#[tokio::test]
async fn without_a_version_the_present_comes_first() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    for query in ["watch=true", "watch=true&resourceVersion=0"] {
        let mut watch = api.watch(&format!("{MAPS}?{query}")).await;
        assert_eq!(watch.seen().await, seen("ADDED", "a"));
        api.ok("PATCH", &format!("{MAPS}/a"), json!({"data": {"k": query}}))
            .await;
        assert_eq!(watch.seen().await, seen("MODIFIED", "a"));
    }
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    api.ok("POST", MAPS, map("b", "1")).await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch(&format!("{MAPS}?{query}")).await;
    assert_eq!(watch.seen().await, seen("ADDED", "a"));
    assert_eq!(watch.seen().await, seen("ADDED", "b"));
    let end = watch.next().await.unwrap();
    assert_eq!(
        (&end["type"], &end["object"]["kind"]),
        (&json!("BOOKMARK"), &json!("ConfigMap"))
    );
    let meta = &end["object"]["metadata"];
    assert_eq!(meta["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(meta["resourceVersion"], api.store.revision().0.to_string());
    let refused = api
        .get(&format!("{MAPS}?watch=true&sendInitialEvents=true"))
        .await;
    assert!(
        refused
            .message()
            .contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    );
}

#[tokio::test]
async fn objects_enter_and_leave_a_selector() {
    let api = start().await;
    let version = api.store.revision().0;
    let mut watch = api
        .watch(&format!(
            "{MAPS}?watch=true&labelSelector=on%3Dyes&resourceVersion={version}"
        ))
        .await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let label = |value: Value| json!({"metadata": {"labels": {"on": value}}});
    let path = format!("{MAPS}/a");
    api.ok("PATCH", &path, label(json!("yes"))).await;
    assert_eq!(watch.seen().await, seen("ADDED", "a"));
    api.ok("PATCH", &path, json!({"data": {"k": "2"}})).await;
    assert_eq!(watch.seen().await, seen("MODIFIED", "a"));
    api.ok("PATCH", &path, label(json!("no"))).await;
    let left = watch.next().await.unwrap();
    assert_eq!(
        (&left["type"], &left["object"]["metadata"]["labels"]["on"]),
        (&json!("DELETED"), &json!("yes"))
    );
    // It is out of sight now, so that its end is no event.
    api.ok("DELETE", &path, Value::Null).await;
    let mut other = map("b", "1");
    other["metadata"]["labels"] = json!({"on": "yes"});
    api.ok("POST", MAPS, other).await;
    assert_eq!(watch.seen().await, seen("ADDED", "b"));
}

#[tokio::test]
async fn one_object_is_watched_by_name() {
    let api = start().await;
    let version = api.store.revision().0;
    let mut watch = api
        .watch(&format!(
            "{MAPS}?watch=true&fieldSelector=metadata.name%3Da&resourceVersion={version}"
        ))
        .await;
    for name in ["ab", "b", "a"] {
        api.ok("POST", MAPS, map(name, "1")).await;
    }
    assert_eq!(watch.seen().await, seen("ADDED", "a"));
}

#[tokio::test]
async fn a_compacted_version_is_an_error_event() {
    let api = start().await;
    for name in ["a", "b", "c"] {
        api.ok("POST", MAPS, map(name, "1")).await;
    }
    api.store.compact(api.store.revision(), 0).await.unwrap();
    let mut watch = api
        .watch(&format!("{MAPS}?watch=true&resourceVersion=2"))
        .await;
    let event = watch.next().await.unwrap();
    assert_eq!(
        (
            &event["type"],
            &event["object"]["code"],
            &event["object"]["reason"]
        ),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_with_a_bookmark() {
    let api = start().await;
    let version = api.store.revision().0;
    let mut watch = api
        .watch(&format!(
            "{MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={version}"
        ))
        .await;
    // Another resource moves the store on; the bookmark says that nothing was missed.
    api.ok(
        "POST",
        "/api/v1/namespaces",
        json!({"metadata": {"name": "x"}}),
    )
    .await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "BOOKMARK");
    assert_eq!(
        event["object"]["metadata"]["resourceVersion"],
        api.store.revision().0.to_string()
    );
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_when_the_server_stops() {
    let api = start().await;
    let mut watch = api.watch(&format!("{MAPS}?watch=true")).await;
    assert!(api.tasks.stop(crate::harness::DEADLINE).await);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn watches_have_shapes_too() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let mut table = api
        .watch_as(
            &format!("{MAPS}?watch=true"),
            "application/json;as=Table;v=v1;g=meta.k8s.io",
        )
        .await;
    let mut partial = api
        .watch_as(
            &format!("{MAPS}?watch=true"),
            "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        )
        .await;
    let first = table.next().await.unwrap();
    assert_eq!(
        (
            &first["object"]["kind"],
            &first["object"]["rows"][0]["cells"][0]
        ),
        (&json!("Table"), &json!("a"))
    );
    assert!(first["object"]["columnDefinitions"].is_array());
    assert_eq!(
        partial.next().await.unwrap()["object"]["kind"],
        "PartialObjectMetadata"
    );
    api.ok("POST", MAPS, map("b", "1")).await;
    assert!(table.next().await.unwrap()["object"]["columnDefinitions"].is_null());
    let shared = partial.next().await.unwrap();
    assert_eq!(
        (&shared["type"], shared["object"].get("data")),
        (&json!("ADDED"), None)
    );
}

#[tokio::test]
async fn events_carry_on_over_a_restart() {
    let backend = k3s_store::MemoryBackend::new();
    let api = crate::harness::start_on(backend.clone()).await;
    let version = api.store.revision().0;
    api.ok("POST", MAPS, map("a", "1")).await;
    assert!(api.tasks.stop(crate::harness::DEADLINE).await);
    let again = crate::harness::restart_on(backend).await;
    let mut watch = again
        .watch(&format!("{MAPS}?watch=true&resourceVersion={version}"))
        .await;
    assert_eq!(watch.seen().await, seen("ADDED", "a"));
}
