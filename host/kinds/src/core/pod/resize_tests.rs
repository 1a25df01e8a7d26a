//! What a resize may change, in upstream's words.

use k3s_meta::user::UserInfo;
use serde_json::json;

use super::*;
use crate::core::pod::defaults;

/// A stored pod; `spec` is merged into one that runs always.
fn pod(spec: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "p", "namespace": "default", "resourceVersion": "1"},
        "spec": {"restartPolicy": "Always"},
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    for list in LISTS {
        for container in tree::each_mut(&mut pod, &format!("spec.{list}")) {
            tree::set(container, "image", "i");
        }
    }
    defaults::default(&mut pod);
    pod
}

fn of(resources: &[Value]) -> Value {
    let containers = resources.iter().enumerate();
    let containers = containers.map(|(i, it)| json!({"name": format!("c{i}"), "resources": it}));
    json!({"containers": containers.collect::<Vec<_>>()})
}

/// What the change comes to after everything else was put back.
fn step(old: &Value, new: &Value) -> (Value, String) {
    let mut new = new.clone();
    prepare(&mut new, old, &Context::at_epoch(&UserInfo::default()));
    let errors = validate(&new, old);
    let text = if errors.is_empty() {
        String::new()
    } else {
        errors.to_string()
    };
    (new, text)
}

fn errors(old: &Value, new: &Value) -> String {
    let (_, errors) = step(&pod(old), &pod(new));
    errors
}

fn requests(cpu: &str, memory: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}})
}

fn both(cpu: &str, memory: &str) -> Value {
    let list = json!({"cpu": cpu, "memory": memory});
    json!({"requests": list, "limits": list})
}

#[test]
fn cpu_and_memory_change_within_the_class() {
    for (before, after) in [
        (requests("1", "1Gi"), requests("2", "512Mi")),
        (both("1", "1Gi"), both("500m", "2Gi")),
        (
            json!({"requests": {"cpu": "1"}}),
            json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}),
        ),
        (
            json!({"limits": {"memory": "1Gi"}}),
            json!({"limits": {"memory": "1Mi"}}),
        ),
    ] {
        assert_eq!(
            errors(&of(&[before]), &of(std::slice::from_ref(&after))),
            "",
            "{after}"
        );
    }
}

#[test]
fn what_a_resize_may_not_do_is_refused() {
    const CLASS: &str = "Pod QOS Class may not change as a result of resizing";
    let with = |storage: &str| json!({"requests": {"cpu": "1", "ephemeral-storage": storage}});
    for (before, after, expected) in [
        (
            of(&[json!({})]),
            of(&[requests("1", "1Gi")]),
            format!("spec: Invalid value: \"\": {CLASS}"),
        ),
        (
            of(&[json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}})]),
            of(&[both("2", "2Gi")]),
            format!("spec: Invalid value: \"\": {CLASS}"),
        ),
        (
            of(&[requests("1", "1Gi")]),
            of(&[json!({"requests": {"cpu": "1"}})]),
            "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"
                .to_owned(),
        ),
        (
            of(&[json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})]),
            of(&[json!({"requests": {"cpu": "1"}})]),
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"
                .to_owned(),
        ),
        (
            of(&[with("1Gi")]),
            of(&[with("2Gi")]),
            "spec: Forbidden: only cpu and memory resources are mutable".to_owned(),
        ),
        (
            of(&[requests("1", "1Gi")]),
            of(&[requests("1", "1Gi"), requests("1", "1Gi")]),
            "spec.containers: Forbidden: containers may not be added or removed on resize"
                .to_owned(),
        ),
        (
            json!({"containers": [{"name": "a"}, {"name": "b"}]}),
            json!({"containers": [{"name": "b"}, {"name": "a"}]}),
            "[spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize, \
             spec.containers[1].name: Forbidden: containers may not be renamed or reordered on resize]"
                .to_owned(),
        ),
    ] {
        assert_eq!(errors(&before, &after), expected);
    }
}

