//! Bad input: one clear error each, in Kubernetes' words.

use http::Request;
use k3s_serve::body;
use serde_json::{Value, json};

use crate::harness::{Api, MAPS, PODS, admin, map, pod, request, start};

async fn post(api: &Api, path: &str, kind: &str, text: &str) -> crate::harness::Answer {
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", kind);
    api.send(
        request.body(body::full(text.to_owned())).unwrap(),
        Some(admin()),
    )
    .await
}

#[tokio::test]
async fn unknown_and_repeated_fields() {
    let api = start().await;
    let mut object = pod("a");
    object["spec"]["foo"] = json!(1);
    api.call("POST", &format!("{PODS}?fieldValidation=Strict"), object.clone()).await.refused(
        400,
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.foo\"",
    );
    let warned = api.call("POST", PODS, object.clone()).await;
    assert_eq!(warned.code, 201, "{}", warned.text);
    assert_eq!(
        warned.warnings(),
        ["299 - \"unknown field \\\"spec.foo\\\"\""]
    );
    assert!(warned.body["spec"].get("foo").is_none());
    object["metadata"]["name"] = json!("b");
    assert!(
        api.call("POST", &format!("{PODS}?fieldValidation=Ignore"), object)
            .await
            .warnings()
            .is_empty()
    );
    let twice = r#"{"metadata":{"name":"c"},"data":{"k":"1"},"data":{"k":"2"}}"#;
    post(&api, &format!("{MAPS}?fieldValidation=Strict"), "application/json", twice).await.refused(
        400,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data\"",
    );
    let both = r#"{"metadata":{"name":"c"},"unknown":1,"data":{"k":"1"},"data":{"k":"2"}}"#;
    post(&api, &format!("{MAPS}?fieldValidation=Strict"), "application/json", both).await.refused(
        400,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"unknown\", duplicate field \"data\"",
    );
    let bad = api
        .call(
            "POST",
            &format!("{MAPS}?fieldValidation=Sometimes"),
            map("x", "1"),
        )
        .await;
    bad.refused(
        422,
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Sometimes\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
    );
    let unprintable = api
        .call("POST", &format!("{MAPS}?fieldManager=a%07b"), map("x", "1"))
        .await;
    unprintable.refused(
        422,
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\ab\": invalid character U+0007 (at position 1)",
    );
    let forced = api
        .call("PATCH", &format!("{MAPS}/x?force=true"), json!({}))
        .await;
    forced.refused(
        422,
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
    );
}

#[tokio::test]
async fn wrong_types_and_kinds() {
    let api = start().await;
    let mut object = pod("a");
    object["spec"]["containers"] = json!("none");
    let refused = api.call("POST", PODS, object).await;
    assert_eq!(refused.code, 400);
    assert!(
        refused.message().starts_with(
            "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field"
        ),
        "{}",
        refused.message()
    );
    let mut other = pod("a");
    other["apiVersion"] = json!("v2");
    api.call("POST", PODS, other).await.refused(
        400,
        "Pod in version \"v2\" cannot be handled as a Pod: no kind \"Pod\" is registered for version \"v2\" in scheme \"pkg/runtime/scheme.go:111\"",
    );
    api.call("POST", PODS, map("a", "1")).await.refused(
        400,
        "ConfigMap in version \"v1\" cannot be handled as a Pod: converting (v1.ConfigMap) to (core.Pod): unknown conversion",
    );
    let unrecognized = "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: ";
    let no_struct = "into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    for (text, why) in [
        (
            "{nonsense",
            "invalid character 'n' looking for beginning of object key string ({nonsense)"
                .to_owned(),
        ),
        ("", "unexpected end of JSON input (<empty>)".to_owned()),
        (
            "\"x\"",
            format!("json: cannot unmarshal string {no_struct} (227822)"),
        ),
        (
            "{\"data\": {\"k\": \"v\"}} and something behind it",
            "invalid character 'a' after top-level value ({\"data\": {\"k\": \"v\"}} and somet ...)"
                .to_owned(),
        ),
    ] {
        let answer = post(&api, MAPS, "application/json", text).await;
        answer.refused(400, &format!("{unrecognized}{why}"));
    }
    // Go decodes null into nothing, which then has no name.
    assert_eq!(post(&api, MAPS, "application/json", "null").await.code, 422);
    let twice = "metadata:\n  name: twice\ndata:\n  k: \"1\"\n  k: \"2\"\n";
    let strict = format!("{MAPS}?fieldValidation=Strict");
    post(&api, &strict, "application/yaml", twice).await.refused(
        400,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n  line 5: key \"k\" already set in map",
    );
    let last = post(&api, MAPS, "application/yaml", twice).await;
    assert_eq!(last.body["data"]["k"], "2", "{}", last.text);
    assert_eq!(post(&api, MAPS, "application/yaml", "a: [").await.code, 400);
    let yaml = post(
        &api,
        MAPS,
        "application/yaml",
        "metadata:\n  name: yam\ndata:\n  k: \"1\"\n",
    )
    .await;
    assert_eq!(
        (yaml.code.as_u16(), &yaml.body["data"]["k"]),
        (201, &json!("1")),
        "{}",
        yaml.text
    );
    let protobuf = post(&api, MAPS, "application/vnd.kubernetes.protobuf", "k8s").await;
    assert_eq!(protobuf.code, 400, "{}", protobuf.text);
    let other = post(&api, MAPS, "application/cbor", "x").await;
    assert_eq!(other.code, 415);
    assert!(
        other
            .message()
            .contains("accepted media types include: application/json, application/yaml")
    );
}

