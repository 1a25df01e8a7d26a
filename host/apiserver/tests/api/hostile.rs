//! Bodies, headers and requests that are made to cost much or to be taken for something else.

use http::Request;
use k3s_serve::{Body, body};
use serde_json::{Value, json};

use crate::access::grant;
use crate::harness::{Answer, Api, MAPS, PODS, admin, map, node, pod, request, start};

async fn post(api: &Api, path: &str, kind: &str, text: String) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", kind)
        .body(body::full(text))
        .unwrap();
    api.send(request, Some(admin())).await
}

#[tokio::test]
async fn aliases_make_no_more_of_a_document_than_it_is_long() {
    let api = start().await;
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..=5 {
        let below = vec![format!("*a{}", level - 1); 9].join(",");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(text.len() < 464);
    for path in [
        MAPS,
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    ] {
        let refused = post(&api, path, "application/yaml", text.clone()).await;
        assert_eq!(refused.code, 400, "{}", refused.text);
    }
    let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain, labels: &l {a: b}, annotations: *l}\n";
    let made = post(&api, MAPS, "application/yaml", plain.to_owned()).await;
    assert_eq!(
        made.body["metadata"]["annotations"]["a"], "b",
        "{}",
        made.text
    );
}

#[tokio::test]
async fn a_refusal_is_no_multiple_of_what_it_refuses() {
    let api = start().await;
    let labels: serde_json::Map<String, Value> = (0..50_000)
        .map(|at| (format!("!{at}"), json!("!")))
        .collect();
    for field in ["labels", "annotations"] {
        let map = json!({"metadata": {"name": "a", field: labels}});
        let refused = api.call("POST", MAPS, map).await;
        assert_eq!(refused.code, 422);
        let causes = refused.body["details"]["causes"].as_array().unwrap();
        assert!(causes.len() <= 257, "{field}: {} causes", causes.len());
        assert!(
            refused.text.len() < 300_000,
            "{field}: {} bytes",
            refused.text.len()
        );
        assert!(refused.message().contains("more errors"), "{field}");
    }
}

/// Seven copies (or moves) of a tree below itself would double its depth each time, beyond what any stack holds.
#[tokio::test]
async fn a_patch_cannot_make_a_tree_that_is_deeper_than_any_body() {
    let api = start().await;
    api.ok("POST", MAPS, map("deep", "v")).await;
    let mut tree = json!({});
    for _ in 0..100 {
        tree = json!({"x": tree});
    }
    for operation in ["copy", "move"] {
        let mut operations = vec![json!({"op": "add", "path": "/z", "value": tree})];
        let mut depth = 100;
        for _ in 0..7 {
            let from = if operation == "move" { "/y" } else { "/z" };
            if operation == "move" {
                operations.push(json!({"op": "copy", "from": "/z", "path": "/y"}));
            }
            let path = format!("/z{}", "/x".repeat(depth));
            operations.push(json!({"op": operation, "from": from, "path": path}));
            depth *= 2;
        }
        let request = Request::builder()
            .method("PATCH")
            .uri(format!("{MAPS}/deep?dryRun=All"))
            .header("content-type", "application/json-patch+json")
            .body(body::full(Value::Array(operations).to_string()))
            .unwrap();
        let refused = api.send(request, Some(admin())).await;
        assert_eq!(refused.code, 413, "{operation}: {}", refused.text);
    }
    assert_eq!(api.get(&format!("{MAPS}/deep")).await.code, 200);
}

/// The JSON library would read the map as the JSON in its text, when the object is read again.
#[tokio::test]
async fn no_field_makes_an_object_another_one_when_it_is_read_again() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/controllerrevisions";
    let data = json!({"x": {(k3s_meta::plain::RESERVED_KEY): "{\"y\": 1}"}});
    let body = json!({"metadata": {"name": "a"}, "revision": 1, "data": data});
    let refused = api.call("POST", path, body).await;
    assert_eq!(refused.code, 400, "{}", refused.text);
    assert!(refused.text.contains("RawValue"), "{}", refused.text);
}

#[tokio::test]
async fn bodies_of_subresources_have_the_types_of_their_kinds() {
    let api = start().await;
    api.ok("POST", PODS, pod("a")).await;
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    for wrong in [json!("9"), json!(true), json!([]), json!({}), json!(1.5)] {
        let spec = json!({"spec": {"expirationSeconds": wrong}});
        let refused = api.call("POST", token, spec).await;
        assert_eq!(refused.code, 400, "{}", refused.text);
    }
    for (path, wrong) in [
        (
            format!("{PODS}/a/eviction"),
            json!({"deleteOptions": {"gracePeriodSeconds": "x"}}),
        ),
        (format!("{PODS}/a/binding"), json!({"target": "n1"})),
    ] {
        assert_eq!(api.call("POST", &path, wrong).await.code, 400, "{path}");
    }
    let options = json!({"gracePeriodSeconds": "0"});
    let refused = api.call("DELETE", &format!("{PODS}/a"), options).await;
    assert_eq!(refused.code, 400, "{}", refused.text);
}

fn acting(headers: &[(&str, &[u8])]) -> Request<Body> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let mut request = request("POST", path, &json!({}));
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        let value = http::HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

