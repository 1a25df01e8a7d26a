//! What admission makes of a pod.

use serde_json::{Value, json};

use crate::harness::{Api, PODS, pod, start};

#[tokio::test]
async fn a_pod_gets_its_account_and_token() {
    let api = start().await;
    let made = api.ok("POST", PODS, pod("a")).await;
    let spec = &made["spec"];
    assert_eq!(
        (&spec["serviceAccountName"], &spec["serviceAccount"]),
        (&json!("default"), &json!("default"))
    );
    let volume = &spec["volumes"][0];
    assert!(
        volume["name"]
            .as_str()
            .unwrap()
            .starts_with("kube-api-access-")
    );
    assert_eq!(volume["projected"]["defaultMode"], 420);
    assert_eq!(
        volume["projected"]["sources"][0]["serviceAccountToken"],
        json!({"expirationSeconds": 3607, "path": "token"})
    );
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(
        (&mount["mountPath"], &mount["readOnly"]),
        (
            &json!("/var/run/secrets/kubernetes.io/serviceaccount"),
            &json!(true)
        )
    );
    let mut without = pod("b");
    without["spec"]["automountServiceAccountToken"] = json!(false);
    assert!(
        api.ok("POST", PODS, without).await["spec"]
            .get("volumes")
            .is_none()
    );
    let mut unknown = pod("c");
    unknown["spec"]["serviceAccountName"] = json!("nobody");
    api.call("POST", PODS, unknown).await.refused(
        403,
        "pods \"c\" is forbidden: error looking up service account default/nobody: serviceaccount \"nobody\" not found",
    );
}

#[tokio::test]
async fn an_account_that_comes_in_time_is_waited_for() {
    let api = start().await;
    api.ok(
        "POST",
        "/api/v1/namespaces",
        json!({"metadata": {"name": "x"}}),
    )
    .await;
    let pods = "/api/v1/namespaces/x/pods";
    let (made, _) = tokio::join!(api.call("POST", pods, pod("a")), async {
        tokio::task::yield_now().await;
        api.ok(
            "POST",
            "/api/v1/namespaces/x/serviceaccounts",
            json!({"metadata": {"name": "default"}}),
        )
        .await;
    });
    assert_eq!(made.code, 201, "{}", made.text);
}

#[tokio::test]
async fn tolerations_and_priority() {
    let api = start().await;
    let made = api.ok("POST", PODS, pod("a")).await;
    let keys: Vec<_> = made["spec"]["tolerations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "node.kubernetes.io/not-ready",
            "node.kubernetes.io/unreachable"
        ]
    );
    assert_eq!(
        (&made["spec"]["priority"], &made["spec"]["preemptionPolicy"]),
        (&json!(0), &json!("PreemptLowerPriority"))
    );
    let mut critical = pod("b");
    critical["spec"]["priorityClassName"] = json!("system-cluster-critical");
    assert_eq!(
        api.ok("POST", PODS, critical).await["spec"]["priority"],
        2_000_000_000
    );
    let mut unknown = pod("c");
    unknown["spec"]["priorityClassName"] = json!("none");
    api.call("POST", PODS, unknown).await.refused(
        403,
        "pods \"c\" is forbidden: no PriorityClass with name none was found",
    );
    let mut given = pod("d");
    given["spec"]["priority"] = json!(5);
    assert_eq!(api.call("POST", PODS, given).await.code, 403);
}

#[tokio::test]
async fn limit_ranges_fill_in_defaults() {
    let api = start().await;
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "default": {"memory": "64Mi"}, "defaultRequest": {"cpu": "10m"}}]}});
    let answer = api
        .call("POST", "/api/v1/namespaces/default/limitranges", range)
        .await;
    assert!(answer.warnings().is_empty());
    let made = api.ok("POST", PODS, pod("a")).await;
    let resources = &made["spec"]["containers"][0]["resources"];
    assert_eq!(
        (
            &resources["limits"]["memory"],
            &resources["requests"]["cpu"]
        ),
        (&json!("64Mi"), &json!("10m"))
    );
}

