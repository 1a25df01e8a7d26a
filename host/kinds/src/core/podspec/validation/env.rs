//! Environment variables and their sources.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const SOURCES: [&str; 5] = [
    "fieldRef",
    "resourceFieldRef",
    "configMapKeyRef",
    "secretKeyRef",
    "fileKeyRef",
];

/// Fields of the pod that a variable can take its value from.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of the pod that have labels and are no value of a variable.
const OTHER_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
];

/// Fields of the pod that a downward API volume can show.
const VOLUME_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn validate(errors: &mut ErrorList, container: &Value, path: &Path) {
    for (index, variable) in tree::list(container, "env").iter().enumerate() {
        let at = path.index(index);
        if checks::required(errors, variable, "name", &at, "") {
            let name = tree::text(variable, "name");
            errors.check(&at.child("name"), name, names::is_env_var_name(name));
        }
        if let Some(source) = tree::get(variable, "valueFrom") {
            value_from(errors, variable, source, &at.child("valueFrom"));
        }
    }
}

fn value_from(errors: &mut ErrorList, variable: &Value, source: &Value, path: &Path) {
    let given: Vec<&str> = SOURCES
        .into_iter()
        .filter(|name| tree::get(source, name).is_some())
        .collect();
    for name in &given {
        let Some(reference) = tree::get(source, name) else {
            continue;
        };
        let at = path.child(name);
        match *name {
            "fieldRef" => field_ref(errors, reference, &at, &FIELDS),
            "resourceFieldRef" => resource_ref(errors, reference, &at, false),
            "fileKeyRef" => file_ref(errors, reference, &at),
            _ => key_ref(errors, reference, &at),
        }
    }
    if given.is_empty() {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.push(field::invalid(path, "", detail));
    } else if tree::has(variable, "value") {
        errors.push(field::invalid(
            path,
            "",
            "may not be specified when `value` is not empty",
        ));
    } else if given.len() > 1 {
        errors.push(field::invalid(
            path,
            "",
            "may not have more than one field specified at a time",
        ));
    }
}

/// A reference to a key in a file of a volume.
fn file_ref(errors: &mut ErrorList, reference: &Value, path: &Path) {
    if checks::required(errors, reference, "key", path, "") {
        let key = tree::text(reference, "key");
        errors.check(&path.child("key"), key, names::is_env_var_name(key));
    }
    if checks::required(errors, reference, "volumeName", path, "") {
        let name = tree::text(reference, "volumeName");
        errors.check(
            &path.child("volumeName"),
            name,
            names::is_dns1123_label(name),
        );
    }
    if checks::required(errors, reference, "path", path, "") {
        let file = tree::text(reference, "path");
        super::volumes::no_backsteps(errors, file, &path.child("path"));
    }
}

/// A reference to a key of a config map or secret.
fn key_ref(errors: &mut ErrorList, reference: &Value, path: &Path) {
    let name = tree::text(reference, "name");
    errors.check(&path.child("name"), name, names::is_dns1123_subdomain(name));
    if checks::required(errors, reference, "key", path, "") {
        let key = tree::text(reference, "key");
        errors.check(&path.child("key"), key, names::is_config_map_key(key));
    }
}

/// A reference to a field of the pod.
fn field_ref(errors: &mut ErrorList, reference: &Value, path: &Path, supported: &[&str]) {
    if !checks::required(errors, reference, "apiVersion", path, "")
        || !checks::required(errors, reference, "fieldPath", path, "")
    {
        return;
    }
    let text = tree::text(reference, "fieldPath");
    let at = path.child("fieldPath");
    if let Some(cause) = unconvertible(tree::text(reference, "apiVersion"), text) {
        let detail = format!("error converting fieldPath: {cause}");
        errors.push(field::invalid(&at, text, detail));
        return;
    }
    match subscript(text) {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            let outcome = names::is_qualified_name(&key);
            errors.check(path, key, outcome);
        }
        Some((_, key)) => errors.check(path, key, names::is_qualified_name(key)),
        None if !supported.contains(&text) => {
            errors.push(field::not_supported(&at, text, supported));
        }
        None => {}
    }
}

