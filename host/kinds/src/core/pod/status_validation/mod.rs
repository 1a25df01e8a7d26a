//! Validation of what a kubelet reports of a pod (`ValidatePodStatusUpdate`).

mod addresses;
mod claims;
mod containers;
mod transitions;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;
use crate::core::podspec::validation::annotations;

/// Conditions whose type needs no check.
const OF_SYSTEM: [&str; 3] = ["Initialized", "PodScheduled", "Ready"];
const NO_GENERATION: &str = "must be a non-negative integer";

pub(super) fn validate(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let at = Path::new("metadata.annotations");
    annotations::validate_update(&mut errors, new, old, &at);
    let path = Path::new("status");
    conditions(&mut errors, new, &path.child("conditions"));
    nominated(&mut errors, new, old, &path.child("nominatedNodeName"));
    generation(
        &mut errors,
        tree::get(new, "status").unwrap_or(&Value::Null),
        &path,
    );
    let [class, stored] = [new, old].map(|pod| tree::text(pod, "status.qosClass"));
    if !stored.is_empty() && class != stored {
        errors.push(field::immutable(&path.child("qosClass"), class));
    }
    transitions::validate(&mut errors, new, old, &path);
    claims::validate(&mut errors, new, &path);
    addresses::of_pod(&mut errors, new, old, &path.child("podIPs"));
    addresses::of_host(&mut errors, new, old, &path.child("hostIPs"));
    containers::validate(&mut errors, new, &path);
    errors
}

fn conditions(errors: &mut ErrorList, pod: &Value, path: &Path) {
    let conditions = tree::list(pod, "status.conditions");
    for (index, condition) in conditions.iter().enumerate() {
        let at = path.index(index);
        generation(errors, condition, &at);
        let kind = tree::text(condition, "type");
        if !OF_SYSTEM.contains(&kind) {
            let outcome = names::is_qualified_name(kind);
            errors.check(&at.child("Type"), kind, outcome);
        }
    }
}

/// Validates `observedGeneration` of `holder`.
fn generation(errors: &mut ErrorList, holder: &Value, path: &Path) {
    let generation = tree::int(holder, "observedGeneration");
    if let Some(generation) = generation.filter(|generation| *generation < 0) {
        let at = path.child("observedGeneration");
        errors.push(field::invalid(&at, generation, NO_GENERATION));
    }
}

