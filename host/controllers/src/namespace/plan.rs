//! Pure: what a pass found in a namespace, and the conditions that report it.

use std::collections::BTreeMap;

use k3s_meta::tree;
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

/// A condition of a namespace that is being deleted; `True` means trouble.
struct Check {
    kind: &'static str,
    /// Reason while there is trouble.
    trouble: &'static str,
    /// Reason without trouble.
    fine: &'static str,
    /// Message without trouble.
    message: &'static str,
}

const DISCOVERY: Check = Check {
    kind: "NamespaceDeletionDiscoveryFailure",
    trouble: "DiscoveryFailed",
    fine: "ResourcesDiscovered",
    message: "All resources successfully discovered",
};
const GROUP_VERSIONS: Check = Check {
    kind: "NamespaceDeletionGroupVersionParsingFailure",
    trouble: "GroupVersionParsingFailed",
    fine: "ParsedGroupVersions",
    message: "All legacy kube types successfully parsed",
};
const CONTENT_DELETION: Check = Check {
    kind: "NamespaceDeletionContentFailure",
    trouble: "ContentDeletionFailed",
    fine: "ContentDeleted",
    message: "All content successfully deleted, may be waiting on finalization",
};
const CONTENT: Check = Check {
    kind: "NamespaceContentRemaining",
    trouble: "SomeResourcesRemain",
    fine: "ContentRemoved",
    message: "All content successfully removed",
};
const FINALIZERS: Check = Check {
    kind: "NamespaceFinalizersRemaining",
    trouble: "SomeFinalizersRemain",
    fine: "ContentHasNoFinalizers",
    message: "All content-preserving finalizers finished",
};

/// The status of a namespace that is being deleted.
pub(super) fn status(namespace: &Value, found: &Found, now: &str) -> Value {
    let mut conditions = condition::of(namespace);
    let mut report = |check: &Check, trouble: Option<String>| {
        let new = match trouble {
            Some(message) => Condition::new(check.kind, "True", check.trouble, message),
            None => Condition::new(check.kind, "False", check.fine, check.message),
        };
        put(&mut conditions, &new, now);
    };
    let groups = found.undiscovered.join(", ");
    let undiscovered = format!("Discovery failed for some groups: {groups}");
    report(&DISCOVERY, (!groups.is_empty()).then_some(undiscovered));
    report(&GROUP_VERSIONS, None);
    let failures = found.failures.join(", ");
    let count = found.failures.len();
    let failed = format!("Failed to delete all resource types, {count} remaining: {failures}");
    report(&CONTENT_DELETION, (count > 0).then_some(failed));
    let remaining = instances(&found.remaining, "has");
    report(
        &CONTENT,
        remaining.map(|list| format!("Some resources are remaining: {list}")),
    );
    let finalizers = instances(&found.finalizers, "in");
    report(
        &FINALIZERS,
        finalizers
            .map(|list| format!("Some content in the namespace has finalizers remaining: {list}")),
    );
    json!({"phase": "Terminating", "conditions": conditions})
}

/// `pods. has 2 resource instances, …`; `None` when there are none.
fn instances(counts: &BTreeMap<String, usize>, verb: &str) -> Option<String> {
    let each = counts
        .iter()
        .map(|(name, count)| format!("{name} {verb} {count} resource instances"));
    let list = each.collect::<Vec<_>>().join(", ");
    (!list.is_empty()).then_some(list)
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
