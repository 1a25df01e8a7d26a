//! Storage classes.

use k3s_meta::object::{annotation, creation_timestamp, name};
use k3s_meta::tree;
use serde_json::Value;

use crate::names;

/// The class of a claim or volume; empty for none.
#[must_use]
pub fn class_of(object: &Value) -> &str {
    annotation(object, names::CLASS_BETA)
        .unwrap_or_else(|| tree::text(object, "spec.storageClassName"))
}

/// Whether a claim chooses a class; the empty name chooses none.
#[must_use]
pub fn has_class(claim: &Value) -> bool {
    annotation(claim, names::CLASS_BETA).is_some()
        || tree::get(claim, "spec.storageClassName").is_some()
}

/// The class that claims without one get: of several defaults the newest, then the first by name.
pub fn default_class<'a>(classes: impl IntoIterator<Item = &'a Value>) -> Option<&'a Value> {
    let marked = |class: &Value, key| annotation(class, key) == Some("true");
    let is_default = |class: &&Value| {
        marked(class, names::DEFAULT_CLASS) || marked(class, names::DEFAULT_CLASS_BETA)
    };
    classes.into_iter().filter(is_default).min_by(|a, b| {
        creation_timestamp(b)
            .cmp(&creation_timestamp(a))
            .then_with(|| name(a).cmp(name(b)))
    })
}

/// Whether claims of the class wait until a pod that uses them has a node.
#[must_use]
pub fn waits_for_consumer(class: &Value) -> bool {
    tree::text(class, "volumeBindingMode") == "WaitForFirstConsumer"
}

/// What binding and provisioning read of a class.
#[derive(Clone, Copy, Debug)]
pub struct Class<'a>(pub &'a Value);

impl<'a> Class<'a> {
    /// The provisioner that creates volumes of this class.
    #[must_use]
    pub fn provisioner(self) -> &'a str {
        tree::text(self.0, "provisioner")
    }

    /// Whether a provisioner outside the binder creates volumes. The names `kubernetes.io/…` belonged
    /// to built-in provisioners, none of which exists any more; `no-provisioner` is one of them.
    #[must_use]
    pub fn can_provision(self) -> bool {
        !self.provisioner().starts_with("kubernetes.io/")
    }

    /// Whether claims may grow.
    #[must_use]
    pub fn can_expand(self) -> bool {
        tree::flag(self.0, "allowVolumeExpansion")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_default_wins() {
        let class = |name: &str, made: &str, default: &str| {
            json!({"metadata": {"name": name, "creationTimestamp": made,
                "annotations": {"storageclass.kubernetes.io/is-default-class": default}}})
        };
        let all = [
            class("old", "2026-01-01T00:00:00Z", "true"),
            class("c", "2026-02-01T00:00:00Z", "true"),
            class("b", "2026-02-01T00:00:00Z", "true"),
            class("no", "2026-03-01T00:00:00Z", "false"),
        ];
        assert_eq!(name(default_class(&all).unwrap()), "b");
        assert!(default_class(&all[3..]).is_none());
    }

    #[test]
    fn an_empty_class_is_a_choice() {
        assert!(has_class(&json!({"spec": {"storageClassName": ""}})));
        assert!(!has_class(&json!({"spec": {}})));
    }
}
