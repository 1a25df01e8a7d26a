//! Annotations that mean something to a pod (`ValidatePodSpecificAnnotations`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::quote::quote;
use k3s_meta::tree;
use k3s_objects::pod::MIRROR_ANNOTATION;
use serde_json::{Value, json};

use super::volumes::relative_path;
use crate::core::podspec::defaults::CONTAINER_LISTS;

const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR_OF: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Before the file of a profile.
const LOCALHOST: &str = "localhost/";

/// Validates the annotations of `holder`'s metadata, at `path`; `spec` is that of the pod.
pub(crate) fn validate(errors: &mut ErrorList, meta: &Value, spec: &Value, path: &Path) {
    let annotations = tree::map(meta, "annotations");
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    if let Some(value) = text(MIRROR_ANNOTATION)
        && !tree::has(spec, "nodeName")
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(field::invalid(&path.key(MIRROR_ANNOTATION), value, detail));
    }
    if let Some(list) = text(TOLERATIONS).filter(|list| !list.is_empty()) {
        tolerations(errors, list, path);
    }
    if let Some(cost) = text(DELETION_COST).filter(|cost| !is_cost(cost)) {
        let at = path.key(DELETION_COST);
        errors.push(field::invalid(&at, cost, "must be a 32bit integer"));
    }
    for (key, value) in annotations {
        let value = value.as_str().unwrap_or_default();
        if key == SECCOMP || key.starts_with(SECCOMP_OF) {
            seccomp(errors, value, &path.child(key));
        }
        if let Some(container) = key.strip_prefix(APP_ARMOR_OF) {
            app_armor(errors, (container, value), spec, &path.key(key));
        }
    }
}

fn tolerations(errors: &mut ErrorList, list: &str, path: &Path) {
    match serde_json::from_str::<Value>(list) {
        Ok(parsed @ (Value::Array(_) | Value::Null)) => {
            let holder = json!({"tolerations": parsed});
            super::tolerations(errors, &holder, &path.child(TOLERATIONS));
        }
        Ok(_) => {
            let detail = "json: cannot unmarshal into Go value of type []core.Toleration";
            errors.push(field::invalid(path, TOLERATIONS, detail));
        }
        Err(error) => errors.push(field::invalid(path, TOLERATIONS, error.to_string())),
    }
}

/// A number of 32 bits in its shortest form, without a plus sign.
fn is_cost(text: &str) -> bool {
    let starts = match text.as_bytes() {
        [b'0', rest @ ..] => rest.is_empty(),
        [b'-' | b'1'..=b'9', ..] => true,
        _ => false,
    };
    starts && text.parse::<i32>().is_ok()
}

fn seccomp(errors: &mut ErrorList, profile: &str, path: &Path) {
    if let Some(file) = profile.strip_prefix(LOCALHOST) {
        relative_path(errors, file, path);
    } else if !["runtime/default", "docker/default", "unconfined"].contains(&profile) {
        let detail = "must be a valid seccomp profile";
        errors.push(field::invalid(path, profile, detail));
    }
}

fn app_armor(
    errors: &mut ErrorList,
    (container, profile): (&str, &str),
    spec: &Value,
    path: &Path,
) {
    let names = CONTAINER_LISTS
        .iter()
        .flat_map(|list| tree::list(spec, list))
        .map(|container| tree::text(container, "name"));
    if !names.into_iter().any(|name| name == container) {
        errors.push(field::invalid(path, container, "container not found"));
    }
    let known = ["", "runtime/default", "unconfined"].contains(&profile);
    if !known && !profile.starts_with(LOCALHOST) {
        let detail = format!("invalid AppArmor profile name: {}", quote(profile));
        errors.push(field::invalid(path, profile, detail));
    }
}

/// What a profile is called, and where it stands in metadata and spec.
struct Profiles {
    /// As errors write it.
    name: [&'static str; 2],
    field: &'static str,
    /// The annotation of the pod as a whole.
    of_pod: Option<&'static str>,
    /// Before the name of a container.
    of_container: &'static str,
    /// Whether a container has the pod's profile if it has none of its own.
    inherits: bool,
    defaults: &'static [&'static str],
}

const PROFILES: [Profiles; 2] = [
    Profiles {
        name: ["seccomp type", "seccomp profile"],
        field: "securityContext.seccompProfile",
        of_pod: Some(SECCOMP),
        of_container: SECCOMP_OF,
        inherits: false,
        defaults: &["runtime/default", "docker/default"],
    },
    Profiles {
        name: ["apparmor type", "apparmor profile"],
        field: "securityContext.appArmorProfile",
        of_pod: None,
        of_container: APP_ARMOR_OF,
        inherits: true,
        defaults: &["runtime/default"],
    },
];

