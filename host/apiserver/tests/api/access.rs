//! Who asks, and whether they may.

use http::Request;
use k3s_meta::UserInfo;
use k3s_serve::body;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, MAPS, PODS, admin, map, node, pod, request, start, user};

pub(crate) const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

async fn bearer(api: &Api, path: &str, token: &str) -> Answer {
    let mut request = request("GET", path, &Value::Null);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    api.send(request, None).await
}

/// Lets a user do something in `default`, and waits until that is known.
pub(crate) async fn grant(api: &Api, name: &str, who: &str, rules: Value) {
    api.ok(
        "POST",
        &format!("{RBAC}/namespaces/default/roles"),
        json!({"metadata": {"name": name}, "rules": rules}),
    )
    .await;
    let binding = json!({"metadata": {"name": name}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": who}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}});
    api.ok(
        "POST",
        &format!("{RBAC}/namespaces/default/rolebindings"),
        binding,
    )
    .await;
}

#[tokio::test]
async fn only_probes_are_open_to_strangers() {
    let api = start().await;
    for (path, code) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/healthz", 200),
        ("/version", 200),
        ("/metrics", 401),
        ("/api", 401),
        (MAPS, 401),
    ] {
        assert_eq!(
            api.send(request("GET", path, &Value::Null), None)
                .await
                .code,
            code,
            "{path}"
        );
    }
    let unknown = api.send(request("GET", MAPS, &Value::Null), None).await;
    unknown.refused(401, "Unauthorized");
    assert_eq!(unknown.body["reason"], "Unauthorized");
    assert_eq!(bearer(&api, "/livez", "wrong").await.code, 401);
    assert_eq!(bearer(&api, MAPS, "fixed-token").await.code, 403);
}

#[tokio::test]
async fn refusals_name_user_verb_and_place() {
    let api = start().await;
    let get = |path: &str| {
        let path = path.to_owned();
        let api = &api;
        async move { api.call_as(user("jane"), "GET", &path, Value::Null).await }
    };
    get(&format!("{PODS}/x")).await.refused(403, "pods \"x\" is forbidden: User \"jane\" cannot get resource \"pods\" in API group \"\" in the namespace \"default\"");
    get("/api/v1/nodes").await.refused(
        403,
        "nodes is forbidden: User \"jane\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
    );
    get(&format!("{PODS}/x/log")).await.refused(403, "pods \"x\" is forbidden: User \"jane\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"default\"");
    get("/metrics")
        .await
        .refused(403, "forbidden: User \"jane\" cannot get path \"/metrics\"");
    assert_eq!(get("/apis").await.code, 200);
}

#[tokio::test]
async fn roles_grant_and_lapse() {
    let api = start().await;
    let list = || api.call_as(user("jane"), "GET", MAPS, Value::Null);
    assert_eq!(list().await.code, 403);
    grant(
        &api,
        "reader",
        "jane",
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]),
    )
    .await;
    api.eventually("jane may list", || async { list().await.code == 200 })
        .await;
    assert_eq!(
        api.call_as(user("jane"), "GET", "/api/v1/configmaps", Value::Null)
            .await
            .code,
        403
    );
    assert_eq!(
        api.call_as(user("jane"), "POST", MAPS, map("a", "1"))
            .await
            .code,
        403
    );
    api.ok(
        "DELETE",
        &format!("{RBAC}/namespaces/default/rolebindings/reader"),
        Value::Null,
    )
    .await;
    api.eventually("jane may list no more", || async {
        list().await.code == 403
    })
    .await;
}

