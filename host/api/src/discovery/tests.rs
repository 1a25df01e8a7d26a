//! Discovery documents against what kube-apiserver serves.

use super::order::by_version_priority;
use super::*;
use serde_json::{Value, json};

fn names<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|v| v[key].as_str().unwrap())
        .collect()
}

#[test]
fn groups_come_in_priority_order() {
    let want = [
        "apiregistration.k8s.io",
        "apps",
        "events.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "networking.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "scheduling.k8s.io",
        "coordination.k8s.io",
        "node.k8s.io",
        "discovery.k8s.io",
        "resource.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "k3s.io",
    ];
    assert_eq!(names(&groups(built_in())["groups"], "name"), want);
}

#[test]
fn every_built_in_version_has_upstreams_priorities() {
    for (group, version, want) in [
        ("", "v1", (18_000, 1)),
        ("apps", "v1", (17_800, 15)),
        ("autoscaling", "v1", (17_500, 15)),
        ("autoscaling", "v2", (17_500, 30)),
        ("flowcontrol.apiserver.k8s.io", "v1", (16_100, 21)),
        ("resource.k8s.io", "v1", (16_200, 21)),
        ("k3s.io", "v1alpha1", (1000, 100)),
        ("example.com", "v1", (1000, 100)),
    ] {
        assert_eq!(priorities(group, version), want, "{group}/{version}");
    }
    let mut own = built_in().filter(|row| row.group != "k3s.io");
    assert!(own.all(|row| priorities(row.group, row.version).0 > 1000));
}

#[test]
fn a_group() {
    let want = json!({"kind": "APIGroup", "apiVersion": "v1", "name": "autoscaling",
        "versions": [{"groupVersion": "autoscaling/v2", "version": "v2"}, {"groupVersion": "autoscaling/v1", "version": "v1"}],
        "preferredVersion": {"groupVersion": "autoscaling/v2", "version": "v2"}});
    assert_eq!(group(built_in(), "autoscaling"), Some(want));
    assert_eq!(group(built_in(), "nothing"), None);
    assert_eq!(group(built_in(), ""), None);
}

#[test]
fn resources_of_apps() {
    let list = resources(built_in(), "apps", "v1").unwrap();
    assert_eq!(
        (list["kind"].as_str(), list["groupVersion"].as_str()),
        (Some("APIResourceList"), Some("apps/v1"))
    );
    let want = [
        "controllerrevisions",
        "daemonsets",
        "daemonsets/status",
        "deployments",
        "deployments/scale",
        "deployments/status",
        "replicasets",
        "replicasets/scale",
        "replicasets/status",
        "statefulsets",
        "statefulsets/scale",
        "statefulsets/status",
    ];
    assert_eq!(names(&list["resources"], "name"), want);
    let all = json!([
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch"
    ]);
    let want = json!({"name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment",
        "verbs": all, "shortNames": ["deploy"], "categories": ["all"], "storageVersionHash": "8aSe+NMegvE="});
    assert_eq!(list["resources"][3], want);
    let want = json!({"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling",
        "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]});
    assert_eq!(list["resources"][4], want);
    assert!(resources(built_in(), "apps", "v2").is_none());
}

/// Upstream's hashes of what is stored elsewhere than it is served, and of what is not stored.
#[test]
fn hashes_name_the_stored_version() {
    for (group, version, plural, hash) in [
        ("", "v1", "pods", json!("xPOwRZ+Yhw8=")),
        ("", "v1", "bindings", Value::Null),
        ("", "v1", "componentstatuses", Value::Null),
        ("events.k8s.io", "v1", "events", json!("r2yiGXH7wu8=")),
        (
            "autoscaling",
            "v1",
            "horizontalpodautoscalers",
            json!("qwQve8ut294="),
        ),
        (
            "autoscaling",
            "v2",
            "horizontalpodautoscalers",
            json!("qwQve8ut294="),
        ),
        (
            "authorization.k8s.io",
            "v1",
            "subjectaccessreviews",
            Value::Null,
        ),
    ] {
        let list = resources(built_in(), group, version).unwrap();
        let mut all = list["resources"].as_array().unwrap().iter();
        let found = all.find(|entry| entry["name"] == plural).unwrap();
        assert_eq!(found["storageVersionHash"], hash, "{plural}.{group}");
    }
}

#[test]
fn aggregated() {
    let core = aggregated_core(built_in(), AggregatedVersion::V2);
    assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2");
    let v1 = &core["items"][0]["versions"][0];
    assert_eq!(
        (v1["version"].as_str(), v1["freshness"].as_str()),
        (Some("v1"), Some("Current"))
    );
    let pods = v1["resources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["resource"] == "pods")
        .unwrap();
    assert_eq!(pods["scope"], "Namespaced");
    let exec = pods["subresources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["subresource"] == "exec")
        .unwrap();
    let kind = json!({"group": "", "version": "v1", "kind": "PodExecOptions"});
    assert_eq!(
        *exec,
        json!({"subresource": "exec", "responseKind": kind, "verbs": ["create", "get"]})
    );
    let named = aggregated_groups(built_in(), AggregatedVersion::V2Beta1);
    assert_eq!(named["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    let legacy = groups(built_in());
    assert_eq!(
        named["items"].as_array().unwrap().len(),
        legacy["groups"].as_array().unwrap().len()
    );
}

#[test]
fn kinds_of_run_time_join() {
    let widget = Row {
        group: "example.com",
        version: "v1beta1",
        plural: "widgets",
        singular: "widget",
        kind: "Widget",
        namespaced: true,
        verbs: &["get"],
        short_names: &[],
        categories: &[],
        subresources: Vec::new(),
        stored: None,
        priorities: priorities("example.com", "v1beta1"),
    };
    let stable = Row {
        version: "v1",
        ..widget.clone()
    };
    let list = groups(built_in().chain([widget.clone(), stable.clone()]));
    let joined = list["groups"]
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["name"] == "example.com")
        .unwrap();
    assert_eq!(joined["preferredVersion"]["version"], "v1");
    // What their APIServices ask for counts before names.
    let raised = Row {
        priorities: (17_900, 200),
        ..widget
    };
    let list = groups(built_in().chain([raised, stable]));
    let list = list["groups"].as_array().unwrap();
    let names: Vec<&Value> = list.iter().map(|group| &group["name"]).collect();
    assert_eq!(
        names[..3],
        ["apiregistration.k8s.io", "example.com", "apps"]
    );
    assert_eq!(list[1]["preferredVersion"]["version"], "v1beta1");
}

#[test]
fn versions_order() {
    let mut versions = [
        "v1alpha1",
        "v10",
        "foo",
        "v2",
        "v1beta2",
        "v11alpha2",
        "v3beta1",
        "bar",
    ];
    versions.sort_by(|a, b| by_version_priority(a, b));
    assert_eq!(
        versions,
        [
            "v10",
            "v2",
            "v3beta1",
            "v1beta2",
            "v11alpha2",
            "v1alpha1",
            "bar",
            "foo"
        ]
    );
}
