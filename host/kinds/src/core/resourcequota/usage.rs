//! What objects count for in resource quotas, and which quotas count them: shared by admission, which
//! charges, and the controller, which recounts (`pkg/quota/v1/evaluator/core`).

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::Value;

use crate::core::podspec::amounts::{Amounts, amounts};

/// Kinds of the core group that are also counted by their plain name.
const PLAIN: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
/// Compute resources of a pod that are counted under their own name besides `requests.`.
const PLAIN_REQUESTS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// With a quota on one of these, every container has to say how much it wants.
const MUST_BE_GIVEN: [&str; 6] = [
    "cpu",
    "memory",
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
];
const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";

/// What one object uses.
#[must_use]
pub fn usage(group: &str, plural: &str, object: &Value) -> Amounts {
    let one = Quantity::from_value(1, k3s_meta::quantity::Format::DecimalSi);
    let counted = if group.is_empty() {
        plural.to_owned()
    } else {
        format!("{plural}.{group}")
    };
    let mut used = Amounts::from([(format!("count/{counted}"), one)]);
    match (group, plural) {
        ("", "pods") => {
            if matches!(tree::text(object, "status.phase"), "Failed" | "Succeeded") {
                return used;
            }
            used.insert("pods".to_owned(), one);
            pod(&mut used, object);
        }
        ("", "services") => {
            used.insert("services".to_owned(), one);
            service(&mut used, object);
        }
        ("", "persistentvolumeclaims") => {
            used.insert("persistentvolumeclaims".to_owned(), one);
            claim(&mut used, object, one);
        }
        ("", plain) if PLAIN.contains(&plain) => {
            used.insert(plain.to_owned(), one);
        }
        _ => {}
    }
    used
}

fn pod(used: &mut Amounts, pod: &Value) {
    let spec = PodSpec::counted_from_value(pod);
    for (name, amount) in spec.requests() {
        if PLAIN_REQUESTS.contains(&name.as_str()) || name.starts_with("hugepages-") {
            used.insert(name.clone(), amount);
        }
        used.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in spec.limits() {
        if PLAIN_REQUESTS.contains(&name.as_str()) {
            used.insert(format!("limits.{name}"), amount);
        }
    }
}

fn service(used: &mut Amounts, service: &Value) {
    let ports = tree::list(service, "spec.ports");
    let mut insert = |name: &str, count: usize| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        used.insert(
            name.to_owned(),
            Quantity::from_value(count, k3s_meta::quantity::Format::DecimalSi),
        );
    };
    match tree::text(service, "spec.type") {
        "NodePort" => insert("services.nodeports", ports.len()),
        "LoadBalancer" => {
            let allocates = tree::get(service, "spec.allocateLoadBalancerNodePorts")
                .and_then(Value::as_bool)
                != Some(false);
            let given = ports
                .iter()
                .filter(|p| {
                    p.get("nodePort")
                        .and_then(Value::as_i64)
                        .is_some_and(|n| n > 0)
                })
                .count();
            insert("services.loadbalancers", 1);
            insert(
                "services.nodeports",
                if allocates { ports.len() } else { given },
            );
        }
        _ => {}
    }
}

fn claim(used: &mut Amounts, claim: &Value, one: Quantity) {
    let class = tree::text(claim, "spec.storageClassName");
    let storage = amounts(claim, "spec.resources.requests")
        .get("storage")
        .copied();
    if let Some(storage) = storage {
        used.insert("requests.storage".to_owned(), storage);
    }
    if !class.is_empty() {
        used.insert(format!("{class}{STORAGE_CLASS}persistentvolumeclaims"), one);
        if let Some(storage) = storage {
            used.insert(format!("{class}{STORAGE_CLASS}requests.storage"), storage);
        }
    }
}

/// Whether a quota with this `spec` counts an object of this kind at all, and this one by its scopes.
#[must_use]
pub fn covers(spec: &Value, group: &str, plural: &str, object: &Value) -> bool {
    let plain = tree::texts(spec, "scopes")
        .into_iter()
        .map(|scope| covered_by(scope, "Exists", &[], group, plural, object));
    let chosen = tree::list(spec, "scopeSelector.matchExpressions")
        .iter()
        .map(|expression| {
            let values = tree::texts(expression, "values");
            let (scope, operator) = (
                tree::text(expression, "scopeName"),
                tree::text(expression, "operator"),
            );
            covered_by(scope, operator, &values, group, plural, object)
        });
    plain.chain(chosen).all(|covered| covered)
}