#[tokio::test]
async fn names_and_namespaces() {
    let api = start().await;
    let refused = api.call("POST", MAPS, map("Not_Valid", "1")).await;
    assert_eq!(refused.code, 422);
    assert!(refused.message().starts_with("ConfigMap \"Not_Valid\" is invalid: metadata.name: Invalid value: \"Not_Valid\": a lowercase RFC 1123 subdomain must consist of"), "{}", refused.message());
    api.call("POST", "/api/v1/namespaces/nope/configmaps", map("a", "1"))
        .await
        .refused(404, "namespaces \"nope\" not found");
    let mut other = map("a", "1");
    other["metadata"]["namespace"] = json!("elsewhere");
    api.call("POST", MAPS, other).await.refused(
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    );
    let missing = api.call("POST", MAPS, json!({"data": {}})).await;
    assert!(
        missing
            .message()
            .contains("name or generateName is required"),
        "{}",
        missing.message()
    );
    api.ok("POST", MAPS, map("a", "1")).await;
    api.call("POST", MAPS, map("a", "1"))
        .await
        .refused(409, "configmaps \"a\" already exists");
    api.call("PUT", &format!("{MAPS}/a"), map("b", "1"))
        .await
        .refused(
            400,
            "the name of the object (b) does not match the name on the URL (a)",
        );
    api.call("PUT", &format!("{MAPS}/a"), json!({"data": {}}))
        .await
        .refused(
            400,
            "the name of the object (a based on URL) was undeterminable: name must be provided",
        );
    // A namespace is looked at before a name.
    let moved = json!({"metadata": {"name": "b", "namespace": "elsewhere"}});
    for method in ["PUT", "PATCH"] {
        let answer = api.call(method, &format!("{MAPS}/a"), moved.clone()).await;
        answer.refused(
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        );
    }
}

