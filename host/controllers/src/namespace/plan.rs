//! Pure: what a look at a namespace found, and the conditions that say so.

use k3s_meta::tree;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::common::condition::{self, Condition};

/// What is left in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Objects left, by resource.
    pub(super) remaining: BTreeMap<String, usize>,
    /// Objects that wait for a finalizer, by finalizer.
    pub(super) finalizers: BTreeMap<String, usize>,
    /// Groups that could not be discovered.
    pub(super) undiscovered: Vec<String>,
    /// Deletions that failed.
    pub(super) failures: Vec<String>,
}

impl Found {
    /// Whether the namespace is known to be empty.
    pub(super) fn is_empty(&self) -> bool {
        self.remaining.is_empty() && self.undiscovered.is_empty() && self.failures.is_empty()
    }
}

/// The status of a namespace on its way out.
pub(super) fn status(namespace: &Value, found: &Found, now: &str) -> Value {
    let mut conditions = condition::of(namespace);
    let listed = |map: &BTreeMap<String, usize>, each: &str| {
        map.iter()
            .map(|(name, count)| format!("{name} {each} {count} resource instances"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let conditions_now = [
        either(
            "NamespaceDeletionDiscoveryFailure",
            !found.undiscovered.is_empty(),
            (
                "DiscoveryFailed",
                format!(
                    "Discovery failed for some groups: {}",
                    found.undiscovered.join(", ")
                ),
            ),
            (
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
        ),
        either(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            ("GroupVersionParsingFailed", String::new()),
            (
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
        ),
        either(
            "NamespaceDeletionContentFailure",
            !found.failures.is_empty(),
            (
                "ContentDeletionFailed",
                format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    found.failures.len(),
                    found.failures.join(", ")
                ),
            ),
            (
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
        ),
        either(
            "NamespaceContentRemaining",
            !found.remaining.is_empty(),
            (
                "SomeResourcesRemain",
                format!(
                    "Some resources are remaining: {}",
                    listed(&found.remaining, "has")
                ),
            ),
            ("ContentRemoved", "All content successfully removed"),
        ),
        either(
            "NamespaceFinalizersRemaining",
            !found.finalizers.is_empty(),
            (
                "SomeFinalizersRemain",
                format!(
                    "Some content in the namespace has finalizers remaining: {}",
                    listed(&found.finalizers, "in")
                ),
            ),
            (
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        ),
    ];
    for new in conditions_now {
        put(&mut conditions, &new, now);
    }
    json!({"phase": "Terminating", "conditions": conditions})
}

fn either(kind: &'static str, bad: bool, yes: (&str, String), no: (&str, &str)) -> Condition {
    if bad {
        Condition::new(kind, "True", yes.0, yes.1)
    } else {
        Condition::new(kind, "False", no.0, no.1)
    }
}

/// Here the message counts too: it says how much is left.
fn put(conditions: &mut Vec<Value>, new: &Condition, now: &str) {
    let same = conditions.iter_mut().find(|c| {
        condition::text(c, "type") == new.kind && condition::text(c, "status") == new.status
    });
    match same {
        Some(entry) if condition::text(entry, "message") != new.message => {
            tree::set(entry, "message", new.message.as_str());
            tree::set(entry, "reason", new.reason.as_str());
        }
        Some(_) => {}
        None => condition::set(conditions, new, now, None),
    }
}
