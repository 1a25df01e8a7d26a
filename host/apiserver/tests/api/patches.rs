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

/// What a patch makes of an object is decoded as a body is; the refusal shows it or, for a strategic merge, the patch.
#[tokio::test]
async fn what_a_patch_makes_is_an_object_of_the_kind() {
    let api = start().await;
    api.ok("POST", MAPS, map("a", "1")).await;
    let path = format!("{MAPS}/a?fieldValidation=Strict");
    let invalid = " \"\" is invalid: patch: Invalid value: ";
    let labels = "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type map[string]string";
    for (kind, change, code, start, end) in [
        (
            MERGE,
            json!({"metadata": {"labels": 5}}),
            422,
            format!("{invalid}\"{{\\\"apiVersion\\\":\\\"v1\\\","),
            format!("\": {labels}"),
        ),
        (
            JSON,
            json!([{"op": "add", "path": "/metadata/labels", "value": 5}]),
            422,
            format!("{invalid}\"{{\\\"apiVersion\\\""),
            labels.to_owned(),
        ),
        (
            STRATEGIC,
            json!({"metadata": {"labels": 5}}),
            422,
            format!("{invalid}\"map[metadata:map[labels:5]]\": "),
            "cannot restore map from int64".to_owned(),
        ),
        (
            STRATEGIC,
            json!({"b": 1, "a": 1}),
            422,
            format!("{invalid}\"map[a:1 b:1]\": strict decoding error: "),
            "unknown field \"a\", unknown field \"b\"".to_owned(),
        ),
        (
            MERGE,
            json!({"kind": "Secret"}),
            422,
            invalid.to_owned(),
            "converting (v1.Secret) to (core.ConfigMap): unknown conversion".to_owned(),
        ),
        (
            JSON,
            json!([{"op": "add", "path": "/data/x", "value": "1", "odd": 1}]),
            422,
            invalid.to_owned(),
            "strict decoding error: json patch unknown field \"[0].odd\"".to_owned(),
        ),
        (
            STRATEGIC,
            json!({"data": {"$patch": "other"}}),
            500,
            String::new(),
            "unknown patch type: other in map: map[$patch:other]".to_owned(),
        ),
        (
            MERGE,
            json!([]),
            400,
            String::new(),
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}".to_owned(),
        ),
        (
            STRATEGIC,
            json!([]),
            400,
            String::new(),
            "json: cannot unmarshal array into Go value of type map[string]interface {}".to_owned(),
        ),
        (
            JSON,
            json!(["x"]),
            400,
            String::new(),
            "error decoding patch: json: cannot unmarshal string into Go value of type handlers.jsonPatchOp".to_owned(),
        ),
        (
            MERGE,
            json!({"metadata": null}),
            400,
            String::new(),
            "the name of the object (a based on URL) was undeterminable: name must be provided".to_owned(),
        ),
        (JSON, json!(null), 200, String::new(), String::new()),
        (STRATEGIC, json!({"kind": "Other"}), 200, String::new(), String::new()),
    ] {
        let answer = patch(&api, &path, kind, &change).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        assert_eq!(answer.code, code, "{change}: {}", answer.text);
        assert!(message.starts_with(&start), "{change}: {message}");
        assert!(message.ends_with(&end), "{change}: {message}");
    }
    // That there is no such object is told before what is wrong with a patch.
    let missing = patch(&api, &format!("{MAPS}/b"), MERGE, &json!([])).await;
    missing.refused(404, "configmaps \"b\" not found");
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