#[tokio::test]
async fn impersonation_is_read_as_it_was_meant() {
    let api = start().await;
    let whoami = async |headers: &[(&str, &[u8])]| {
        let answer = api.send(acting(headers), Some(admin())).await;
        (
            answer.code.as_u16(),
            answer.body["status"]["userInfo"].clone(),
        )
    };
    // Nobody is asked for.
    let (code, user) = whoami(&[("impersonate-user", &b""[..])]).await;
    assert_eq!((code, &user["username"]), (201, &json!("admin")));
    let (code, _) = whoami(&[
        ("impersonate-user", &b""[..]),
        ("impersonate-group", &b"a"[..]),
    ])
    .await;
    assert_eq!(code, 500, "groups need a user");
    let group = "gr\u{fc}n";
    let named = [
        ("impersonate-user", &b"jane"[..]),
        ("impersonate-group", group.as_bytes()),
    ];
    let (_, user) = whoami(&named).await;
    assert_eq!(user["groups"], json!([group, "system:authenticated"]));
    let (code, _) = whoami(&[
        ("impersonate-user", &b"jane"[..]),
        ("impersonate-group", &b"\xff"[..]),
    ])
    .await;
    assert_eq!(code, 400, "a group that cannot be read is not left out");
    let stranger = [
        ("impersonate-user", &b"jane"[..]),
        ("impersonate-group", &b"system:unauthenticated"[..]),
    ];
    let answer = api.send(acting(&stranger), Some(admin())).await;
    let groups = &answer.body["status"]["userInfo"]["groups"];
    assert!(
        !groups.to_string().contains("system:authenticated"),
        "{groups}"
    );
}

#[tokio::test]
async fn a_node_reads_its_own_pods_and_asks_for_the_audiences_they_name() {
    let api = start().await;
    let projected = |audience: &str| json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": audience}}]}});
    for (name, to) in [
        ("own", "n1"),
        ("ended", "n1"),
        ("foreign", "n2"),
        ("free", ""),
    ] {
        let mut object = pod(name);
        let mut volume = projected("vault");
        volume["name"] = json!("token");
        object["spec"]["volumes"] = json!([volume]);
        api.ok("POST", PODS, object).await;
        if !to.is_empty() {
            let binding =
                json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": to}});
            api.ok("POST", &format!("{PODS}/{name}/binding"), binding)
                .await;
        }
    }
    let get = async |path: &str| api.call_as(node("n1"), "GET", path, Value::Null).await;
    assert_eq!(get(&format!("{PODS}/own")).await.code, 200);
    for other in ["foreign", "free", "missing"] {
        let refused = get(&format!("{PODS}/{other}")).await;
        assert_eq!(refused.code, 403, "{other}");
    }
    let watch = format!("{PODS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=");
    assert_eq!(get(&format!("{watch}own")).await.code, 200);
    assert_eq!(get(&format!("{watch}foreign")).await.code, 403);
    let phase = json!({"status": {"phase": "Succeeded"}});
    let ended = format!("{PODS}/ended");
    api.ok("PATCH", &format!("{ended}/status"), phase).await;
    assert_eq!(get(&ended).await.code, 200, "also when it has ended");
    let uid = api.ok("GET", &format!("{PODS}/own"), Value::Null).await["metadata"]["uid"].clone();
    let token = async |audiences: Value| {
        let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": "own", "uid": uid});
        let request = json!({"spec": {"audiences": audiences, "boundObjectRef": bound}});
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        api.call_as(node("n1"), "POST", path, request).await
    };
    api.eventually("the account is known to be the pod's", || async {
        token(json!(["vault"])).await.code == 201
    })
    .await;
    assert_eq!(
        token(json!([])).await.code,
        201,
        "the volume of every account is for this API"
    );
    for other in [json!(["sts.amazonaws.com"]), json!(["vault", "other"])] {
        let refused = token(other.clone()).await;
        assert_eq!(refused.code, 403, "{other}: {}", refused.text);
    }
    let rules = json!([{"apiGroups": [""], "resources": ["sts.amazonaws.com"], "verbs": ["request-serviceaccounts-token-audience"]}]);
    grant(&api, "audience", "system:node:n1", rules).await;
    api.eventually("the node was granted the audience", || async {
        token(json!(["sts.amazonaws.com"])).await.code == 201
    })
    .await;
    // A claim leads to the driver whose tokens its volume needs.
    let driver = json!({"metadata": {"name": "csi.example.com"}, "spec": {"tokenRequests": [{"audience": "storage"}]}});
    api.ok("POST", "/apis/storage.k8s.io/v1/csidrivers", driver)
        .await;
    assert_eq!(token(json!(["storage"])).await.code, 403);
    let mut object = pod("csi");
    object["spec"]["volumes"] = json!([{"name": "v", "csi": {"driver": "csi.example.com"}}]);
    let made = api.ok("POST", PODS, object).await;
    let binding = json!({"metadata": {"name": "csi"}, "target": {"kind": "Node", "name": "n1"}});
    api.ok("POST", &format!("{PODS}/csi/binding"), binding)
        .await;
    let bound =
        json!({"kind": "Pod", "apiVersion": "v1", "name": "csi", "uid": made["metadata"]["uid"]});
    let request = json!({"spec": {"audiences": ["storage"], "boundObjectRef": bound}});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    assert_eq!(
        api.call_as(node("n1"), "POST", path, request).await.code,
        201
    );
}
