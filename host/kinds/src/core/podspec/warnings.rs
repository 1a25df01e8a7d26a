//! Warnings about pod specs that are valid and yet hardly meant (`pkg/api/pod/warnings.go`).

use std::collections::{BTreeMap, BTreeSet};

use k3s_meta::field::Path;
use k3s_meta::tree;
use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::quantity;

/// Warnings about a pod.
pub(crate) fn pod(pod: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    annotations(
        &mut warnings,
        pod.get("metadata").unwrap_or(&Value::Null),
        &Path::new("metadata"),
    );
    spec(
        &mut warnings,
        pod.get("spec").unwrap_or(&Value::Null),
        &Path::new("spec"),
    );
    warnings
}

/// Warnings about the template at the dotted path `at` of a workload.
pub(crate) fn template(object: &Value, at: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(template) = tree::get(object, at) {
        let path = Path::new(at);
        annotations(
            &mut warnings,
            template.get("metadata").unwrap_or(&Value::Null),
            &path.child("metadata"),
        );
        spec(
            &mut warnings,
            template.get("spec").unwrap_or(&Value::Null),
            &path.child("spec"),
        );
    }
    warnings
}

fn annotations(warnings: &mut Vec<String>, meta: &Value, path: &Path) {
    let path = path.child("annotations");
    for key in tree::map(meta, "annotations").keys() {
        let at = path.key(key);
        let seccomp = key == "seccomp.security.alpha.kubernetes.io/pod"
            || key.starts_with("container.seccomp.security.alpha.kubernetes.io/");
        if seccomp {
            warnings.push(format!(
                "{at}: non-functional in v1.27+; use the \"seccompProfile\" field instead"
            ));
        } else if key.starts_with("container.apparmor.security.beta.kubernetes.io/") {
            warnings.push(format!(
                "{at}: deprecated since v1.30; use the \"appArmorProfile\" field instead"
            ));
        } else if key == "pod.alpha.kubernetes.io/init-containers"
            || key == "pod.beta.kubernetes.io/init-containers"
        {
            warnings.push(format!(
                "{at}: non-functional in v1.16+; use the \"initContainers\" field instead"
            ));
        }
    }
}

fn spec(warnings: &mut Vec<String>, spec: &Value, path: &Path) {
    node_labels(warnings, spec, path);
    for (index, volume) in tree::list(spec, "volumes").iter().enumerate() {
        self::volume(warnings, volume, &path.child("volumes").index(index));
    }
    duplicates(warnings, spec, "imagePullSecrets", "name", path);
    for (index, secret) in tree::list(spec, "imagePullSecrets").iter().enumerate() {
        if !tree::has(secret, "name") {
            warnings.push(format!(
                "{}: invalid empty name \"\"",
                path.child("imagePullSecrets").index(index)
            ));
        }
    }
    for (index, alias) in tree::list(spec, "hostAliases").iter().enumerate() {
        let ip = tree::text(alias, "ip");
        let earlier = tree::list(spec, "hostAliases")
            .iter()
            .take(index)
            .any(|other| tree::text(other, "ip") == ip);
        if earlier {
            warnings.push(format!(
                "{}: duplicate ip {ip:?}",
                path.child("hostAliases").index(index).child("ip")
            ));
        }
    }
    if tree::int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        warnings.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            path.child("terminationGracePeriodSeconds")
        ));
    }
    for list in CONTAINER_LISTS {
        for (index, container) in tree::list(spec, list).iter().enumerate() {
            self::container(warnings, container, &path.child(list).index(index));
        }
    }
}

fn node_labels(warnings: &mut Vec<String>, spec: &Value, path: &Path) {
    const DEPRECATED: [(&str, &str); 4] = [
        (
            "beta.kubernetes.io/arch",
            "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        ),
        (
            "beta.kubernetes.io/os",
            "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        ),
        (
            "failure-domain.beta.kubernetes.io/region",
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
        ),
        (
            "failure-domain.beta.kubernetes.io/zone",
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
        ),
    ];
    for (label, text) in DEPRECATED {
        if tree::map(spec, "nodeSelector").contains_key(label) {
            warnings.push(format!("{}: {text}", path.child("nodeSelector").key(label)));
        }
    }
}

fn volume(warnings: &mut Vec<String>, volume: &Value, path: &Path) {
    const DEPRECATED: [(&str, &str); 5] = [
        (
            "gitRepo",
            "deprecated in v1.11, and disabled by default in v1.33+",
        ),
        ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
        (
            "glusterfs",
            "deprecated in v1.25, this feature will be removed soon after in a subsequent release",
        ),
        ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ];
    for (kind, text) in DEPRECATED {
        if tree::get(volume, kind).is_some() {
            warnings.push(format!("{}: {text}", path.child(kind)));
        }
    }
}

fn container(warnings: &mut Vec<String>, container: &Value, path: &Path) {
    for list in ["limits", "requests"] {
        let amount = tree::get(container, &format!("resources.{list}.ephemeral-storage"));
        fraction(
            warnings,
            amount,
            &path.child("resources").child(list).key("ephemeral-storage"),
        );
        let amount = tree::get(container, &format!("resources.{list}.memory"));
        fraction(
            warnings,
            amount,
            &path.child("resources").child(list).key("memory"),
        );
    }
    duplicates(warnings, container, "env", "name", path);
    ports(warnings, container, path);
}

fn fraction(warnings: &mut Vec<String>, amount: Option<&Value>, path: &Path) {
    let Some(amount) = amount else { return };
    let bytes = quantity::read(amount).map(|quantity| quantity.milli());
    if bytes.is_some_and(|milli| milli % 1000 != 0) {
        warnings.push(format!(
            "{path}: fractional byte value {} is invalid, must be an integer",
            amount
        ));
    }
}

/// Later entries win, which a merge by name cannot express.
fn duplicates(warnings: &mut Vec<String>, holder: &Value, list: &str, key: &str, path: &Path) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (index, item) in tree::list(holder, list).iter().enumerate() {
        let name = tree::text(item, key);
        if name.is_empty() {
            continue;
        }
        if list == "env" && seen.contains(name) {
            let value = tree::text(item, "value");
            let referring = value.contains(&format!("$({name})"));
            if !referring {
                warnings.push(format!(
                    "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                    path.child(list).index(index)
                ));
            }
        } else if seen.contains(name) {
            warnings.push(format!(
                "{}: duplicate name {name:?}",
                path.child(list).index(index).child(key)
            ));
        }
        seen.insert(name);
    }
}

fn ports(warnings: &mut Vec<String>, container: &Value, path: &Path) {
    let mut seen: BTreeMap<(i64, &str), usize> = BTreeMap::new();
    for (index, port) in tree::list(container, "ports").iter().enumerate() {
        let key = (
            tree::int(port, "containerPort").unwrap_or(0),
            tree::text(port, "protocol"),
        );
        if let Some(first) = seen.get(&key) {
            warnings.push(format!(
                "{}: duplicate port definition with {}",
                path.child("ports").index(index),
                path.child("ports").index(*first)
            ));
        } else {
            seen.insert(key, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn duplicates_are_pointed_out() {
        let pod = json!({"spec": {"containers": [{
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}],
        }]}});
        assert_eq!(
            super::pod(&pod),
            [
                "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
                "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            ]
        );
    }
}