#[tokio::test]
async fn limit_ranges_are_held() {
    let api = start().await;
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}});
    api.ok("POST", "/api/v1/namespaces/default/limitranges", range)
        .await;
    let mut large = pod("large");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    api.call("POST", PODS, large).await.refused(
        403,
        "pods \"large\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
    );
    assert_eq!(
        api.ok("POST", PODS, pod("a")).await["spec"]["containers"][0]["resources"]["limits"]["cpu"],
        "1"
    );
}

#[tokio::test]
async fn pod_security_labels_are_enforced_and_warned_about() {
    let api = start().await;
    let namespace = |labels: Value| json!({"metadata": {"name": "safe", "labels": labels}});
    let wrong = api
        .call(
            "POST",
            "/api/v1/namespaces",
            namespace(json!({"pod-security.kubernetes.io/enforce": "strict"})),
        )
        .await;
    assert_eq!(wrong.code, 422);
    api.ok(
        "POST",
        "/api/v1/namespaces",
        namespace(json!({"pod-security.kubernetes.io/enforce": "baseline"})),
    )
    .await;
    api.ok(
        "POST",
        "/api/v1/namespaces/safe/serviceaccounts",
        json!({"metadata": {"name": "default"}}),
    )
    .await;
    let pods = "/api/v1/namespaces/safe/pods";
    let mut privileged = pod("a");
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let name = privileged["spec"]["containers"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let detail =
        format!("privileged (container \"{name}\" must not set securityContext.privileged=true)");
    api.call("POST", pods, privileged.clone()).await.refused(
        403,
        &format!("pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": {detail}"),
    );
    assert!(api.call("POST", pods, pod("b")).await.warnings().is_empty());
    let template = json!({"metadata": {"labels": {"app": "w"}}, "spec": privileged["spec"]});
    let deployment = json!({"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"app": "w"}}, "template": template}});
    let answer = api
        .call(
            "POST",
            "/apis/apps/v1/namespaces/safe/deployments",
            deployment,
        )
        .await;
    assert_eq!(answer.code, 201);
    let told = answer.warnings().join("\n").replace("\\\"", "\"");
    assert!(
        told.contains(&format!(
            "would violate PodSecurity \"baseline:latest\": {detail}"
        )),
        "{told}"
    );
    let stricter =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let answer = api.call("PATCH", "/api/v1/namespaces/safe", stricter).await;
    let told = answer.warnings().join("\n").replace("\\\"", "\"");
    let expected = "existing pods in namespace \"safe\" violate the new PodSecurity enforce level \"restricted:latest\"";
    assert!(
        told.contains(expected) && told.contains("b: allowPrivilegeEscalation != false"),
        "{told}"
    );
}

#[tokio::test]
async fn quotas_are_charged_and_held() {
    let api = start().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let hard = json!({"pods": "1", "requests.cpu": "1"});
    api.ok(
        "POST",
        quotas,
        json!({"metadata": {"name": "q"}, "spec": {"hard": hard}}),
    )
    .await;
    let asking = |name: &str| {
        let mut pod = pod(name);
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "500m"}});
        pod
    };
    let status = format!("{quotas}/q/status");
    assert_eq!(
        api.call("PATCH", &status, json!({"status": {"hard": hard}}))
            .await
            .code,
        200
    );
    // Nobody has counted yet.
    api.call("POST", PODS, asking("a")).await.refused(
        403,
        "pods \"a\" is forbidden: status unknown for quota: q, resources: pods,requests.cpu",
    );
    let counted = json!({"status": {"hard": hard, "used": {"pods": "0", "requests.cpu": "0"}}});
    assert_eq!(api.call("PATCH", &status, counted).await.code, 200);
    assert_eq!(
        api.call("POST", &format!("{PODS}?dryRun=All"), asking("a"))
            .await
            .code,
        201
    );
    api.ok("POST", PODS, asking("a")).await;
    let used = api.ok("GET", &format!("{quotas}/q"), Value::Null).await["status"]["used"].clone();
    assert_eq!(used, json!({"pods": "1", "requests.cpu": "500m"}));
    api.call("POST", PODS, asking("b"))
        .await
        .refused(403, "pods \"b\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1");
    let silent = pod("c");
    let name = silent["spec"]["containers"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    api.call("POST", PODS, silent).await.refused(
        403,
        &format!("pods \"c\" is forbidden: failed quota: q: must specify requests.cpu for: {name}"),
    );
}

#[tokio::test]
async fn default_objects_exist() {
    let api = start().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = api
            .ok("GET", &format!("/api/v1/namespaces/{name}"), Value::Null)
            .await;
        assert_eq!(namespace["status"]["phase"], "Active");
        assert_eq!(
            namespace["metadata"]["labels"]["kubernetes.io/metadata.name"],
            name
        );
    }
    let service = api
        .ok(
            "GET",
            "/api/v1/namespaces/default/services/kubernetes",
            Value::Null,
        )
        .await;
    assert_eq!(service["spec"]["clusterIP"], "10.43.0.1");
    let slice = api
        .ok(
            "GET",
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
            Value::Null,
        )
        .await;
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.1"]));
    assert_eq!(slice["ports"][0]["port"], 6443);
}

#[tokio::test]
async fn claims_get_the_default_class_protection_and_grow_only_where_allowed() {
    let api = start().await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = |name: &str| json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let plain = api.ok("POST", claims, claim("before")).await;
    assert!(
        plain["spec"].get("storageClassName").is_none(),
        "there is no default yet"
    );
    assert_eq!(
        plain["metadata"]["finalizers"],
        json!(["kubernetes.io/pvc-protection"])
    );
    for (name, default, grows) in [("fixed", "true", false), ("elastic", "false", true)] {
        let class = json!({"metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": default}},
            "provisioner": "example.com/p", "allowVolumeExpansion": grows});
        api.ok("POST", "/apis/storage.k8s.io/v1/storageclasses", class)
            .await;
    }
    assert_eq!(
        api.ok("POST", claims, claim("default")).await["spec"]["storageClassName"],
        "fixed"
    );
    let mut none = claim("none");
    none["spec"]["storageClassName"] = json!("");
    assert_eq!(
        api.ok("POST", claims, none).await["spec"]["storageClassName"],
        ""
    );
    let mut elastic = claim("elastic");
    elastic["spec"]["storageClassName"] = json!("elastic");
    api.ok("POST", claims, elastic).await;

    let more = |name: &str| {
        let mut claim = claim(name);
        claim["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
        claim["spec"]["storageClassName"] = json!(if name == "default" {
            "fixed"
        } else {
            "elastic"
        });
        claim
    };
    for name in ["default", "elastic"] {
        let path = format!("{claims}/{name}");
        let mut bound = api.ok("GET", &path, json!(null)).await;
        bound["status"] = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
        api.ok("PUT", &format!("{path}/status"), bound).await;
    }
    api.call("PUT", &format!("{claims}/default"), more("default")).await.refused(
        403,
        "persistentvolumeclaims \"default\" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    );
    let grown = api
        .ok("PUT", &format!("{claims}/elastic"), more("elastic"))
        .await;
    assert_eq!(grown["spec"]["resources"]["requests"]["storage"], "2Gi");
    let volume = json!({"metadata": {"name": "v"}, "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}});
    let volume = api.ok("POST", "/api/v1/persistentvolumes", volume).await;
    assert_eq!(
        volume["metadata"]["finalizers"],
        json!(["kubernetes.io/pv-protection"])
    );
}

#[tokio::test]
async fn an_ingress_without_a_class_gets_the_default_one() {
    let api = start().await;
    let ingresses = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    let ingress = |name: &str| {
        let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
        json!({"metadata": {"name": name}, "spec": {"defaultBackend": backend}})
    };
    let class_of = |made: &Value| made["spec"]["ingressClassName"].as_str().map(str::to_owned);
    let early = api.ok("POST", ingresses, ingress("before")).await;
    assert_eq!(class_of(&early), None, "there is no default yet");
    for (name, default) in [("b-class", "true"), ("other", "false")] {
        let class = json!({"metadata": {"name": name, "annotations": {"ingressclass.kubernetes.io/is-default-class": default}},
            "spec": {"controller": "example.com/c"}});
        api.ok("POST", "/apis/networking.k8s.io/v1/ingressclasses", class)
            .await;
    }
    let made = api.ok("POST", ingresses, ingress("plain")).await;
    assert_eq!(class_of(&made).as_deref(), Some("b-class"));
    let mut annotated = ingress("annotated");
    annotated["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "nginx"});
    assert_eq!(class_of(&api.ok("POST", ingresses, annotated).await), None);
    let mut named = ingress("named");
    named["spec"]["ingressClassName"] = json!("other");
    assert_eq!(
        class_of(&api.ok("POST", ingresses, named).await).as_deref(),
        Some("other")
    );
    // An update does not choose.
    let changed = api.ok("PUT", &format!("{ingresses}/before"), early).await;
    assert_eq!(class_of(&changed), None);
    // Of two, the newest; of those of one second, the first by name.
    let class = json!({"metadata": {"name": "a-class", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "example.com/c"}});
    api.ok("POST", "/apis/networking.k8s.io/v1/ingressclasses", class)
        .await;
    let made = api.ok("POST", ingresses, ingress("two")).await;
    assert_eq!(class_of(&made).as_deref(), Some("a-class"));
}

/// What `/metrics` says of decoded objects.
async fn decoded(api: &Api) -> u64 {
    let metrics = api.get("/metrics").await.text;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("k3s_registry_decoded_objects_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_pod_create_decodes_no_stored_object() {
    let api = start().await;
    let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/warn": "restricted"}}});
    api.ok("PATCH", "/api/v1/namespaces/default", patch).await;
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "default": {"memory": "64Mi"}}]}});
    let ranges = "/api/v1/namespaces/default/limitranges";
    api.ok("POST", ranges, range).await;
    // It counts no pods, so nothing is charged: a charge reads and writes the stored quota.
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "5"}}});
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    api.ok("POST", quotas, quota).await;
    let class = json!({"metadata": {"name": "usual"}, "value": 7, "globalDefault": true});
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    api.ok("POST", classes, class).await;
    let first = api.ok("POST", PODS, pod("first")).await;
    assert_eq!(first["spec"]["priority"], 7);
    let before = decoded(&api).await;
    assert!(before > 0);
    for i in 0..5 {
        let answer = api.call("POST", PODS, pod(&format!("p{i}"))).await;
        assert_eq!(answer.code, 201, "{}", answer.text);
        assert!(!answer.warnings().is_empty(), "the namespace was asked");
    }
    assert_eq!(decoded(&api).await, before);
}