#[tokio::test]
async fn aggregated_roles_work_at_once() {
    let api = start().await;
    let binding = json!({"metadata": {"name": "v"}, "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "viewers"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    api.ok("POST", &format!("{RBAC}/clusterrolebindings"), binding)
        .await;
    let viewer = || UserInfo::new("v", ["viewers"]);
    api.eventually("viewers may list pods", || async {
        api.call_as(viewer(), "GET", PODS, Value::Null).await.code == 200
    })
    .await;
    assert_eq!(
        api.call_as(
            viewer(),
            "GET",
            "/api/v1/namespaces/default/secrets",
            Value::Null
        )
        .await
        .code,
        403
    );
    assert_eq!(
        api.call_as(viewer(), "POST", PODS, pod("a")).await.code,
        403
    );
    let view = api
        .ok("GET", &format!("{RBAC}/clusterroles/view"), Value::Null)
        .await;
    assert!(view["aggregationRule"].is_object() && !view["rules"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_grants_what_they_lack() {
    let api = start().await;
    let policy = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    // `*` would include escalate and bind.
    let mut narrow = policy.clone();
    narrow[0]["verbs"] = json!(["create", "get", "update"]);
    grant(&api, "roles", "jane", narrow).await;
    let roles = format!("{RBAC}/namespaces/default/roles");
    let role = |name: &str, resource: &str| json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]});
    api.eventually("jane may write roles", || async {
        api.call_as(user("jane"), "POST", &roles, role("own", "configmaps"))
            .await
            .code
            == 201
    })
    .await;
    let refused = api
        .call_as(user("jane"), "POST", &roles, role("more", "secrets"))
        .await;
    assert_eq!(refused.code, 403);
    assert!(refused.message().contains("is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"), "{}", refused.message());
    let binding = json!({"metadata": {"name": "b"}, "subjects": [], "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}});
    assert_eq!(
        api.call_as(
            user("jane"),
            "POST",
            &format!("{RBAC}/namespaces/default/rolebindings"),
            binding
        )
        .await
        .code,
        403
    );
}

#[tokio::test]
async fn a_role_can_be_bound_right_after_it_was_written() {
    let api = start().await;
    let policy = json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create", "get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    grant(&api, "roles", "jane", policy).await;
    let namespace = format!("{RBAC}/namespaces/default");
    let (roles, bindings) = (
        format!("{namespace}/roles"),
        format!("{namespace}/rolebindings"),
    );
    let role = |name: &str| json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]});
    api.eventually("jane may write roles", || async {
        let answer = api
            .call_as(user("jane"), "POST", &roles, role("first"))
            .await;
        answer.code == 201
    })
    .await;
    for i in 0..20 {
        let name = format!("r{i}");
        let answer = api.call_as(user("jane"), "POST", &roles, role(&name)).await;
        assert_eq!(answer.code, 201, "{}", answer.text);
        let role_ref =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
        let binding = json!({"metadata": {"name": name}, "subjects": [], "roleRef": role_ref});
        let answer = api.call_as(user("jane"), "POST", &bindings, binding).await;
        assert_eq!(answer.code, 201, "{}", answer.text);
    }
}

#[tokio::test]
async fn impersonation_needs_permission() {
    let api = start().await;
    let whoami = |who: UserInfo| {
        let mut request = request(
            "POST",
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            &json!({}),
        );
        request
            .headers_mut()
            .insert("impersonate-user", "bob".parse().unwrap());
        request
            .headers_mut()
            .insert("impersonate-group", "crew".parse().unwrap());
        api.send(request, Some(who))
    };
    let info = whoami(admin()).await.body["status"]["userInfo"].clone();
    assert_eq!(
        info,
        json!({"username": "bob", "groups": ["crew", "system:authenticated"]})
    );
    whoami(user("jane")).await.refused(403, "users \"bob\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope");
}

#[tokio::test]
async fn reviews_answer_and_are_not_stored() {
    let api = start().await;
    grant(
        &api,
        "reader",
        "jane",
        json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]),
    )
    .await;
    let ask = |verb: &str| json!({"spec": {"user": "jane", "resourceAttributes": {"namespace": "default", "verb": verb, "resource": "configmaps"}}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    api.eventually("jane may get", || async {
        api.ok("POST", path, ask("get")).await["status"]["allowed"] == true
    })
    .await;
    let before = api.store.revision();
    assert_eq!(
        api.ok("POST", path, ask("delete")).await["status"]["allowed"],
        false
    );
    assert_eq!(
        api.call("POST", path, json!({"spec": {"user": "jane"}}))
            .await
            .code,
        422
    );
    let own = json!({"spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "configmaps"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for (accept, code) in [
        (table.to_owned(), 406),
        (format!("{table}, application/json"), 201),
    ] {
        let mut asked = request("POST", path, &own);
        asked
            .headers_mut()
            .insert("accept", accept.parse().unwrap());
        let answer = api.send(asked, Some(user("jane"))).await;
        assert_eq!(answer.code, code, "{accept}");
    }
    assert_eq!(
        api.call_as(user("jane"), "POST", path, own).await.body["status"]["allowed"],
        true
    );
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = api
        .call_as(
            user("jane"),
            "POST",
            path,
            json!({"spec": {"namespace": "default"}}),
        )
        .await
        .body;
    let rule = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]});
    assert!(
        rules["status"]["resourceRules"]
            .as_array()
            .unwrap()
            .contains(&rule),
        "{rules}"
    );
    let review = api
        .ok(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            json!({"spec": {"token": "fixed-token"}}),
        )
        .await;
    assert_eq!(
        review["status"]["user"],
        json!({"username": "fixed", "groups": ["team", "system:authenticated"]})
    );
    let review = api
        .ok(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            json!({"spec": {"token": "x"}}),
        )
        .await;
    assert_ne!(review["status"]["authenticated"], true);
    assert_eq!(api.store.revision(), before);
}