/// A pod that has a node needs no other.
fn nominated(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let [name, stored] = [new, old].map(|pod| tree::text(pod, "status.nominatedNodeName"));
    if name.is_empty() || name == stored {
        return;
    }
    errors.check(path, name, names::is_dns1123_subdomain(name));
    if tree::has(old, "spec.nodeName") {
        let detail = "may not be set on pods that are already bound to a node";
        errors.push(field::forbidden(path, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: Value) -> Value {
        json!({
            "spec": {
                "nodeName": "n", "restartPolicy": "Never", "resourceClaims": [{"name": "r"}],
                "containers": [
                    {"name": "a", "resources": {"requests": {"example.com/x": "1"}}},
                    {"name": "b", "restartPolicy": "OnFailure"},
                    {"name": "c", "restartPolicy": "Never", "restartPolicyRules": [
                        {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}},
                    ]},
                ],
            },
            "status": status,
        })
    }

    fn errors(status: Value) -> Vec<String> {
        let errors = validate(&pod(status), &pod(json!({})));
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_reported_has_its_form() {
        let conditions = json!([{"type": "Ready"}, {"type": "a b", "observedGeneration": -1}]);
        let errors_of_conditions = errors(json!({"conditions": conditions}));
        let starts = [
            "status.conditions[1].observedGeneration: Invalid value: -1: must be a non-negative integer",
            "status.conditions[1].Type: Invalid value: \"a b\": name part must consist of",
        ];
        assert_eq!(errors_of_conditions.len(), starts.len());
        for (error, start) in errors_of_conditions.iter().zip(starts) {
            assert!(error.starts_with(start), "{error}");
        }
        let ips = json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "x"}], "hostIP": "10.0.0.2", "hostIPs": [{"ip": "10.0.0.3"}]});
        assert_eq!(
            errors(ips),
            [
                "status.podIPs[1]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                "status.podIPs: Internal error: failed to check for dual stack with error:invalid IP[1]: x",
                "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"x\"}]: may specify no more than one IP for each IP family",
                "status.hostIPs[0].ip: Invalid value: \"10.0.0.3\": must be equal to `hostIP`",
            ]
        );
        assert_eq!(
            errors(json!({"nominatedNodeName": "m"})),
            [
                "status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"
            ]
        );
    }

    #[test]
    fn claims_and_devices_are_those_of_the_pod() {
        let claims = json!([{"name": "r"}, {"name": "r"}, {"name": "q"}]);
        assert_eq!(
            errors(json!({"resourceClaimStatuses": claims})),
            [
                "status.resourceClaimStatuses[1].name: Duplicate value: \"r\"",
                "status.resourceClaimStatuses[2].name: Invalid value: \"q\": must match the name of an entry in `spec.resourceClaims`",
            ]
        );
        let device = json!({"resourceID": "1", "health": ""});
        let allocated = json!([{"name": "example.com/y", "resources": [device, device]}]);
        let status = json!({"name": "a", "user": {"linux": {"uid": -1, "gid": 0}}, "allocatedResourcesStatus": allocated});
        let at = "status.containerStatuses[0].allocatedResourcesStatus[0]";
        assert_eq!(
            errors(json!({"containerStatuses": [status]})),
            [
                "status.containerStatuses[0].user.linux.uid: Invalid value: -1: must be between 0 and 2147483647, inclusive".to_owned(),
                format!("{at}.name: Invalid value: \"example.com/y\": must match one of the container's resource requests"),
                format!("{at}.resources[0].health: Unsupported value: \"\": supported values: \"Healthy\", \"Unhealthy\", \"Unknown\""),
                format!("{at}.resources[1].health: Unsupported value: \"\": supported values: \"Healthy\", \"Unhealthy\", \"Unknown\""),
                format!("{at}.resources[1].resourceID: Duplicate value: \"1\""),
            ]
        );
    }

    #[test]
    fn a_container_that_ended_for_good_does_not_run_again() {
        let statuses = |list: &str, state: Value, names: &[&str]| {
            let statuses = names
                .iter()
                .map(|name| json!({"name": name, "state": state}));
            json!({ list: statuses.collect::<Vec<_>>() })
        };
        for (list, name, code, is_error) in [
            ("containerStatuses", "a", 1, true),
            ("containerStatuses", "b", 1, false),
            ("containerStatuses", "b", 0, true),
            ("containerStatuses", "c", 42, false),
            ("containerStatuses", "c", 1, true),
            ("containerStatuses", "unknown", 1, true),
            ("ephemeralContainerStatuses", "a", 1, true),
        ] {
            let ended = json!({"terminated": {"exitCode": code}});
            let old = pod(statuses(list, ended, &["x", name]));
            let mut new = pod(statuses(list, json!({"running": {}}), &[name]));
            let expected = if is_error {
                let at = format!("status.{list}[1].state");
                format!("{at}: Forbidden: may not be transitioned to non-terminated state")
            } else {
                "[]".to_owned()
            };
            assert_eq!(validate(&new, &old).to_string(), expected, "{name} {code}");
            let rules = json!([{"action": "RestartAllContainers"}]);
            let mut restarting = old;
            tree::each_mut(&mut restarting, "spec.containers")
                .for_each(|container| tree::set(container, "restartPolicyRules", rules.clone()));
            tree::copy(&mut new, &restarting, "spec");
            let is_ephemeral = list == "ephemeralContainerStatuses";
            assert_eq!(validate(&new, &restarting).is_empty(), !is_ephemeral);
        }
    }
}