#[tokio::test]
async fn admission_sees_what_was_written_just_before() {
    let api = start().await;
    for i in 0..20 {
        let namespace = json!({"metadata": {"name": format!("n{i}")}});
        api.ok("POST", "/api/v1/namespaces", namespace).await;
        let base = format!("/api/v1/namespaces/n{i}");
        let account =
            json!({"metadata": {"name": "default"}, "automountServiceAccountToken": false});
        api.ok("POST", &format!("{base}/serviceaccounts"), account)
            .await;
        let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", "default": {"memory": format!("{}Mi", i + 1)}}]}});
        api.ok("POST", &format!("{base}/limitranges"), range).await;
        let class = json!({"metadata": {"name": format!("c{i}")}, "value": i});
        api.ok("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", class)
            .await;
        let mut pod = pod("p");
        pod["spec"]["priorityClassName"] = json!(format!("c{i}"));
        let made = api.ok("POST", &format!("{base}/pods"), pod).await;
        let spec = &made["spec"];
        assert_eq!(spec["priority"], i);
        assert_eq!(
            spec["containers"][0]["resources"]["limits"]["memory"],
            format!("{}Mi", i + 1)
        );
        assert!(spec.get("volumes").is_none(), "the account says no token");
        api.ok("DELETE", &base, Value::Null).await;
        let late = json!({"metadata": {"name": "late"}});
        let answer = api.call("POST", &format!("{base}/configmaps"), late).await;
        assert_eq!(answer.code, 403, "{}", answer.text);
    }
}

