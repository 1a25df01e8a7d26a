//! Validation of stateful sets.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::apps::workload;
use crate::checks::{self, Check};
use crate::core::persistentvolumeclaim::validation as claim;
use crate::core::podspec::{validation, warnings as spec_warnings};
use crate::equality::semantic_eq;

/// Fields of the spec that an update may change.
const OPEN: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) fn validate(set: &Value) -> ErrorList {
    spec(set, Checks::ALL)
}

/// What of a set is looked at. An update tolerates what is stored and cannot be changed.
#[derive(Clone, Copy)]
struct Checks {
    template: bool,
    /// The service's name and the templates of claims.
    immutable: bool,
}

impl Checks {
    const ALL: Self = Self {
        template: true,
        immutable: true,
    };
}

fn spec(set: &Value, checked: Checks) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(set, "spec").unwrap_or(&Value::Null);
    management(&mut errors, spec, &path.child("podManagementPolicy"));
    strategy(&mut errors, spec, &path.child("updateStrategy"));
    retention(
        &mut errors,
        spec,
        &path.child("persistentVolumeClaimRetentionPolicy"),
    );
    if checked.immutable {
        claims(&mut errors, spec, &path.child("volumeClaimTemplates"));
    }
    for name in ["replicas", "minReadySeconds"] {
        checks::not_negative(&mut errors, spec, name, &path);
    }
    if let Some(ordinals) = tree::get(spec, "ordinals") {
        checks::not_negative(&mut errors, ordinals, "start", &path.child("ordinals"));
    }
    let service = tree::text(spec, "serviceName");
    if checked.immutable && !service.is_empty() {
        let outcome = names::is_dns1123_label(service);
        errors.check(&path.child("serviceName"), service, outcome);
    }
    workload::selector(&mut errors, spec, &path, "statefulset");
    if !workload::matches(&mut errors, spec, &path) {
        let selector = tree::get(spec, "selector");
        errors.push(field::invalid(&path.child("selector"), selector, ""));
    } else if checked.template {
        let template = template(spec);
        errors.append(validation::template(
            Some(&template),
            &path.child("template"),
        ));
    }
    workload::always_restarted(&mut errors, spec, &path, "StatefulSet");
    errors
}

fn management(errors: &mut ErrorList, spec: &Value, path: &Path) {
    match tree::text(spec, "podManagementPolicy") {
        "OrderedReady" | "Parallel" => {}
        "" => errors.push(field::required(path, "")),
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.push(field::invalid(path, other, detail));
        }
    }
}

fn claims(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let templates = tree::list(spec, "volumeClaimTemplates").iter();
    for (index, template) in templates.enumerate() {
        let spec = tree::get(template, "spec").unwrap_or(&Value::Null);
        claim::spec(errors, spec, &path.index(index).child("spec"), true);
    }
}

/// The template as its pods will have it: claims made from `volumeClaimTemplates` are volumes, so mounts may name
/// them, and the controller names host and subdomain.
fn template(spec: &Value) -> Value {
    let mut template = tree::get(spec, "template").cloned().unwrap_or_default();
    for name in ["spec.subdomain", "spec.hostname"] {
        tree::remove(&mut template, name);
    }
    let claims: Vec<Value> = tree::list(spec, "volumeClaimTemplates")
        .iter()
        .map(|claim| {
            let name = tree::text(claim, "metadata.name");
            serde_json::json!({"name": name, "persistentVolumeClaim": {"claimName": name}})
        })
        .collect();
    if !claims.is_empty() && tree::get(&template, "spec").is_some() {
        let named = |volume: &Value| {
            let name = volume.get("name");
            claims.iter().any(|claim| claim.get("name") == name)
        };
        let mut volumes = tree::list(&template, "spec.volumes").to_vec();
        volumes.retain(|volume| !named(volume));
        volumes.splice(0..0, claims);
        tree::set(&mut template, "spec.volumes", volumes);
    }
    template
}

fn strategy(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let strategy = tree::get(spec, "updateStrategy").unwrap_or(&Value::Null);
    let rolling = tree::get(strategy, "rollingUpdate");
    match tree::text(strategy, "type") {
        "" => errors.push(field::required(path, "")),
        "OnDelete" => {
            if rolling.is_some() {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.push(field::invalid(
                    &path.child("rollingUpdate"),
                    rolling,
                    detail,
                ));
            }
        }
        "RollingUpdate" => {
            if let Some(rolling) = rolling {
                let at = path.child("rollingUpdate");
                checks::not_negative(errors, rolling, "partition", &at);
                if let Some(unavailable) = tree::get(rolling, "maxUnavailable") {
                    let at = at.child("maxUnavailable");
                    checks::int_or_percent(errors, unavailable, &at);
                    if checks::is_zero(unavailable) {
                        errors.push(field::invalid(&at, unavailable, "cannot be 0"));
                    }
                    checks::not_above_hundred(errors, unavailable, &at);
                }
            }
        }
        _ => errors.push(field::invalid(
            path,
            strategy,
            "must be 'RollingUpdate' or 'OnDelete'",
        )),
    }
}

