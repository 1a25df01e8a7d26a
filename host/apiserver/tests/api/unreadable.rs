//! Stored bytes that are no object: they hide nothing else, and they can be deleted.

use k3s_store::{MemoryBackend, Precondition, Write};
use serde_json::{Value, json};

use crate::custom::{DEFINITIONS, TABS, definition, establish, gone, tab};
use crate::harness::{Api, MAPS, map, request, restart_on, seen, start, start_on};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PARTIAL: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// What a key may hold that is no object; some of it looks like one up to its metadata.
fn garbage() -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!(
        r#"{{"metadata":{{"name":"deep"}},"data":{}{}}}"#,
        r#"{"z":"#.repeat(300) + "1",
        "}".repeat(300)
    );
    vec![
        ("deep", deep.into_bytes()),
        ("cut", br#"{"metadata":{"name":"cut"},"data":{"k"#.to_vec()),
        ("text", b"{\"metadata\":{\"name\":\"\xff\xfe\"}}".to_vec()),
        ("list", b"[]".to_vec()),
        ("none", Vec::new()),
        ("number", br#"{"metadata":{"generation":1e999}}"#.to_vec()),
    ]
}

async fn put(api: &Api, key: &str, bytes: Vec<u8>) {
    let write = Write::put(key, Precondition::Any, bytes);
    api.store.write(write).await.unwrap();
}

async fn with_garbage() -> Api {
    let api = start().await;
    api.ok("POST", MAPS, map("good", "1")).await;
    for (name, bytes) in garbage() {
        put(&api, &format!("/registry/configmaps/default/{name}"), bytes).await;
    }
    api
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().or(list["rows"].as_array());
    let found = items.unwrap().iter().filter_map(|item| {
        let own = item.get("metadata");
        own.or_else(|| k3s_meta::tree::get(item, "object.metadata"))
    });
    found.filter_map(|it| it["name"].as_str()).collect()
}

#[tokio::test]
async fn lists_and_watches_show_all_others() {
    let api = with_garbage().await;
    for path in [
        MAPS.to_owned(),
        "/api/v1/configmaps?labelSelector=a!=b".to_owned(),
        format!("{MAPS}?fieldSelector=metadata.name!=x"),
        format!("{MAPS}?limit=50"),
    ] {
        for accept in ["application/json", "application/yaml", TABLE, PARTIAL] {
            let answer = api.accept(&path, accept).await;
            assert_eq!(answer.code, 200, "{path} {accept} {}", answer.text);
            if accept != "application/yaml" {
                assert!(names(&answer.body).contains(&"good"), "{}", answer.text);
            }
            assert!(!answer.text.contains("deep"), "{path} {accept}");
        }
    }
    for accept in ["application/json", TABLE, PARTIAL] {
        let mut watch = api.watch_as(&format!("{MAPS}?watch=1"), accept).await;
        let first = watch.next().await.unwrap();
        assert!(first.to_string().contains("good"), "{first}");
        put(&api, "/registry/configmaps/default/deep", b"{".to_vec()).await;
        let label = json!({"metadata": {"labels": {"turn": accept.len().to_string()}}});
        api.ok("PATCH", &format!("{MAPS}/good"), label).await;
        let next = watch.next().await.unwrap();
        assert_eq!(next["type"], "MODIFIED", "{next}");
    }
    let metrics = api.get("/metrics").await.text;
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("apiserver_storage_decode_errors_total "));
    assert!(
        counted.unwrap().parse::<u64>().unwrap() >= 6,
        "every entry counts once: {counted:?}"
    );
}

#[tokio::test]
async fn an_object_that_is_overwritten_with_garbage_is_deleted_for_its_watchers() {
    let api = start().await;
    api.ok("POST", MAPS, map("good", "1")).await;
    let mut watch = api.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.seen().await, seen("ADDED", "good"));
    put(&api, "/registry/configmaps/default/good", b"{".to_vec()).await;
    assert_eq!(watch.seen().await, seen("DELETED", "good"));
    api.ok("DELETE", &format!("{MAPS}/good"), Value::Null).await;
    api.ok("POST", MAPS, map("good", "2")).await;
    assert_eq!(watch.seen().await, seen("ADDED", "good"));
}