#[tokio::test]
async fn writers_at_once_do_not_exceed_a_quota() {
    let api = start().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    let hard = json!({"pods": "3"});
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    api.ok("POST", quotas, quota).await;
    let counted = json!({"status": {"hard": hard, "used": {"pods": "0"}}});
    api.ok("PATCH", &format!("{quotas}/q/status"), counted)
        .await;
    let creates = (0..10).map(|i| {
        let api = &api;
        async move { api.call("POST", PODS, pod(&format!("p{i}"))).await.code }
    });
    let codes = futures_util::future::join_all(creates).await;
    let made = codes.iter().filter(|code| code.as_u16() == 201).count();
    let refused = codes.iter().filter(|code| code.as_u16() == 403).count();
    assert_eq!((made, refused), (3, 7), "{codes:?}");
    let used = api.ok("GET", &format!("{quotas}/q"), Value::Null).await;
    assert_eq!(used["status"]["used"]["pods"], "3");
}

#[tokio::test]
async fn a_create_that_fails_after_its_charge_holds_no_quota() {
    let api = start().await;
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    for (name, most) in [("a", "3"), ("b", "20")] {
        let hard = json!({"configmaps": most});
        let quota = json!({"metadata": {"name": name}, "spec": {"hard": hard}});
        api.ok("POST", quotas, quota).await;
        let counted = json!({"status": {"hard": hard, "used": {"configmaps": "0"}}});
        api.ok("PATCH", &format!("{quotas}/{name}/status"), counted)
            .await;
    }
    let used = async |want: &str| {
        for name in ["a", "b"] {
            let quota = api
                .ok("GET", &format!("{quotas}/{name}"), Value::Null)
                .await;
            assert_eq!(quota["status"]["used"]["configmaps"], want, "{name}");
        }
    };
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = |name: &str| json!({"metadata": {"name": name}});
    api.ok("POST", maps, map("one")).await;
    used("1").await;
    // Each charges the second of the three before the store says that the name is taken.
    for _ in 0..5 {
        let answer = api.call("POST", maps, map("one")).await;
        answer.refused(409, "configmaps \"one\" already exists");
        used("1").await;
    }
    // Many at once for two places: losers of the race for a name take none of them for good.
    let creates = (0..10).map(|i| {
        let (api, map) = (&api, map(&format!("m{}", i % 2)));
        async move { api.call("POST", maps, map).await.code.as_u16() }
    });
    let codes = futures_util::future::join_all(creates).await;
    let made = codes.iter().filter(|code| **code == 201).count();
    assert!(made <= 2, "{codes:?}");
    for i in 0..4 {
        api.call("POST", maps, map(&format!("m{i}"))).await;
    }
    used("3").await;
    let all = api.ok("GET", maps, Value::Null).await;
    let items = all["items"].as_array().unwrap();
    let own = items
        .iter()
        .filter(|map| map["metadata"]["name"] != "kube-root-ca.crt");
    assert_eq!(own.count(), 3);
}