fn retention(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(policy) = tree::get(spec, "persistentVolumeClaimRetentionPolicy") else {
        return;
    };
    for name in ["whenDeleted", "whenScaled"] {
        checks::is_one_of(errors, policy, name, path, &["Retain", "Delete"]);
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let kept = Checks {
        template: true,
        immutable: false,
    };
    let template = spec(old, kept).is_empty();
    let mut errors = spec(new, Checks { template, ..kept });
    let closed = |set: &Value| {
        let mut spec = set.get("spec").cloned().unwrap_or_default();
        for name in OPEN {
            tree::remove(&mut spec, name);
        }
        spec
    };
    if !semantic_eq(Some(&closed(new)), Some(&closed(old))) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(field::forbidden(&Path::new("spec"), detail));
    }
    errors
}

pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    let counts = [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    for name in counts {
        checks::not_negative(&mut errors, status, name, &path);
    }
    let count = |name: &str| tree::int(status, name).unwrap_or(0);
    for name in [
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
    ] {
        if count(name) > count("replicas") {
            errors.push(field::invalid(
                &path.child(name),
                count(name),
                "cannot be greater than status.replicas",
            ));
        }
    }
    let available = count("availableReplicas");
    if available > count("readyReplicas") {
        let detail = "cannot be greater than status.readyReplicas";
        errors.push(field::invalid(
            &path.child("availableReplicas"),
            available,
            detail,
        ));
    }
    checks::not_decremented(&mut errors, new, old, "status.collisionCount");
    errors
}

pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    spec_warnings::changed_template(new, old, "spec.template")
}

pub(super) fn warnings(set: &Value) -> Vec<String> {
    spec_warnings::template(set, "spec.template")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apps::statefulset::defaults;

    fn set(change: impl Fn(&mut Value)) -> Value {
        let mut set = json!({"metadata": {"name": "s"}, "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        }});
        change(&mut set);
        defaults::default(&mut set);
        set
    }

    type Case = (fn(&mut Value), &'static str);

    #[test]
    fn mistakes_are_worded_as_upstream() {
        let cases: [Case; 6] = [
            (
                |it| tree::set(it, "spec.podManagementPolicy", "Other"),
                "spec.podManagementPolicy: Invalid value: \"Other\": must be 'OrderedReady' or 'Parallel'",
            ),
            (
                |it| tree::set(it, "spec.serviceName", "a.b"),
                "spec.serviceName: Invalid value: \"a.b\": must not contain dots",
            ),
            (
                |it| {
                    tree::set(
                        it,
                        "spec.updateStrategy",
                        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "0%"}}),
                    )
                },
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": cannot be 0",
            ),
            (
                |it| {
                    tree::set(
                        it,
                        "spec.volumeClaimTemplates",
                        json!([{"metadata": {"name": "v"}, "spec": {"accessModes": ["x"], "resources": {"requests": {"storage": "1Gi"}}}}]),
                    )
                },
                "spec.volumeClaimTemplates[0].spec.accessModes: Unsupported value: \"x\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            ),
            (
                |it| {
                    tree::set(
                        it,
                        "spec.persistentVolumeClaimRetentionPolicy",
                        json!({"whenScaled": "x"}),
                    )
                },
                "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"x\": supported values: \"Retain\", \"Delete\"",
            ),
            (
                |it| tree::set(it, "spec.template.spec.hostname", "No name"),
                "[]",
            ),
        ];
        for (change, message) in cases {
            assert_eq!(validate(&set(change)).to_string(), message);
        }
    }

    #[test]
    fn what_is_stored_and_cannot_change_is_tolerated() {
        let stored = set(|it| tree::set(it, "spec.serviceName", "a.b"));
        assert!(validate_update(&stored, &stored).is_empty());
        let broken = set(|it| tree::set(it, "spec.template.spec.containers", json!([])));
        assert!(validate_update(&broken, &broken).is_empty());
        let errors = validate_update(&broken, &set(|_| {}));
        assert_eq!(
            errors.to_string(),
            "spec.template.spec.containers: Required value"
        );
    }
}