/// Profiles that stand in annotations and fields are the same in both. Upstream asks this of new pods and of
/// templates.
pub(crate) fn profiles_match(errors: &mut ErrorList, meta: &Value, spec: &Value, path: &Path) {
    for profiles in &PROFILES {
        if profiles.inherits && tree::text(spec, "os.name") == "windows" {
            continue;
        }
        let of_pod = tree::get(spec, profiles.field);
        if let (Some(field), Some(key)) = (of_pod, profiles.of_pod) {
            matches(errors, profiles, (meta, key), (field, path));
        }
        for list in CONTAINER_LISTS {
            for (index, container) in tree::list(spec, list).iter().enumerate() {
                let own = tree::get(container, profiles.field);
                let inherited = of_pod.filter(|_| profiles.inherits);
                if let Some(field) = own.or(inherited) {
                    let name = tree::text(container, "name");
                    let key = format!("{}{name}", profiles.of_container);
                    let at = path.child(list).index(index);
                    matches(errors, profiles, (meta, &key), (field, &at));
                }
            }
        }
    }
}

fn matches(
    errors: &mut ErrorList,
    profiles: &Profiles,
    (meta, key): (&Value, &str),
    (profile, path): (&Value, &Path),
) {
    let annotations = tree::map(meta, "annotations");
    let Some(noted) = annotations.get(key).and_then(Value::as_str) else {
        return;
    };
    let [type_name, profile_name] = profiles.name;
    let file = tree::get(profile, "localhostProfile").and_then(Value::as_str);
    let noted_file = noted.strip_prefix(LOCALHOST);
    let (what, name) = match tree::text(profile, "type") {
        "Unconfined" if noted != "unconfined" => (type_name, "type"),
        "RuntimeDefault" if !profiles.defaults.contains(&noted) => (type_name, "type"),
        "Localhost" if noted_file.is_none() => (type_name, "type"),
        "Localhost" if noted_file != file => (profile_name, "localhostProfile"),
        _ => return,
    };
    let detail = format!("{what} in annotation and field must match");
    let at = path.child(profiles.field).child(name);
    errors.push(field::forbidden(&at, detail));
}

/// Validates what may not come, change or go with an update (`ValidatePodSpecificAnnotationUpdates`).
pub(crate) fn validate_update(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let [after, before] = [new, old].map(|pod| tree::map(pod, "metadata.annotations"));
    let fixed = |key: &str| match key {
        MIRROR_ANNOTATION => Some("mirror pod annotation"),
        key if key.starts_with(APP_ARMOR_OF) => Some("AppArmor annotations"),
        _ => None,
    };
    let changed = before
        .keys()
        .filter(|key| after.get(*key) != before.get(*key));
    let added = after.keys().filter(|key| !before.contains_key(*key));
    let verbs = [
        ("remove or update", changed.collect::<Vec<_>>()),
        ("add", added.collect()),
    ];
    for (verb, keys) in verbs {
        for key in keys {
            if let Some(what) = fixed(key) {
                let detail = format!("may not {verb} {what}");
                errors.push(field::forbidden(&path.key(key), detail));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_worded_as_upstream() {
        let spec = json!({"containers": [{"name": "a"}]});
        for (key, value, text) in [
            (
                MIRROR_ANNOTATION,
                "x",
                "m[kubernetes.io/config.mirror]: Invalid value: \"x\": must set spec.nodeName if mirror pod annotation is set",
            ),
            (
                DELETION_COST,
                "+1",
                "m[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+1\": must be a 32bit integer",
            ),
            (
                SECCOMP,
                "odd",
                "m.seccomp.security.alpha.kubernetes.io/pod: Invalid value: \"odd\": must be a valid seccomp profile",
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/b",
                "unconfined",
                "m[container.apparmor.security.beta.kubernetes.io/b]: Invalid value: \"b\": container not found",
            ),
            (
                "container.apparmor.security.beta.kubernetes.io/a",
                "odd",
                "m[container.apparmor.security.beta.kubernetes.io/a]: Invalid value: \"odd\": invalid AppArmor profile name: \"odd\"",
            ),
        ] {
            let meta = json!({"annotations": {key: value}});
            let mut errors = ErrorList::new();
            validate(&mut errors, &meta, &spec, &Path::new("m"));
            assert_eq!(errors.to_string(), text);
        }
    }

    #[test]
    fn annotation_and_field_name_the_same_profile() {
        let spec = json!({
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Unconfined"}},
            "containers": [{"name": "a"}],
        });
        let errors = |annotations: Value| {
            let mut errors = ErrorList::new();
            let meta = json!({"annotations": annotations});
            profiles_match(&mut errors, &meta, &spec, &Path::new("spec"));
            errors.to_string()
        };
        assert_eq!(errors(json!({SECCOMP: "docker/default"})), "[]");
        assert_eq!(
            errors(json!({SECCOMP: "unconfined"})),
            "spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match"
        );
        assert_eq!(
            errors(json!({"container.apparmor.security.beta.kubernetes.io/a": "runtime/default"})),
            "spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match"
        );
    }

    #[test]
    fn what_says_who_made_a_pod_stays() {
        let pod = |annotations: Value| json!({"metadata": {"annotations": annotations}});
        let mut errors = ErrorList::new();
        let (mirror, plain) = (pod(json!({MIRROR_ANNOTATION: "x"})), pod(json!({"a": "b"})));
        validate_update(&mut errors, &plain, &mirror, &Path::new("m"));
        validate_update(&mut errors, &mirror, &plain, &Path::new("m"));
        assert_eq!(
            errors.to_string(),
            "[m[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod annotation, m[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation]"
        );
    }
}
