//! Nobody reaches more than they were granted: what is authorised is what is done, and nobody makes the
//! edge that authorises them.

use serde_json::{Value, json};

use crate::access::{RBAC, grant};
use crate::harness::{node, start, user};

#[tokio::test]
async fn a_label_does_not_put_a_role_into_others() {
    let api = start().await;
    let role = json!({"metadata": {"name": "editor"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "verbs": ["get", "patch"]}]});
    api.ok("POST", &format!("{RBAC}/clusterroles"), role).await;
    let binding = json!({"metadata": {"name": "editor"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "editor"}});
    api.ok("POST", &format!("{RBAC}/clusterrolebindings"), binding)
        .await;
    let admin = format!("{RBAC}/clusterroles/cluster-admin");
    let patch = |metadata: Value| {
        let body = json!({"metadata": metadata});
        api.call_as(user("jane"), "PATCH", &admin, body)
    };
    api.eventually("jane may patch roles", || async {
        patch(json!({"finalizers": ["example.com/f"]})).await.code == 200
    })
    .await;
    let label = json!({"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}});
    assert_eq!(patch(label).await.code, 403);
    assert_eq!(patch(json!({"finalizers": null})).await.code, 200);
}

#[tokio::test]
async fn a_put_that_creates_needs_the_right_to_create() {
    let api = start().await;
    let paths = [
        (
            "",
            "services",
            "/api/v1/namespaces/default/services",
            json!({"spec": {"ports": [{"port": 80}], "externalIPs": ["192.0.2.9"]}}),
        ),
        (
            "coordination.k8s.io",
            "leases",
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            json!({"spec": {}}),
        ),
        (
            "",
            "endpoints",
            "/api/v1/namespaces/default/endpoints",
            json!({}),
        ),
        (
            "",
            "limitranges",
            "/api/v1/namespaces/default/limitranges",
            json!({"spec": {"limits": []}}),
        ),
    ];
    let rules = |verbs: Value| -> Value {
        let rule = |(group, resource, ..): &(&str, &str, &str, Value)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
        paths.iter().map(rule).collect()
    };
    grant(&api, "updater", "jane", rules(json!(["update"]))).await;
    let put = async |path: &str, object: &Value| {
        let mut object = object.clone();
        object["metadata"] = json!({"name": "new"});
        let path = format!("{path}/new");
        api.call_as(user("jane"), "PUT", &path, object).await
    };
    for (_, resource, path, object) in &paths {
        let said = format!("cannot create resource {resource:?}");
        api.eventually("jane may update, and not create", || async {
            let refused = put(path, object).await;
            assert_eq!(refused.code, 403, "{}", refused.text);
            refused.message().contains(&said)
        })
        .await;
        assert_eq!(api.get(&format!("{path}/new")).await.code, 404);
    }
    let (.., path, object) = &paths[2];
    let mut made = object.clone();
    made["metadata"] = json!({"name": "new"});
    api.ok("POST", path, made).await;
    let existing = put(path, object).await;
    assert_eq!(existing.code, 200, "what exists needs update alone");
    grant(&api, "creator", "jane", rules(json!(["create"]))).await;
    let (.., path, object) = &paths[3];
    api.eventually("jane may create", || async {
        put(path, object).await.code == 201
    })
    .await;
}

#[tokio::test]
async fn a_watch_on_one_name_selects_nothing_else() {
    let api = start().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    for name in ["mine", "other"] {
        api.ok("POST", secrets, json!({"metadata": {"name": name}}))
            .await;
    }
    let policy = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"], "verbs": ["list", "watch"]}]);
    grant(&api, "reader", "jane", policy).await;
    let get = async |path: String| api.call_as(user("jane"), "GET", &path, Value::Null).await;
    let by_selector =
        |selector: &str| format!("{secrets}?watch=1&timeoutSeconds=1&fieldSelector={selector}");
    api.eventually("jane may watch her secret", || async {
        get(by_selector("metadata.name=mine")).await.code == 200
    })
    .await;
    assert_eq!(
        get(by_selector("metadata.name=mine,type=Opaque"))
            .await
            .code,
        200
    );
    assert_eq!(get(by_selector("metadata.name=other")).await.code, 403);
    assert_eq!(get(by_selector("type=Opaque")).await.code, 403);
    for selector in ["type=Opaque", "metadata.name=other", "metadata.name!=zzz"] {
        let query = format!("watch=1&timeoutSeconds=1&fieldSelector={selector}");
        for path in [
            format!("{secrets}/mine?{query}"),
            format!("/api/v1/watch/namespaces/default/secrets/mine?{query}"),
        ] {
            get(path).await.refused(
                400,
                "fieldSelector metadata.name doesn't match requested name",
            );
        }
    }
}

#[tokio::test]
async fn a_mirror_pod_gives_its_node_nothing() {
    let api = start().await;
    api.ok("POST", "/api/v1/nodes", json!({"metadata": {"name": "n1"}}))
        .await;
    let secrets = "/api/v1/namespaces/default/secrets";
    api.ok("POST", secrets, json!({"metadata": {"name": "s"}}))
        .await;
    let mirror = |spec: Value| {
        let mut pod = json!({
            "metadata": {"name": "m", "annotations": {"kubernetes.io/config.mirror": "x"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
        });
        pod["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        api.call_as(node("n1"), "POST", "/api/v1/namespaces/default/pods", pod)
    };
    let container = |extra: Value| {
        let mut container = json!({"name": "c", "image": "i"});
        container
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"containers": [container]})
    };
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume
            .as_object_mut()
            .unwrap()
            .extend(source.as_object().unwrap().clone());
        json!({"volumes": [volume]})
    };
    let token = json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}});
    for (spec, what) in [
        (
            container(
                json!({"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            ),
            "secrets",
        ),
        (
            container(json!({"envFrom": [{"secretRef": {"name": "s"}}]})),
            "secrets",
        ),
        (json!({"imagePullSecrets": [{"name": "s"}]}), "secrets"),
        (
            volume(json!({"projected": {"sources": [{"secret": {"name": "s"}}]}})),
            "secrets",
        ),
        (
            volume(json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}})),
            "secrets",
        ),
        (volume(json!({"configMap": {"name": "m"}})), "configmaps"),
        (
            volume(json!({"persistentVolumeClaim": {"claimName": "c"}})),
            "persistentvolumeclaims",
        ),
        (volume(token), "projected volumes"),
    ] {
        let answer = mirror(spec).await;
        let why = format!("node \"n1\" can not create pods that reference {what}");
        assert_eq!(answer.code, 403, "{}", answer.message());
        assert!(answer.message().ends_with(&why), "{}", answer.message());
    }
    assert_eq!(mirror(json!({})).await.code, 201);
    let secret = api
        .call_as(node("n1"), "GET", &format!("{secrets}/s"), Value::Null)
        .await;
    assert_eq!(secret.code, 403);
}
