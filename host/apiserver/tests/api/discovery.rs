//! Discovery, OpenAPI, probes, version.

use serde_json::{Value, json};

use crate::harness::{MAPS, start};

#[tokio::test]
async fn both_forms_of_discovery() {
    let api = start().await;
    let core = api.ok("GET", "/api/v1", Value::Null).await;
    assert!(
        core["resources"]
            .as_array()
            .unwrap()
            .iter()
            .any(|r| r["name"] == "pods" && r["shortNames"] == json!(["po"]))
    );
    let groups = api.ok("GET", "/apis", Value::Null).await;
    assert!(
        groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .any(|g| g["name"] == "apps")
    );
    assert_eq!(
        api.ok("GET", "/apis/apps/v1", Value::Null).await["kind"],
        "APIResourceList"
    );
    let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let aggregated = api.accept("/apis", kubectl).await;
    assert_eq!(aggregated.body["kind"], "APIGroupDiscoveryList");
    assert!(
        aggregated.headers["content-type"]
            .to_str()
            .unwrap()
            .contains("as=APIGroupDiscoveryList")
    );
}

#[tokio::test]
async fn openapi_is_served_in_both_encodings() {
    let api = start().await;
    let index = api.ok("GET", "/openapi/v3", Value::Null).await;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap()
        .to_owned();
    let document = api.get(&url).await;
    assert!(document.body["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"].is_object());
    assert!(document.headers.contains_key("etag"));
    // Clients ask with an `@`, which media types must not have; upstream answers with a dot.
    let asked = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let answered = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
    let encoded = api.accept(&url, asked).await;
    assert_eq!(
        (
            encoded.code.as_u16(),
            encoded.headers["content-type"].to_str().unwrap()
        ),
        (200, answered)
    );
}

#[tokio::test]
async fn probes_version_and_metrics() {
    let api = start().await;
    assert_eq!(api.get("/readyz").await.text, "ok");
    let verbose = api.get("/livez?verbose").await.text;
    assert!(
        verbose.starts_with("[+]ping ok\n") && verbose.ends_with("livez check passed\n"),
        "{verbose}"
    );
    assert_eq!(api.get("/readyz/ping").await.text, "ok");
    assert_eq!(api.get("/readyz/none").await.code, 404);
    let version = api.ok("GET", "/version", Value::Null).await;
    assert_eq!(
        (&version["gitVersion"], &version["minor"]),
        (&json!("v1.36.0+k3s1"), &json!("36"))
    );
    api.get(MAPS).await;
    let metrics = api.get("/metrics").await.text;
    assert!(
        metrics.contains("apiserver_request_total{verb=\"LIST\",group=\"\",version=\"v1\",resource=\"configmaps\""),
        "{metrics}"
    );
    let issuer = api
        .ok("GET", "/.well-known/openid-configuration", Value::Null)
        .await;
    assert_eq!(
        issuer["issuer"],
        "https://kubernetes.default.svc.cluster.local"
    );
    assert_eq!(
        api.ok("GET", "/openid/v1/jwks", Value::Null).await["keys"][0]["kty"],
        "EC"
    );
}

#[tokio::test]
async fn requests_are_counted_by_client_and_no_client_on_the_wire_can_make_a_series() {
    let api = start().await;
    let kubelet = crate::harness::node("n");
    api.call_as(kubelet, "GET", MAPS, Value::Null).await;
    let metrics = api.get("/metrics").await.text;
    let line = |client: &str, resource: &str| {
        let wanted =
            format!("client=\"{client}\",verb=\"LIST\",group=\"\",resource=\"{resource}\"");
        metrics.lines().any(|line| {
            line.starts_with("k3s_apiserver_client_requests_total{") && line.contains(&wanted)
        })
    };
    assert!(line("system:node:n", "configmaps"), "{metrics}");
    api.call_as(
        crate::harness::user("one"),
        "GET",
        "/api/v1/nonsense",
        Value::Null,
    )
    .await;
    let metrics = api.get("/metrics").await.text;
    assert!(!metrics.contains("nonsense"), "{metrics}");
}