/// Why a pod has no such field (`ConvertDownwardAPIFieldLabel`).
fn unconvertible(version: &str, text: &str) -> Option<String> {
    if version != "v1" {
        return Some(format!("unsupported pod version: {version}"));
    }
    match subscript(text) {
        Some(("metadata.annotations" | "metadata.labels", _)) => None,
        Some(_) => Some(format!("field label does not support subscript: {text}")),
        None if FIELDS.contains(&text) || OTHER_FIELDS.contains(&text) => None,
        None => Some(format!("field label not supported: {text}")),
    }
}

/// `metadata.labels['key']` as its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (base, rest) = path.split_once("['")?;
    Some((base, rest.strip_suffix("']")?))
}

/// A reference to a resource of a container; in a volume the container is named.
fn resource_ref(errors: &mut ErrorList, reference: &Value, path: &Path, volume: bool) {
    if volume && !tree::has(reference, "containerName") {
        errors.push(field::required(&path.child("containerName"), ""));
    } else if checks::required(errors, reference, "resource", path, "") {
        let resource = tree::text(reference, "resource");
        let huge = ["requests.hugepages-", "limits.hugepages-"]
            .iter()
            .any(|prefix| resource.starts_with(prefix));
        if !huge && !RESOURCES.contains(&resource) {
            errors.push(field::not_supported(
                &path.child("resource"),
                resource,
                &RESOURCES,
            ));
        }
    }
    divisor(errors, reference, path);
}

/// The unit in which a resource is shown (`validateContainerResourceDivisor`).
fn divisor(errors: &mut ErrorList, reference: &Value, path: &Path) {
    let (resource, unit) = (
        tree::text(reference, "resource"),
        tree::text(reference, "divisor"),
    );
    let Some((_, name)) = resource.split_once('.') else {
        return;
    };
    let detail = match name {
        "cpu" if !CPU_UNITS.contains(&unit) => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        }
        "memory" | "ephemeral-storage" if !SIZE_UNITS.contains(&unit) => sizes(match name {
            "memory" => "memory",
            _ => "local ephemeral storage",
        }),
        name if name.starts_with("hugepages-") && !SIZE_UNITS.contains(&unit) => sizes("hugepages"),
        _ => return,
    };
    errors.push(field::invalid(&path.child("divisor"), resource, detail));
}

fn sizes(resource: &str) -> String {
    format!(
        "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the {resource} resource"
    )
}

/// Units of CPUs; `0` is none.
const CPU_UNITS: [&str; 4] = ["", "0", "1m", "1"];
/// Units of what is counted in bytes; `0` is none.
const SIZE_UNITS: [&str; 15] = [
    "", "0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
];

/// One file of a downward API volume.
pub(super) fn downward_file(errors: &mut ErrorList, item: &Value, path: &Path) {
    match (
        tree::get(item, "fieldRef"),
        tree::get(item, "resourceFieldRef"),
    ) {
        (Some(_), Some(_)) => {
            errors.push(field::invalid(
                path,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            ));
        }
        (Some(reference), None) => {
            field_ref(errors, reference, &path.child("fieldRef"), &VOLUME_FIELDS)
        }
        (None, Some(reference)) => {
            resource_ref(errors, reference, &path.child("resourceFieldRef"), true)
        }
        (None, None) => errors.push(field::required(
            path,
            "one of fieldRef and resourceFieldRef is required",
        )),
    }
}

pub(super) fn validate_from(errors: &mut ErrorList, container: &Value, path: &Path) {
    for (index, source) in tree::list(container, "envFrom").iter().enumerate() {
        let at = path.index(index);
        let prefix = tree::text(source, "prefix");
        if !prefix.is_empty() {
            errors.check(&at.child("prefix"), prefix, names::is_env_var_name(prefix));
        }
        let mut given = 0;
        for name in ["configMapRef", "secretRef"] {
            let Some(reference) = tree::get(source, name) else {
                continue;
            };
            given += 1;
            if checks::required(errors, reference, "name", &at.child(name), "") {
                let target = tree::text(reference, "name");
                errors.check(
                    &at.child(name).child("name"),
                    target,
                    names::is_dns1123_subdomain(target),
                );
            }
        }
        match given {
            0 => errors.push(field::invalid(
                path,
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            )),
            1 => {}
            _ => errors.push(field::invalid(
                path,
                "",
                "may not have more than one field specified at a time",
            )),
        }
    }
}