#[tokio::test]
async fn a_token_in_a_secret_is_valid_as_long_as_the_secret_holds_it() {
    let api = start().await;
    let account = api
        .ok(
            "GET",
            "/api/v1/namespaces/default/serviceaccounts/default",
            Value::Null,
        )
        .await;
    let claim = |name: &str| format!("kubernetes.io/serviceaccount/{name}");
    let claims = json!({
        "sub": "system:serviceaccount:default:default",
        claim("namespace"): "default",
        claim("service-account.name"): "default",
        claim("service-account.uid"): account["metadata"]["uid"],
        claim("secret.name"): "robot",
    });
    let token = api.accounts.sign_legacy(&claims).unwrap();
    let secrets = "/api/v1/namespaces/default/secrets";
    let is_known = async |token: &str| bearer(&api, "/openid/v1/jwks", token).await.code == 200;
    assert!(!is_known(&token).await, "the secret does not exist");
    let secret = json!({"metadata": {"name": "robot", "annotations": {"kubernetes.io/service-account.name": "default"}},
        "type": "kubernetes.io/service-account-token", "stringData": {"token": token}});
    api.ok("POST", secrets, secret).await;
    assert!(is_known(&token).await);
    let review = json!({"spec": {"token": token}});
    let review = api
        .ok(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            review,
        )
        .await;
    let status = &review["status"];
    assert_eq!(
        status["user"]["username"],
        "system:serviceaccount:default:default"
    );
    assert_eq!(status["user"]["uid"], account["metadata"]["uid"]);
    assert_eq!(status["audiences"].as_array().unwrap().len(), 2, "{status}");
    let vault = json!({"spec": {"token": token, "audiences": ["vault"]}});
    let vault = api
        .ok("POST", "/apis/authentication.k8s.io/v1/tokenreviews", vault)
        .await;
    assert_eq!(vault["status"]["authenticated"], Value::Null, "{vault}");
    let path = format!("{secrets}/robot");
    let used = api.ok("GET", &path, Value::Null).await;
    let day = &used["metadata"]["labels"]["kubernetes.io/legacy-token-last-used"];
    assert_eq!(
        day.as_str().map(str::len),
        Some("2026-01-31".len()),
        "{used}"
    );
    // Noted once a day.
    assert!(is_known(&token).await);
    let again = api.ok("GET", &path, Value::Null).await;
    assert_eq!(
        again["metadata"]["resourceVersion"],
        used["metadata"]["resourceVersion"]
    );

    let other = api
        .accounts
        .sign_legacy(&json!({"sub": "system:serviceaccount:default:default"}));
    assert!(!is_known(&other.unwrap()).await);
    let mut changed = again.clone();
    changed["metadata"]["labels"]["kubernetes.io/legacy-token-invalid-since"] = json!("2026-01-31");
    api.ok("PUT", &path, changed.clone()).await;
    assert!(!is_known(&token).await, "it was declared invalid");
    changed["metadata"]["labels"] = json!({});
    changed["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    api.ok("PUT", &path, changed.clone()).await;
    assert!(is_known(&token).await);
    changed["data"]["token"] = json!("eA==");
    api.ok("PUT", &path, changed).await;
    assert!(!is_known(&token).await, "the secret holds another one");
}

#[tokio::test]
async fn account_tokens_live_as_long_as_their_pod() {
    let api = start().await;
    let pod = api.ok("POST", PODS, pod("p")).await;
    let reference =
        json!({"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"]});
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let made = api
        .ok(
            "POST",
            path,
            json!({"spec": {"boundObjectRef": reference, "expirationSeconds": 600}}),
        )
        .await;
    let token = made["status"]["token"].as_str().unwrap();
    assert_eq!(
        made["spec"]["audiences"][0],
        "https://kubernetes.default.svc.cluster.local"
    );
    let review = api
        .ok(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            json!({"spec": {"token": token}}),
        )
        .await;
    let who = &review["status"]["user"];
    assert_eq!(who["username"], "system:serviceaccount:default:default");
    assert_eq!(made["metadata"]["uid"], who["uid"]);
    assert_eq!(
        who["groups"],
        json!([
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated"
        ])
    );
    assert_eq!(
        who["extra"]["authentication.kubernetes.io/pod-name"],
        json!(["p"])
    );
    assert_eq!(bearer(&api, "/openid/v1/jwks", token).await.code, 200);
    assert_eq!(bearer(&api, MAPS, token).await.code, 403);
    api.ok("DELETE", &format!("{PODS}/p"), Value::Null).await;
    assert_eq!(bearer(&api, "/openid/v1/jwks", token).await.code, 401);
    let short = api
        .call("POST", path, json!({"spec": {"expirationSeconds": 5}}))
        .await;
    assert!(
        short
            .message()
            .contains("may not specify a duration less than 10 minutes")
    );
    let other = api
        .ok("POST", path, json!({"spec": {"audiences": ["vault"]}}))
        .await;
    assert_eq!(
        bearer(&api, "/apis", other["status"]["token"].as_str().unwrap())
            .await
            .code,
        401
    );
}

