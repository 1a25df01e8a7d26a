//! The patch types.

use http::Request;
use k3s_serve::body;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, MAPS, PODS, admin, map, pod, start};

async fn patch(api: &Api, path: &str, kind: &str, patch: &Value) -> Answer {
    let request = Request::builder()
        .method("PATCH")
        .uri(path)
        .header("content-type", kind);
    api.send(
        request.body(body::full(patch.to_string())).unwrap(),
        Some(admin()),
    )
    .await
}

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

#[tokio::test]
async fn each_type_does_what_it_says() {
    let api = start().await;
    let mut object = pod("a");
    object["spec"]["containers"] =
        json!([{"name": "c", "image": "one"}, {"name": "d", "image": "two"}]);
    api.ok("POST", PODS, object).await;
    let path = format!("{PODS}/a");
    let strategic = json!({"spec": {"containers": [{"name": "d", "image": "three"}]}});
    let done = patch(&api, &path, STRATEGIC, &strategic).await;
    assert_eq!(done.code, 200, "{}", done.text);
    let images: Vec<_> = done.body["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["image"])
        .collect();
    assert_eq!(images, ["one", "three"]);
    let operations = json!([{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]);
    assert_eq!(
        patch(&api, &path, JSON, &operations).await.body["metadata"]["labels"]["x"],
        "y"
    );
    let merged = patch(
        &api,
        &path,
        MERGE,
        &json!({"metadata": {"labels": {"x": null, "z": "1"}}}),
    )
    .await;
    assert_eq!(merged.body["metadata"]["labels"], json!({"z": "1"}));
}

#[tokio::test]
async fn what_cannot_be_patched_is_told() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let path = format!("{MAPS}/a");
    let apply = patch(&api, &path, "application/apply-patch+yaml", &map("a", "2")).await;
    assert_eq!(apply.code, 415);
    assert!(
        apply
            .message()
            .contains("server-side apply is not supported")
    );
    let plain = patch(&api, &path, "application/json", &json!({})).await;
    plain.refused(415, "415: Unsupported Media Type");
    let failing = json!([{"op": "test", "path": "/data/k", "value": "9"}]);
    assert_eq!(patch(&api, &path, JSON, &failing).await.code, 422);
    assert_eq!(patch(&api, &path, JSON, &json!({})).await.code, 400);
    assert_eq!(
        patch(&api, &format!("{MAPS}/b"), MERGE, &json!({}))
            .await
            .code,
        404
    );
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "3"}});
    assert_eq!(patch(&api, &path, MERGE, &stale).await.code, 409);
}

#[tokio::test]
async fn patches_at_once_all_count() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let path = format!("{MAPS}/a");
    let all = (0..20).map(|n| {
        let (api, path) = (&api, path.clone());
        async move {
            patch(api, &path, MERGE, &json!({"data": {format!("n{n}"): "x"}}))
                .await
                .code
        }
    });
    for code in futures_util::future::join_all(all).await {
        assert_eq!(code, 200);
    }
    assert_eq!(
        api.ok("GET", &path, Value::Null).await["data"]
            .as_object()
            .unwrap()
            .len(),
        21
    );
}
