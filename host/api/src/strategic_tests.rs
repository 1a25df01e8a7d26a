//! Strategic merge patches on real types: the algorithm is in `k3s_meta`, the schema is here, and only
//! together do they mean anything.

use crate::schema::{Type, by_gvk};
use k3s_meta::patch::{
    json_patch, strategic_merge, three_way_json, three_way_strategic, two_way_strategic,
};
use serde_json::{Value, json};

fn schema(kind: &str) -> &'static Type {
    let group = if matches!(kind, "Pod" | "Service" | "ServiceAccount" | "Node") {
        ""
    } else {
        "apps"
    };
    by_gvk(group, "v1", kind).unwrap().get()
}

fn patched(kind: &str, mut doc: Value, patch: Value) -> Value {
    strategic_merge(&mut doc, &patch, schema(kind)).unwrap_or_else(|e| panic!("{patch}: {e}"));
    doc
}

fn pod(spec: Value) -> Value {
    json!({ "spec": spec })
}

fn containers(list: Value) -> Value {
    pod(json!({ "containers": list }))
}

#[test]
fn merges() {
    let table = [
        (
            "maps merge",
            pod(json!({"a": 1, "b": {"c": 1}})),
            pod(json!({"b": {"d": 2}})),
            pod(json!({"a": 1, "b": {"c": 1, "d": 2}})),
        ),
        (
            "null deletes",
            pod(json!({"nodeName": "n", "hostname": "h"})),
            pod(json!({"nodeName": null})),
            pod(json!({"hostname": "h"})),
        ),
        (
            "null of nothing leaves nothing",
            pod(json!({})),
            pod(json!({"securityContext": {"runAsUser": null}})),
            pod(json!({"securityContext": {}})),
        ),
        (
            "list by key: change, add, keep",
            containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}])),
            containers(json!([{"name": "b", "image": "2"}, {"name": "c", "image": "1"}])),
            containers(
                json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "1"}]),
            ),
        ),
        (
            "delete by key",
            containers(json!([{"name": "a"}, {"name": "b"}])),
            containers(json!([{"name": "a", "$patch": "delete"}])),
            containers(json!([{"name": "b"}])),
        ),
        (
            "delete of what is not there; what is new comes before what only the server has",
            containers(json!([{"name": "b"}])),
            containers(json!([{"name": "a", "$patch": "delete"}, {"name": "c"}])),
            containers(json!([{"name": "c"}, {"name": "b"}])),
        ),
        (
            "delete in a list that is not there",
            pod(json!({})),
            containers(json!([{"name": "a", "$patch": "delete"}, {"name": "c"}])),
            containers(json!([{"name": "c"}])),
        ),
        (
            "replace a list",
            containers(json!([{"name": "a"}, {"name": "b"}])),
            containers(json!([{"$patch": "replace"}, {"name": "c"}])),
            containers(json!([{"name": "c"}])),
        ),
        (
            "merge is the default",
            containers(json!([{"name": "a", "image": "1"}])),
            containers(json!([{"$patch": "merge", "name": "a", "tty": true}])),
            containers(json!([{"name": "a", "image": "1", "tty": true}])),
        ),
        (
            "replace a map",
            pod(json!({"securityContext": {"runAsUser": 1, "runAsGroup": 2}})),
            pod(json!({"securityContext": {"$patch": "replace", "fsGroup": 3}})),
            pod(json!({"securityContext": {"fsGroup": 3}})),
        ),
        (
            "delete a map's content",
            pod(json!({"securityContext": {"runAsUser": 1}})),
            pod(json!({"securityContext": {"$patch": "delete"}})),
            pod(json!({"securityContext": {}})),
        ),
        (
            "atomic lists are replaced",
            containers(json!([{"name": "a", "args": ["1", "2"]}])),
            containers(json!([{"name": "a", "args": ["3"]}])),
            containers(json!([{"name": "a", "args": ["3"]}])),
        ),
        (
            "tolerations have no key",
            pod(json!({"tolerations": [{"key": "a"}]})),
            pod(json!({"tolerations": [{"key": "b"}]})),
            pod(json!({"tolerations": [{"key": "b"}]})),
        ),
        (
            "retainKeys in a list of unions",
            pod(json!({"volumes": [{"name": "v", "emptyDir": {}}]})),
            pod(
                json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}),
            ),
            pod(json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]})),
        ),
        (
            "element order",
            containers(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}])),
            pod(json!({"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]})),
            containers(json!([{"name": "b"}, {"name": "c"}, {"name": "a"}])),
        ),
        (
            "element order with change, addition and deletion",
            containers(json!([{"name": "a"}, {"name": "b"}, {"name": "server"}])),
            pod(json!({
                "$setElementOrder/containers": [{"name": "new"}, {"name": "a"}],
                "containers": [{"name": "new"}, {"name": "a", "tty": true}, {"name": "b", "$patch": "delete"}],
            })),
            containers(json!([{"name": "new"}, {"name": "a", "tty": true}, {"name": "server"}])),
        ),
        (
            "nested lists",
            containers(
                json!([{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]),
            ),
            containers(
                json!([{"name": "a", "env": [{"name": "Y", "value": "3"}, {"name": "X", "$patch": "delete"}]}]),
            ),
            containers(json!([{"name": "a", "env": [{"name": "Y", "value": "3"}]}])),
        ),
        (
            "sets of scalars",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
        ),
        (
            "deleting from sets of scalars",
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "finalizers": ["d"]}}),
            json!({"metadata": {"finalizers": ["d", "a", "c"]}}),
        ),
        (
            "ordering sets of scalars",
            json!({"metadata": {"finalizers": ["a", "b", "c"]}}),
            json!({"metadata": {"$setElementOrder/finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]}}),
            json!({"metadata": {"finalizers": ["c", "a"]}}),
        ),
        (
            "a new tree loses its directives",
            json!({}),
            json!({"spec": {"$retainKeys": ["containers"], "containers": [{"name": "a", "args": null}]}}),
            containers(json!([{"name": "a"}])),
        ),
        (
            "other types replace",
            pod(json!({"x": {"a": 1}})),
            pod(json!({"x": 2})),
            pod(json!({"x": 2})),
        ),
    ];
    for (what, doc, patch, want) in table {
        assert_eq!(patched("Pod", doc, patch), want, "{what}");
    }
}

#[test]
fn ports_of_services_merge_by_number() {
    let doc = json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}});
    let patch = json!({"spec": {"ports": [{"port": 81, "targetPort": "x"}, {"port": 80, "$patch": "delete"}]}});
    assert_eq!(
        patched("Service", doc, patch),
        json!({"spec": {"ports": [{"port": 81, "name": "b", "targetPort": "x"}]}})
    );
}

