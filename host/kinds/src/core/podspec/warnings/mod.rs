//! Warnings about pod specs that are valid and yet hardly meant (`pkg/api/pod/warnings.go`).

mod ports;

use std::collections::BTreeSet;

use k3s_meta::field::Path;
use k3s_meta::names;
use k3s_meta::{object, tree};
use serde_json::Value;

use super::defaults::CONTAINER_LISTS;
use crate::address_warnings::{self as addresses, AddressForm};
use crate::quantity;

/// Labels of nodes that have others in their place, and what to say of them.
const OLD_LABELS: [(&str, &str); 8] = [
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
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    (
        "node-role.kubernetes.io/master",
        "use \"node-role.kubernetes.io/control-plane\" instead",
    ),
];
/// Kinds of volumes that lost their drivers.
const OLD_VOLUMES: [(&str, &str); 9] = [
    (
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    (
        "gitRepo",
        "deprecated in v1.11, and disabled by default in v1.33+",
    ),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];
/// Annotations in whose place fields are.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];
const SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

/// Warnings about a pod.
pub(crate) fn pod(pod: &Value) -> Vec<String> {
    Warnings::default().about(pod, &Path::root(), false)
}

/// Warnings about the template at the dotted path `at` of a workload.
pub(crate) fn template(object: &Value, at: &str) -> Vec<String> {
    match tree::get(object, at) {
        Some(template) => Warnings::default().about(template, &Path::new(at), true),
        None => Vec::new(),
    }
}

/// [`template`] of an update, which only a new generation is warned of.
pub(crate) fn changed_template(new: &Value, old: &Value, at: &str) -> Vec<String> {
    if object::generation(new) == object::generation(old) {
        return Vec::new();
    }
    template(new, at)
}

/// [`template`] of a new workload whose name becomes part of the names of its pods.
pub(crate) fn named_template(object: &Value, at: &str) -> Vec<String> {
    let mut warnings = name(object, "Pod names and hostnames");
    warnings.extend(template(object, at));
    warnings
}

/// A warning about a name that is no label of DNS; `used_in` says what it becomes part of.
pub(crate) fn name(object: &Value, used_in: &str) -> Vec<String> {
    let checked = names::is_dns1123_label(object::name(object));
    let told = checked.err().map(|violations| {
        format!(
            "metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is recommended: [{violations}]"
        )
    });
    told.into_iter().collect()
}

#[derive(Default)]
struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, at: &Path, text: &str) {
        self.0.push(format!("{at}: {text}"));
    }

    fn about(mut self, pod: &Value, base: &Path, is_template: bool) -> Vec<String> {
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let at = base.child("spec");
        self.placement(spec, &at);
        self.annotations(pod, base, is_template);
        for (index, volume) in tree::list(spec, "volumes").iter().enumerate() {
            self.volume(volume, &at.child("volumes").index(index));
        }
        self.names(spec, &at);
        self.fractions(spec, "overhead", &at);
        each_container(spec, &at, |container, at| self.container(container, at));
        ports::warn(&mut self, spec, &at);
        if tree::int(spec, "terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
            self.add(
                &at.child("terminationGracePeriodSeconds"),
                "must be >= 0; negative values are invalid and will be treated as 1",
            );
        }
        let fields = [
            ("dnsConfig.nameservers", AddressForm::Address),
            ("hostAliases.ip", AddressForm::Address),
        ];
        self.0.extend(addresses::of(spec, &at, &fields));
        self.0
    }

    /// Node labels that are out of use, and selectors that match nothing.
    fn placement(&mut self, spec: &Value, path: &Path) {
        for label in tree::map(spec, "nodeSelector").keys() {
            if let Some(text) = old_label(label) {
                self.add(&path.child("nodeSelector").key(label), text);
            }
        }
        let node = "affinity.nodeAffinity";
        let required =
            format!("{node}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        for (index, term) in tree::list(spec, &required).iter().enumerate() {
            self.term(term, &path.child(&required).index(index));
        }
        let preferred = format!("{node}.preferredDuringSchedulingIgnoredDuringExecution");
        for (index, choice) in tree::list(spec, &preferred).iter().enumerate() {
            let term = tree::get(choice, "preference").unwrap_or(&Value::Null);
            let at = path.child(&preferred).index(index).child("preference");
            self.term(term, &at);
        }
        let spread = "topologySpreadConstraints";
        for (index, constraint) in tree::list(spec, spread).iter().enumerate() {
            let at = path.child(spread).index(index);
            let key = tree::text(constraint, "topologyKey");
            if let Some(text) = old_label(key) {
                self.add(&at.child("topologyKey"), &format!("{key} is {text}"));
            }
            self.selector(constraint, "labelSelector", &at);
        }
        for kind in ["podAffinity", "podAntiAffinity"] {
            for (when, selector) in [
                (
                    "requiredDuringSchedulingIgnoredDuringExecution",
                    "labelSelector",
                ),
                (
                    "preferredDuringSchedulingIgnoredDuringExecution",
                    "podAffinityTerm.labelSelector",
                ),
            ] {
                let list = format!("affinity.{kind}.{when}");
                for (index, term) in tree::list(spec, &list).iter().enumerate() {
                    self.selector(term, selector, &path.child(&list).index(index));
                }
            }
        }
    }

    fn term(&mut self, term: &Value, path: &Path) {
        for (index, expression) in tree::list(term, "matchExpressions").iter().enumerate() {
            let key = tree::text(expression, "key");
            if let Some(text) = old_label(key) {
                let at = path.child("matchExpressions").index(index).child("key");
                self.add(&at, &format!("{key} is {text}"));
            }
        }
    }

    fn selector(&mut self, holder: &Value, selector: &str, path: &Path) {
        if tree::get(holder, selector).is_none() {
            self.add(&path.child(selector), NO_SELECTOR);
        }
    }

    fn annotations(&mut self, pod: &Value, base: &Path, is_template: bool) {
        let annotations = tree::map(pod, "metadata.annotations");
        let at = base.child("metadata").child("annotations");
        for (key, text) in OLD_ANNOTATIONS {
            if annotations.contains_key(key) {
                self.add(&at.key(key), text);
            }
        }
        let key = "seccomp.security.alpha.kubernetes.io/pod";
        let profile = tree::get(pod, "spec.securityContext.seccompProfile");
        if profile.is_none() && annotations.contains_key(key) {
            self.add(&at.key(key), SECCOMP);
        }
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        each_container(spec, base, |container, _| {
            let name = tree::text(container, "name");
            let lacks =
                |field: &str| tree::get(container, &format!("securityContext.{field}")).is_none();
            let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
            if lacks("seccompProfile") && annotations.contains_key(&key) {
                self.add(&at.key(&key), SECCOMP);
            }
            let key = format!("container.apparmor.security.beta.kubernetes.io/{name}");
            // That of a pod has become the field before.
            if is_template && lacks("appArmorProfile") && annotations.contains_key(&key) {
                self.add(
                    &at.key(&key),
                    "deprecated since v1.30; use the \"appArmorProfile\" field instead",
                );
            }
        });
    }

    fn volume(&mut self, volume: &Value, path: &Path) {
        for (kind, text) in OLD_VOLUMES {
            if tree::get(volume, kind).is_some() {
                let shown = if kind == "storageos" {
                    "storageOS"
                } else {
                    kind
                };
                self.add(&path.child(shown), text);
            }
        }
    }

    /// Names and addresses that occur twice in lists that are merged by them.
    fn names(&mut self, spec: &Value, path: &Path) {
        for (list, key, what) in [
            ("hostAliases", "ip", "ip"),
            ("imagePullSecrets", "name", "name"),
        ] {
            let mut seen = BTreeSet::new();
            for (index, item) in tree::list(spec, list).iter().enumerate() {
                let text = tree::text(item, key);
                if !seen.insert(text) {
                    let at = path.child(list).index(index).child(key);
                    self.add(&at, &format!("duplicate {what} {text:?}"));
                }
            }
        }
        for (index, secret) in tree::list(spec, "imagePullSecrets").iter().enumerate() {
            if !tree::has(secret, "name") {
                let at = path.child("imagePullSecrets").index(index).child("name");
                self.add(&at, "invalid empty name \"\"");
            }
        }
    }

    fn container(&mut self, container: &Value, path: &Path) {
        self.fractions(container, "resources.limits", path);
        self.fractions(container, "resources.requests", path);
        let mut seen = BTreeSet::new();
        for (index, variable) in tree::list(container, "env").iter().enumerate() {
            let name = tree::text(variable, "name");
            let (value, reference) = (tree::text(variable, "value"), format!("$({name})"));
            // A value that says the earlier one again, and something besides, may be meant.
            let extends = tree::get(variable, "valueFrom").is_none()
                && value != reference
                && value.contains(&reference);
            if !seen.insert(name) && !extends {
                self.add(
                    &path.child("env").index(index),
                    &format!("hides previous definition of {name:?}, which may be dropped when using apply"),
                );
            }
        }
    }

    /// Bytes that are not whole.
    fn fractions(&mut self, holder: &Value, list: &str, path: &Path) {
        for resource in ["memory", "ephemeral-storage"] {
            let Some(amount) = tree::map(holder, list).get(resource) else {
                continue;
            };
            let milli = quantity::read(amount).map(|quantity| quantity.milli());
            if milli.is_some_and(|milli| milli % 1000 != 0) {
                let at = path.child(list).key(resource);
                self.add(
                    &at,
                    &format!("fractional byte value {amount} is invalid, must be an integer"),
                );
            }
        }
    }
}