#[tokio::test]
async fn immutable_fields_and_the_uid() {
    let api = start().await;
    let made = api.ok("POST", MAPS, map("a", "1")).await;
    let mut other = made.clone();
    other["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    let refused = api.call("PUT", &format!("{MAPS}/a"), other).await;
    assert_eq!(refused.code, 409);
    assert!(
        refused
            .message()
            .contains("Precondition failed: UID in precondition")
    );
    let other = json!({"metadata": {"uid": "other"}});
    api.call("PATCH", &format!("{MAPS}/a"), other).await.refused(
        422,
        "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable",
    );
    for method in ["PUT", "PATCH"] {
        let mut odd = map("a", "1");
        odd["metadata"]["resourceVersion"] = json!("x");
        let answer = api.call(method, &format!("{MAPS}/a"), odd).await;
        answer.refused(500, "strconv.ParseUint: parsing \"x\": invalid syntax");
        assert_eq!(answer.body.get("reason"), None);
    }
    let mut frozen = map("f", "1");
    frozen["immutable"] = json!(true);
    api.ok("POST", MAPS, frozen).await;
    let refused = api
        .call("PATCH", &format!("{MAPS}/f"), json!({"data": {"k": "2"}}))
        .await;
    assert_eq!(refused.code, 422);
    assert!(
        refused
            .message()
            .contains("field is immutable when `immutable` is set"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn sizes_methods_and_paths() {
    let api = start().await;
    let big = api
        .call("POST", MAPS, map("a", &"x".repeat(3 * 1024 * 1024)))
        .await;
    assert_eq!(big.code, 413);
    assert!(
        big.message()
            .starts_with("Request entity too large: limit is 3145728"),
        "{}",
        big.message()
    );
    for path in ["/nothing", "/apis/none.example", "/apis/none.example/v1/x"] {
        let answer = api.get(path).await;
        assert_eq!(
            (answer.code.as_u16(), answer.text.as_str()),
            (404, "404 page not found\n"),
            "{path}"
        );
    }
    for path in [
        "/api/v1/nothing",
        "/api/v9",
        "/apis/apps/v9",
        "/api/v1/pods/x",
        "/api/v1/namespaces/default/nodes",
        "/api/v1/namespaces/default/configmaps/a/status",
        "/api/v1/configmaps/a",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews/a",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews/a/log",
    ] {
        let message = "the server could not find the requested resource";
        for method in ["GET", "OPTIONS", "POST", "PATCH"] {
            let answer = api.call(method, path, Value::Null).await;
            answer.refused(404, message);
        }
    }
    for name in ["..", "%2e%2e"] {
        for method in ["GET", "DELETE"] {
            let answer = api
                .call(method, &format!("{MAPS}/{name}"), Value::Null)
                .await;
            answer.refused(400, "Name parameter invalid: \"..\": may not be '..'");
        }
    }
    let review = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    api.call("POST", review, json!({})).await.refused(
        422,
        ".authorization.k8s.io \"\" is invalid: [spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: \"\": at least one of user or group must be specified]",
    );
    let watched = api.get("/api/v1/configmaps/a?watch=1").await;
    assert_eq!(watched.code, 404);
    let no_method = "the server does not allow this method on the requested resource";
    for (method, path, code, message) in [
        ("POST", "/api/v1", 405, no_method),
        ("POST", "/version", 405, no_method),
        (
            "POST",
            "/api/v1/watch/namespaces/default/configmaps",
            405,
            no_method,
        ),
        (
            "PUT",
            "/api/v1/namespaces/default/configmaps",
            405,
            no_method,
        ),
        (
            "PUT",
            "/api/v9",
            404,
            "the server could not find the requested resource",
        ),
    ] {
        let answer = api.call(method, path, Value::Null).await;
        answer.refused(code, message);
    }
    assert_eq!(
        api.call("POST", "/api/v1/namespaces/default/pods/x/log", Value::Null)
            .await
            .code,
        405
    );
    for path in ["/healthz", "/openapi/v2", "/apis/apps"] {
        assert_eq!(
            api.call("POST", path, Value::Null).await.code,
            200,
            "{path}"
        );
    }
    api.ok("POST", MAPS, map("a", "1")).await;
    assert_eq!(api.get(&format!("{MAPS}/a/")).await.code, 200);
    assert_eq!(api.get(&format!("{MAPS}/")).await.code, 200);
    for (path, code) in [(format!("{MAPS}/a"), 200), (format!("{MAPS}/none"), 404)] {
        let head = request("HEAD", &path, &Value::Null);
        let answer = api.send(head, Some(admin())).await;
        assert_eq!(
            (answer.code.as_u16(), answer.text.as_str()),
            (code, ""),
            "{path}"
        );
    }
    assert_eq!(
        api.send(request("OPTIONS", MAPS, &Value::Null), Some(admin()))
            .await
            .code,
        405
    );
    let odd = api
        .call("POST", &format!("{MAPS}?dryRun=Some"), map("z", "1"))
        .await;
    assert!(
        odd.message()
            .contains("dryRun: Unsupported value: [\"Some\"]: supported values: \"All\""),
        "{}",
        odd.message()
    );
}

#[tokio::test]
async fn kinds_without_effect_say_so() {
    let api = start().await;
    let path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
    let answer = api
        .call(
            "POST",
            path,
            json!({"metadata": {"name": "n"}, "spec": {"podSelector": {}}}),
        )
        .await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    assert!(
        answer
            .warnings()
            .iter()
            .any(|text| text
                .contains("networkpolicies.networking.k8s.io is stored but not acted on"))
    );
    assert!(
        api.call("POST", MAPS, map("a", "1"))
            .await
            .warnings()
            .is_empty()
    );
}