#[test]
fn strategy_retains_keys() {
    let doc =
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(
        patched("Deployment", doc, patch),
        json!({"spec": {"strategy": {"type": "Recreate"}}})
    );
}

#[test]
fn refuses_and_leaves_the_document() {
    let table = [
        (
            json!([1]),
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            pod(json!({"$patch": "burn"})),
            "unknown patch type: burn in map: map[$patch:burn]",
        ),
        (
            containers(json!([{"image": "1"}])),
            "map: map[image:1] does not contain declared merge key: name",
        ),
        (
            containers(json!([{"$patch": "delete"}])),
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            containers(json!([{"name": "a"}, "b"])),
            "list element types are not identical: [[map[name:a]] [map[name:a] b]]",
        ),
        (
            containers(json!([["a"]])),
            "list element types are not identical: [[map[name:a]] [[a]]]",
        ),
        (
            pod(json!({"$retainKeys": "x"})),
            "invalid patch format of retainKeys",
        ),
        (
            pod(json!({"$retainKeys": ["hostname"], "nodeName": "x"})),
            "invalid patch format of retainKeys",
        ),
        (
            pod(json!({"$setElementOrder/containers": "x"})),
            "invalid patch format of setElementOrder list",
        ),
        (
            pod(
                json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a"}, {"name": "b"}]}),
            ),
            "The order in patch list:\n[map[name:a] map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:b] map[name:a]]\n",
        ),
        (
            json!({"metadata": {"$deleteFromPrimitiveList": ["x"]}}),
            "invalid patch format of primitive list",
        ),
    ];
    for (patch, want) in table {
        let before =
            json!({"metadata": {"finalizers": []}, "spec": {"containers": [{"name": "a"}]}});
        let mut doc = before.clone();
        let result = strategic_merge(&mut doc, &patch, schema("Pod"));
        assert_eq!(
            result.map_err(|e| e.to_string()),
            Err(want.to_owned()),
            "{patch}"
        );
        assert_eq!(doc, before);
    }
}