fn covered_by(
    scope: &str,
    operator: &str,
    values: &[&str],
    group: &str,
    plural: &str,
    object: &Value,
) -> bool {
    if (group, plural) != ("", "pods") {
        return false;
    }
    let spec = tree::get(object, "spec").unwrap_or(&Value::Null);
    let ends = tree::get(spec, "activeDeadlineSeconds")
        .and_then(Value::as_i64)
        .is_some_and(|s| s >= 0);
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => is_best_effort(spec),
        "NotBestEffort" => !is_best_effort(spec),
        "CrossNamespacePodAffinity" => crosses_namespaces(spec),
        "PriorityClass" => {
            let class = tree::text(spec, "priorityClassName");
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

fn is_best_effort(spec: &Value) -> bool {
    let lists = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| tree::list(spec, list));
    lists.chain([spec]).all(|holder| {
        ["resources.requests", "resources.limits"]
            .iter()
            .all(|path| {
                let set = amounts(holder, path);
                !["cpu", "memory"]
                    .iter()
                    .any(|name| set.get(*name).is_some_and(|amount| !amount.is_zero()))
            })
    })
}

fn crosses_namespaces(spec: &Value) -> bool {
    let elsewhere = |term: &Value| {
        !tree::list(term, "namespaces").is_empty()
            || tree::get(term, "namespaceSelector").is_some_and(|s| !s.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let required = tree::list(
            spec,
            &format!("affinity.{kind}.requiredDuringSchedulingIgnoredDuringExecution"),
        );
        let preferred = tree::list(
            spec,
            &format!("affinity.{kind}.preferredDuringSchedulingIgnoredDuringExecution"),
        );
        let preferred = preferred.iter().filter_map(|p| p.get("podAffinityTerm"));
        required.iter().chain(preferred).any(elsewhere)
    })
}

/// What a pod has to say for a quota with these names; nothing when it says all.
#[must_use]
pub fn missing<'a>(hard: impl Iterator<Item = &'a String>, pod: &Value) -> Option<String> {
    let needed: Vec<&String> = hard
        .filter(|name| MUST_BE_GIVEN.contains(&name.as_str()))
        .collect();
    let mut absent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let containers = ["containers", "initContainers"].into_iter();
    for container in containers.flat_map(|list| tree::list(pod, &format!("spec.{list}"))) {
        let given = |list: &str, name: &str| {
            amounts(container, &format!("resources.{list}")).contains_key(name)
        };
        for name in &needed {
            let is_given = match name.split_once('.') {
                Some((list, resource)) => given(list, resource),
                None => given("requests", name),
            };
            if !is_given {
                absent
                    .entry(name)
                    .or_default()
                    .push(tree::text(container, "name"));
            }
        }
    }
    let shown: Vec<String> = absent
        .into_iter()
        .map(|(name, mut containers)| {
            containers.sort_unstable();
            format!("{name} for: {}", containers.join(","))
        })
        .collect();
    (!shown.is_empty()).then(|| format!("must specify {}", shown.join("; ")))
}

/// `a=1,b=2`, as upstream prints a resource list.
#[must_use]
pub fn shown(amounts: &Amounts) -> String {
    amounts
        .iter()
        .map(|(name, amount)| format!("{name}={amount}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_count_under_their_names() {
        let pod = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}}]}});
        assert_eq!(
            shown(&usage("", "pods", &pod)),
            "count/pods=1,cpu=1,limits.memory=1Gi,pods=1,requests.cpu=1"
        );
        let mut smaller = pod;
        smaller["status"]["containerStatuses"] =
            json!([{"name": "c", "resources": {"requests": {"cpu": "2"}}}]);
        let used = usage("", "pods", &smaller);
        assert_eq!(used["requests.cpu"].to_string(), "2");
        let done = json!({"status": {"phase": "Succeeded"}, "spec": {"containers": []}});
        assert_eq!(shown(&usage("", "pods", &done)), "count/pods=1");
        let service =
            json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}});
        assert_eq!(
            shown(&usage("", "services", &service)),
            "count/services=1,services=1,services.loadbalancers=1,services.nodeports=2"
        );
        let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
        let used = usage("", "persistentvolumeclaims", &claim);
        assert_eq!(
            used["fast.storageclass.storage.k8s.io/requests.storage"].to_string(),
            "1Gi"
        );
        assert_eq!(
            shown(&usage("apps", "deployments", &json!({}))),
            "count/deployments.apps=1"
        );
        assert_eq!(
            shown(&usage("", "secrets", &json!({}))),
            "count/secrets=1,secrets=1"
        );
    }

    #[test]
    fn scopes_choose_pods_and_nothing_else() {
        let best_effort = json!({"spec": {"containers": [{"name": "c"}]}});
        let important = json!({"spec": {"priorityClassName": "high", "activeDeadlineSeconds": 5,
            "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}});
        let high = json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}});
        for (spec, first, second) in [
            (json!({}), true, true),
            (json!({"scopes": ["BestEffort"]}), true, false),
            (
                json!({"scopes": ["NotBestEffort", "Terminating"]}),
                false,
                true,
            ),
            (json!({"scopes": ["NotTerminating"]}), true, false),
            (high, false, true),
        ] {
            assert_eq!(covers(&spec, "", "pods", &best_effort), first, "{spec}");
            assert_eq!(covers(&spec, "", "pods", &important), second, "{spec}");
        }
        assert!(!covers(
            &json!({"scopes": ["BestEffort"]}),
            "",
            "secrets",
            &json!({})
        ));
        assert!(covers(&json!({}), "", "secrets", &json!({})));
    }

    #[test]
    fn containers_have_to_say_what_is_limited() {
        let pod = json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "resources": {"requests": {"cpu": "1"}}}]}});
        let hard = ["limits.cpu", "pods", "requests.cpu"].map(str::to_owned);
        assert_eq!(
            missing(hard.iter(), &pod).as_deref(),
            Some("must specify limits.cpu for: a,b; requests.cpu for: b")
        );
        assert_eq!(missing(["pods".to_owned()].iter(), &pod), None);
    }
}