/// What to say of a label of nodes that has another in its place (`GetNodeLabelDeprecatedMessage`).
pub(crate) fn old_label(label: &str) -> Option<&'static str> {
    let found = OLD_LABELS.iter().find(|(old, _)| *old == label);
    found.map(|(_, text)| *text)
}

/// Every container with its path below `at`, that of the spec.
fn each_container<'a>(spec: &'a Value, at: &Path, mut visit: impl FnMut(&'a Value, &Path)) {
    for list in CONTAINER_LISTS {
        for (index, container) in tree::list(spec, list).iter().enumerate() {
            visit(container, &at.child(list).index(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_is_hardly_meant_is_pointed_out() {
        let container = json!({"name": "c",
            "resources": {"limits": {"memory": "1m"}},
            "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "2"}]});
        let pod = json!({
            "metadata": {"name": "a.b", "annotations": {
                "container.apparmor.security.beta.kubernetes.io/c": "runtime/default",
                "container.seccomp.security.alpha.kubernetes.io/c": "unconfined"}},
            "spec": {
                "containers": [container],
                "imagePullSecrets": [{}],
                "nodeSelector": {"beta.kubernetes.io/os": "linux"},
                "topologySpreadConstraints": [{"topologyKey": "zone"}],
                "dnsConfig": {"nameservers": ["010.0.0.1"]},
                "volumes": [{"name": "v", "glusterfs": {}}],
            },
        });
        let of_pod = [
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            "metadata.annotations[container.seccomp.security.alpha.kubernetes.io/c]: non-functional in v1.27+; use the \"seccompProfile\" field instead",
            "spec.volumes[0].glusterfs: deprecated in v1.25, non-functional in v1.26+",
            "spec.imagePullSecrets[0].name: invalid empty name \"\"",
            "spec.containers[0].resources.limits[memory]: fractional byte value \"1m\" is invalid, must be an integer",
            "spec.containers[0].env[2]: hides previous definition of \"A\", which may be dropped when using apply",
            "spec.dnsConfig.nameservers[0]: non-standard IP address \"010.0.0.1\" is invalid: use \"10.0.0.1\"",
        ];
        assert_eq!(super::pod(&pod), of_pod);
        let workload = json!({"metadata": {"name": "a.b"}, "spec": {"template": pod}});
        let of_template = super::named_template(&workload, "spec.template");
        assert!(of_template.contains(&format!("spec.template.{}", of_pod[0])));
        let apparmor = "spec.template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the \"appArmorProfile\" field instead";
        assert!(of_template.contains(&apparmor.to_owned()));
        let name = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]";
        assert_eq!(of_template[0], name);
    }

    #[test]
    fn a_template_is_warned_of_again_when_it_is_a_new_generation() {
        let workload = |generation: i64| {
            json!({"metadata": {"generation": generation},
            "spec": {"template": {"spec": {"imagePullSecrets": [{}]}}}})
        };
        let changed =
            |new, old| super::changed_template(&workload(new), &workload(old), "spec.template");
        assert!(changed(1, 1).is_empty());
        assert_eq!(changed(2, 1).len(), 1);
    }
}