/// Documents that differ in every way a patch can express.
fn variants() -> Vec<Value> {
    let deployment = |replicas: i64, strategy: Value, containers: Value, volumes: Value| {
        json!({"metadata": {"finalizers": ["x"]}, "spec": {"replicas": replicas, "strategy": strategy,
            "template": {"spec": {"containers": containers, "volumes": volumes}}}})
    };
    vec![
        deployment(
            1,
            json!({"type": "Recreate"}),
            json!([{"name": "a", "image": "1"}]),
            json!([]),
        ),
        deployment(
            2,
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
            json!([{"name": "b", "image": "1", "args": ["x"]}, {"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}]}]),
            json!([{"name": "v", "emptyDir": {}}]),
        ),
        deployment(
            2,
            json!({"type": "Recreate"}),
            json!([{"name": "a", "image": "2"}, {"name": "c"}, {"name": "b", "image": "1", "args": []}]),
            json!([{"name": "w", "configMap": {"name": "m"}}, {"name": "v", "hostPath": {"path": "/"}}]),
        ),
        json!({"metadata": {"finalizers": ["y", "x"]}, "spec": {}}),
        json!({"metadata": {}}),
    ]
}

#[test]
fn a_two_way_patch_turns_one_document_into_the_other() {
    for from in variants() {
        for to in variants() {
            let patch = two_way_strategic(&from, &to, schema("Deployment")).unwrap();
            assert_eq!(
                patched("Deployment", from.clone(), patch.clone()),
                to,
                "{patch}"
            );
            assert_eq!(patch == json!({}), from == to);
        }
    }
}

#[test]
fn a_three_way_patch_keeps_what_others_set() {
    let original = containers(json!([{"name": "a", "image": "1", "tty": true}, {"name": "gone"}]));
    let modified = containers(json!([{"name": "a", "image": "2"}]));
    let current = json!({"spec": {
        "containers": [{"name": "a", "image": "1", "tty": true, "imagePullPolicy": "Always"}, {"name": "gone"}, {"name": "injected"}],
        "nodeName": "n",
    }});
    let patch = three_way_strategic(&original, &modified, &current, schema("Pod")).unwrap();
    let want = pod(json!({
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [{"name": "a", "image": "2", "tty": null}, {"name": "gone", "$patch": "delete"}],
    }));
    assert_eq!(patch, want);
    let want = json!({"spec": {
        "containers": [{"name": "a", "image": "2", "imagePullPolicy": "Always"}, {"name": "injected"}], "nodeName": "n",
    }});
    assert_eq!(patched("Pod", current, patch), want);
}

/// What a client applies in turn, starting with `live`; a patch that replaces a list names the state it is for.
fn applied(kind: &str, live: Value, documents: &[Value]) -> Value {
    let mut state = (live, Value::Null);
    for document in documents {
        let (live, last) = state;
        let patch = three_way_strategic(&last, document, &live, schema(kind)).unwrap();
        state = (patched(kind, live, patch), document.clone());
    }
    state.0
}

#[test]
fn ports_of_one_number_are_told_apart_by_protocol() {
    let service = |ports: Value| json!({"spec": {"ports": ports}});
    let tcp = json!({"name": "tcp", "port": 8301});
    let udp = json!({"name": "udp", "port": 8301, "protocol": "UDP"});
    let live_tcp = json!({"name": "tcp", "port": 8301, "protocol": "TCP", "nodePort": 30001});
    let live = service(json!([live_tcp]));
    let one = service(json!([tcp]));
    let both = service(json!([tcp, udp]));
    let wanted = service(json!([live_tcp, udp]));
    let steps = [one.clone(), both.clone(), both.clone(), both.clone()];
    assert_eq!(applied("Service", live.clone(), &steps), wanted);
    assert_eq!(
        three_way_strategic(&both, &both, &wanted, schema("Service")).unwrap(),
        json!({})
    );
    let steps = [one.clone(), both.clone(), one.clone()];
    assert_eq!(applied("Service", live.clone(), &steps), live);
    // The port of another client stays, and a port without protocol is the TCP one.
    let other = json!({"name": "other", "port": 53, "protocol": "UDP"});
    let beside = service(json!([other, live_tcp]));
    let renamed = service(json!([{"name": "serf", "port": 8301}]));
    let mut named = live_tcp.clone();
    named["name"] = json!("serf");
    let wanted = service(json!([other, named]));
    assert_eq!(applied("Service", beside, &[one, renamed]), wanted);
}

#[test]
fn the_second_of_two_equal_container_ports_can_be_removed() {
    let deployment = |ports: Value| {
        let template =
            json!({"spec": {"containers": [{"name": "c", "ports": ports}, {"name": "d"}]}});
        json!({"metadata": {"resourceVersion": "7"}, "spec": {"template": template}})
    };
    let two = deployment(
        json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]),
    );
    let one = deployment(json!([{"containerPort": 53, "protocol": "UDP"}]));
    let patch = three_way_strategic(&two, &one, &two, schema("Deployment")).unwrap();
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(patched("Deployment", two, patch), one);
}

#[test]
fn three_way_patches_of_equal_documents_are_empty() {
    for v in variants() {
        assert_eq!(
            three_way_strategic(&v, &v, &v, schema("Deployment")).unwrap(),
            json!({})
        );
        assert_eq!(three_way_json(&v, &v, &v).unwrap(), json!({}));
    }
}

#[test]
fn three_way_json_deletes_only_what_was_applied() {
    let original = json!({"spec": {"a": 1, "b": {"c": 1}, "list": [1]}});
    let modified = json!({"spec": {"b": {"d": 2}, "list": [1, 2]}});
    let current = json!({"spec": {"a": 1, "b": {"c": 1, "other": 3}, "list": [1], "server": true}});
    let patch = three_way_json(&original, &modified, &current).unwrap();
    assert_eq!(
        patch,
        json!({"spec": {"a": null, "b": {"c": null, "d": 2}, "list": [1, 2]}})
    );
}

#[test]
fn an_apply_that_would_rename_is_refused() {
    let named = |name: &str| json!({"kind": "Pod", "metadata": {"name": name}});
    let error =
        three_way_strategic(&named("a"), &named("b"), &named("a"), schema("Pod")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at least one of apiVersion, kind and name was changed"
    );
}

#[test]
fn long_lists_merge_in_time_that_grows_with_their_length() {
    let items = |range: std::ops::Range<u32>| {
        containers(
            range
                .map(|i| json!({"name": format!("c{i}"), "image": "x"}))
                .collect(),
        )
    };
    let merged = patched("Pod", items(0..20_000), items(10_000..30_000));
    assert_eq!(
        merged["spec"]["containers"].as_array().unwrap().len(),
        30_000
    );
    let mut doc = json!({"a": []});
    let many: Vec<Value> = (0..5_000)
        .map(|i| json!({"op": "add", "path": "/a/-", "value": i}))
        .collect();
    json_patch(&mut doc, &Value::Array(many)).unwrap();
}