#[tokio::test]
async fn what_cannot_be_read_can_be_deleted_by_its_key() {
    let api = with_garbage().await;
    for (name, _) in garbage() {
        let path = format!("{MAPS}/{name}");
        assert_eq!(api.get(&path).await.code, 500, "{name}");
        assert_eq!(api.call("PUT", &path, map(name, "1")).await.code, 500);
        assert_eq!(api.call("POST", MAPS, map(name, "1")).await.code, 409);
        for other in [
            json!({"preconditions": {"uid": "1-2-3"}}),
            json!({"preconditions": {"resourceVersion": "1"}}),
        ] {
            assert_eq!(api.call("DELETE", &path, other).await.code, 409);
        }
        let dry = format!("{path}?dryRun=All");
        api.ok("DELETE", &dry, Value::Null).await;
        let done = api.ok("DELETE", &path, Value::Null).await;
        assert_eq!(
            (&done["status"], &done["details"]["name"]),
            (&json!("Success"), &json!(name))
        );
        assert_eq!(api.get(&path).await.code, 404);
        api.ok("POST", MAPS, map(name, "1")).await;
    }
}

#[tokio::test]
async fn the_option_for_corrupt_objects_spares_those_that_can_be_read() {
    const OPTION: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";
    let api = with_garbage().await;
    let refused = api
        .call("DELETE", &format!("{MAPS}/good"), json!({OPTION: true}))
        .await;
    refused.refused(
        422,
        "ConfigMap \"good\" is invalid: ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: \
is exclusively used to delete corrupt object(s), try again by removing this option",
    );
    let both = api
        .call(
            "DELETE",
            &format!("{MAPS}/cut?{OPTION}=true&dryRun=All"),
            Value::Null,
        )
        .await;
    assert_eq!(both.code, 422, "{}", both.text);
    let path = format!("{MAPS}/cut?{OPTION}=true");
    api.ok("DELETE", &path, Value::Null).await;
    api.ok("DELETE", &format!("{MAPS}/list"), json!({OPTION: true}))
        .await;
}

#[tokio::test]
async fn deleting_a_collection_leaves_nothing_under_its_keys() {
    let api = with_garbage().await;
    let selected = format!("{MAPS}?labelSelector=a=b");
    api.ok("DELETE", &selected, Value::Null).await;
    let range = "/registry/configmaps/default/";
    assert_eq!(api.store.count(range), 1 + garbage().len());
    api.ok("DELETE", MAPS, Value::Null).await;
    assert_eq!(api.store.count(range), 0);
}

#[tokio::test]
async fn the_definition_of_objects_that_cannot_be_read_can_be_deleted() {
    let api = start().await;
    establish(&api, definition()).await;
    api.ok("POST", TABS, tab("good")).await;
    let range = "/registry/stable.example.com/crontabs/";
    for (name, bytes) in garbage() {
        put(&api, &format!("{range}default/{name}"), bytes).await;
    }
    let selected = format!("{TABS}?fieldSelector=spec.image=a");
    let list = api.ok("GET", &selected, Value::Null).await;
    assert_eq!(names(&list), ["good"]);
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    api.ok("DELETE", &path, Value::Null).await;
    gone(&api, &path).await;
    assert_eq!(api.store.count(range), 0);
}

#[tokio::test]
async fn a_budget_that_cannot_be_read_still_protects() {
    let api = start().await;
    api.ok("POST", crate::harness::PODS, crate::harness::pod("a"))
        .await;
    let running = json!({"status": {"phase": "Running"}});
    let status = format!("{}/a/status", crate::harness::PODS);
    api.ok("PATCH", &status, running).await;
    let key = "/registry/poddisruptionbudgets/default/b";
    put(&api, key, b"{".to_vec()).await;
    let evict = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}});
    let path = format!("{}/a/eviction", crate::harness::PODS);
    assert_eq!(api.call("POST", &path, evict).await.code, 500);
}

#[tokio::test]
async fn a_server_starts_over_garbage_of_every_kind() {
    let backend = MemoryBackend::new();
    let api = start_on(backend.clone()).await;
    let keys: Vec<String> = api
        .store
        .snapshot()
        .range("/registry/", None)
        .map(|entry| entry.key.to_string())
        .collect();
    let mut prefixes: Vec<&str> = keys
        .iter()
        .filter_map(|key| key.rsplit_once('/'))
        .map(|(prefix, _)| prefix)
        .collect();
    prefixes.extend([
        "/registry/services/specs/default",
        "/registry/pods/default",
        "/registry/resourcequotas/default",
        "/registry/apiextensions.k8s.io/customresourcedefinitions",
        "/registry/minions",
    ]);
    prefixes.dedup();
    for prefix in prefixes {
        put(&api, &format!("{prefix}/broken"), b"{".to_vec()).await;
    }
    assert!(api.tasks.stop(crate::harness::DEADLINE).await);
    let api = restart_on(backend).await;
    let services = request("GET", "/api/v1/services", &Value::Null);
    let answer = api.send(services, Some(crate::harness::admin())).await;
    assert_eq!(answer.code, 200, "{}", answer.text);
    assert!(names(&answer.body).contains(&"kubernetes"));
}