#[tokio::test]
async fn bootstrap_tokens_authenticate() {
    let api = start().await;
    let secret = json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token", "stringData": {
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:k3s:default-node-token"}});
    api.ok("POST", "/api/v1/namespaces/kube-system/secrets", secret)
        .await;
    let review = api
        .ok(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            json!({"spec": {"token": "abcdef.0123456789abcdef"}}),
        )
        .await;
    assert_eq!(
        review["status"]["user"]["username"],
        "system:bootstrap:abcdef"
    );
    assert_eq!(
        bearer(&api, "/apis", "abcdef.0123456789abcdee").await.code,
        401
    );
}

#[tokio::test]
async fn a_node_reaches_what_its_pods_need() {
    let api = start().await;
    for name in ["used", "other"] {
        let secret = json!({"metadata": {"name": name}});
        api.ok("POST", "/api/v1/namespaces/default/secrets", secret)
            .await;
    }
    let n1 = || node("n1");
    let own = json!({"metadata": {"name": "n1"}});
    assert_eq!(
        api.call_as(n1(), "POST", "/api/v1/nodes", own).await.code,
        201
    );
    let foreign = api
        .call_as(
            n1(),
            "POST",
            "/api/v1/nodes",
            json!({"metadata": {"name": "n2"}}),
        )
        .await;
    foreign.refused(
        403,
        "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"",
    );
    let label = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "true"}}});
    assert_eq!(
        api.call_as(n1(), "PATCH", "/api/v1/nodes/n1", label)
            .await
            .code,
        403
    );
    let secrets = "/api/v1/namespaces/default/secrets";
    assert_eq!(
        api.call_as(n1(), "GET", &format!("{secrets}/used"), Value::Null)
            .await
            .code,
        403
    );
    let mut object = pod("a");
    object["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "used"}}]);
    api.ok("POST", PODS, object).await;
    api.ok(
        "POST",
        &format!("{PODS}/a/binding"),
        json!({"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}}),
    )
    .await;
    api.eventually("n1 may read the secret", || async {
        api.call_as(n1(), "GET", &format!("{secrets}/used"), Value::Null)
            .await
            .code
            == 200
    })
    .await;
    let denied = api
        .call_as(n1(), "GET", &format!("{secrets}/other"), Value::Null)
        .await;
    assert!(
        denied
            .message()
            .ends_with("no relationship found between node 'n1' and this object"),
        "{}",
        denied.message()
    );
    assert_eq!(
        api.call_as(node("n2"), "GET", &format!("{secrets}/used"), Value::Null)
            .await
            .code,
        403
    );
    assert_eq!(
        api.call_as(n1(), "GET", "/api/v1/pods", Value::Null)
            .await
            .code,
        403
    );
    assert_eq!(
        api.call_as(
            n1(),
            "GET",
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1",
            Value::Null
        )
        .await
        .code,
        200
    );
    let status = json!({"status": {"phase": "Running"}});
    assert_eq!(
        api.call_as(n1(), "PATCH", &format!("{PODS}/a/status"), status.clone())
            .await
            .code,
        200
    );
    api.ok("POST", PODS, pod("b")).await;
    assert_eq!(
        api.call_as(n1(), "PATCH", &format!("{PODS}/b/status"), status)
            .await
            .code,
        403
    );
    let lease = json!({"metadata": {"name": "n1"}, "spec": {"holderIdentity": "n1"}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    assert_eq!(api.call_as(n1(), "POST", leases, lease).await.code, 201);
    assert_eq!(
        api.call_as(n1(), "GET", &format!("{leases}/n2"), Value::Null)
            .await
            .code,
        403
    );
    let tokens = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let unbound = api.call_as(n1(), "POST", tokens, json!({"spec": {}})).await;
    assert!(
        unbound
            .message()
            .ends_with("node requested token not bound to a pod"),
        "{}",
        unbound.message()
    );
    let uid = api.ok("GET", &format!("{PODS}/a"), Value::Null).await["metadata"]["uid"].clone();
    let bound = json!({"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": uid}}});
    assert_eq!(api.call_as(n1(), "POST", tokens, bound).await.code, 201);
}

#[tokio::test]
async fn components_have_their_roles() {
    let api = start().await;
    let scheduler = || user("system:kube-scheduler");
    assert_eq!(
        api.call_as(scheduler(), "GET", "/api/v1/pods", Value::Null)
            .await
            .code,
        200
    );
    assert_eq!(
        api.call_as(scheduler(), "GET", "/api/v1/secrets", Value::Null)
            .await
            .code,
        403
    );
    let controller = || user("system:serviceaccount:kube-system:replicaset-controller");
    assert_eq!(
        api.call_as(controller(), "POST", PODS, pod("a")).await.code,
        201
    );
    assert_eq!(
        api.call_as(controller(), "POST", MAPS, map("a", "1"))
            .await
            .code,
        403
    );
    let exec = Request::builder()
        .uri(format!("{PODS}/a/exec?command=x&stdout=1"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket");
    grant(
        &api,
        "gets",
        "jane",
        json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}]),
    )
    .await;
    api.eventually("jane's role is known", || async {
        let own = json!({"spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods", "subresource": "exec"}}});
        api.call_as(user("jane"), "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", own).await.body["status"]["allowed"] == true
    })
    .await;
    let refused = api
        .send(exec.body(body::empty()).unwrap(), Some(user("jane")))
        .await;
    refused.refused(403, "pods \"a\" is forbidden: User \"jane\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"default\"");
}