#[test]
fn the_policy_of_a_resize_does_not_change_with_it() {
    let with = |policy: &str| {
        json!({"containers": [{"name": "c", "resources": requests("1", "1Gi"),
            "resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}]}]})
    };
    assert_eq!(
        errors(&with("NotRequired"), &with("RestartContainer")),
        "spec: Forbidden: only cpu and memory resources are mutable"
    );
}

#[test]
fn init_containers_are_resized_unless_they_would_have_to_restart() {
    let with = |cpu: &str, policy: Value, resize: &str| {
        let list = json!([{"resourceName": "cpu", "restartPolicy": resize}]);
        json!({"containers": [{"name": "c", "resources": requests("1", "1Gi")}],
            "initContainers": [{"name": "i", "restartPolicy": policy, "resizePolicy": list,
                "resources": {"requests": {"cpu": cpu}}}]})
    };
    for (policy, resize, refused) in [
        (Value::Null, "NotRequired", false),
        (json!("Always"), "RestartContainer", false),
        (Value::Null, "RestartContainer", true),
    ] {
        let found = errors(
            &with("1", policy.clone(), resize),
            &with("2", policy.clone(), resize),
        );
        let detail = "spec.initContainers[0]: Forbidden: non-sidecar init containers with a resize policy of \
                      RestartContainer cannot be resized";
        assert_eq!(
            found.contains(detail),
            refused,
            "{policy} {resize}: {found}"
        );
    }
}

#[test]
fn resources_of_the_pod_as_a_whole_are_resized_too() {
    let with = |own: Value| json!({"containers": [{"name": "c"}], "resources": own});
    let huge = |amount: &str| json!({"limits": {"hugepages-2Mi": amount, "cpu": "1"}});
    for (before, after, expected) in [
        (requests("1", "1Gi"), requests("2", "2Gi"), ""),
        (
            requests("1", "1Gi"),
            Value::Null,
            "spec.resources: Forbidden: pod-level resources cannot be removed",
        ),
        (
            requests("1", "1Gi"),
            json!({"requests": {"cpu": "1"}}),
            "spec.resources.requests: Forbidden: pod-level resource requests cannot be removed",
        ),
        (
            huge("2Mi"),
            huge("4Mi"),
            "spec: Forbidden: only cpu and memory resources are mutable at pod-level",
        ),
    ] {
        let found = errors(&with(before), &with(after));
        let is_expected = match expected {
            "" => found.is_empty(),
            text => found.contains(text),
        };
        assert!(is_expected, "{found}");
    }
}

#[test]
fn pods_that_no_node_can_resize_are_refused() {
    let new = pod(&of(&[requests("2", "1Gi")]));
    let running = json!([{"name": "c0", "state": {"running": {}}}]);
    for (path, value, expected) in [
        (
            "metadata.annotations",
            json!({MIRROR_ANNOTATION: "x"}),
            "static pods cannot be resized",
        ),
        (
            "spec.os",
            json!({"name": "windows"}),
            "windows pods cannot be resized",
        ),
        (
            "status.containerStatuses",
            running,
            "spec: Forbidden: Pod running on node without support for resize",
        ),
        (
            "status.nodeAllocatableResourceClaimStatuses",
            json!([{"name": "x"}]),
            "spec: Forbidden: pods with node allocatable resource claims cannot be resized",
        ),
    ] {
        let mut old = pod(&of(&[requests("1", "1Gi")]));
        tree::set(&mut old, path, value);
        let (_, found) = step(&old, &new);
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn everything_but_resources_is_put_back() {
    let mut old = pod(&of(&[requests("1", "1Gi")]));
    old["status"] = json!({"phase": "Running"});
    let mut sent = pod(&of(&[requests("2", "1Gi")]));
    tree::set(&mut sent, "metadata.labels", json!({"a": "b"}));
    tree::set(&mut sent, "spec.nodeName", "other");
    tree::set(&mut sent, "status.phase", "Failed");
    for container in tree::each_mut(&mut sent, "spec.containers") {
        tree::set(container, "image", "other");
    }
    let (stored, errors) = step(&old, &sent);
    assert_eq!(errors, "");
    let mut expected = old;
    for container in tree::each_mut(&mut expected, "spec.containers") {
        tree::set(container, "resources", requests("2", "1Gi"));
    }
    assert_eq!(stored, expected);
}