#[tokio::test]
async fn a_pod_takes_over_what_its_runtime_class_costs_and_where_it_runs() {
    let api = start().await;
    let classes = "/apis/node.k8s.io/v1/runtimeclasses";
    let class = json!({"metadata": {"name": "vm"}, "handler": "vm", "overhead": {"podFixed": {"cpu": "10m", "memory": "1Mi"}},
        "scheduling": {"nodeSelector": {"kvm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}});
    api.ok("POST", classes, class).await;
    api.ok(
        "POST",
        classes,
        json!({"metadata": {"name": "plain"}, "handler": "runc"}),
    )
    .await;
    let of = |name: &str, class: &str, spec: Value| {
        let mut pod = pod(name);
        k3s_meta::patch::merge_patch(&mut pod["spec"], &spec).unwrap();
        pod["spec"]["runtimeClassName"] = json!(class);
        pod
    };
    let selector = json!({"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "vm", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]});
    let made = api.ok("POST", PODS, of("a", "vm", selector)).await;
    let spec = &made["spec"];
    assert_eq!(spec["overhead"], json!({"cpu": "10m", "memory": "1Mi"}));
    assert_eq!(spec["nodeSelector"], json!({"zone": "a", "kvm": "yes"}));
    let tolerations = spec["tolerations"].as_array().unwrap();
    assert_eq!(
        tolerations
            .iter()
            .filter(|t| t["key"] == "vm")
            .collect::<Vec<_>>(),
        [&json!({"key": "vm", "operator": "Exists"})]
    );
    let same = json!({"overhead": {"cpu": "0.01", "memory": "1024Ki"}});
    api.ok("POST", PODS, of("b", "vm", same)).await;
    let plain = api.ok("POST", PODS, of("c", "plain", json!({}))).await;
    assert!(plain["spec"].get("overhead").is_none());

    let refused = |text: &str| format!("pods \"d\" is forbidden: {text}");
    for (pod, text) in [
        (
            of("d", "none", json!({})),
            "pod rejected: RuntimeClass \"none\" not found",
        ),
        (
            of("d", "vm", json!({"overhead": {"cpu": "20m"}})),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            of("d", "plain", json!({"overhead": {"cpu": "20m"}})),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            of("d", "vm", json!({"nodeSelector": {"kvm": "no"}})),
            "conflict: runtimeClass.scheduling.nodeSelector[kvm] = yes; pod.spec.nodeSelector[kvm] = no",
        ),
    ] {
        api.call("POST", PODS, pod)
            .await
            .refused(403, &refused(text));
    }
    // A class that was deleted is not known any more at once.
    api.ok("DELETE", &format!("{classes}/plain"), Value::Null)
        .await;
    let text = "pod rejected: RuntimeClass \"plain\" not found";
    api.call("POST", PODS, of("d", "plain", json!({})))
        .await
        .refused(403, &refused(text));
}

#[tokio::test]
async fn devices_of_others_are_for_claims_in_namespaces_with_a_label() {
    let api = start().await;
    let labels = json!({"resource.kubernetes.io/admin-access": "true"});
    for (name, labels) in [("plain", json!({})), ("admins", labels)] {
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        api.ok("POST", "/api/v1/namespaces", namespace).await;
    }
    let devices = |access: bool| json!({"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "a", "adminAccess": access}}]}});
    let detail = "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace";
    let path = |namespace: &str, plural: &str| {
        format!("/apis/resource.k8s.io/v1/namespaces/{namespace}/{plural}")
    };
    let claim =
        |name: &str, access: bool| json!({"metadata": {"name": name}, "spec": devices(access)});
    let template =
        |access: bool| json!({"metadata": {"name": "t"}, "spec": {"spec": devices(access)}});
    let (claims, templates) = ("resourceclaims", "resourceclaimtemplates");
    api.call("POST", &path("plain", claims), claim("a", true))
        .await
        .refused(
            422,
            &format!("ResourceClaim.resource.k8s.io \"a\" is invalid: {detail}"),
        );
    api.call("POST", &path("plain", templates), template(true))
        .await
        .refused(
            422,
            &format!("ResourceClaimTemplate.resource.k8s.io \"t\" is invalid: {detail}"),
        );
    api.ok("POST", &path("plain", claims), claim("a", false))
        .await;
    api.ok("POST", &path("admins", claims), claim("a", true))
        .await;
    api.ok("POST", &path("admins", templates), template(true))
        .await;
}
