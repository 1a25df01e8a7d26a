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
    for (check, trouble) in [
        (&DISCOVERY, undiscovered(found)),
        (&GROUP_VERSIONS, None),
        (&CONTENT_DELETION, failed(found)),
        (&CONTENT, remaining(found)),
        (&FINALIZERS, held(found)),
    ] {
        let new = match trouble {
            Some(message) => Condition::new(check.kind, "True", check.trouble, message),
            None => Condition::new(check.kind, "False", check.fine, check.message),
        };
        put(&mut conditions, &new, now);
    }
    json!({
        "phase": "Terminating",
        "conditions": conditions,
    })
}

fn undiscovered(found: &Found) -> Option<String> {
    if found.undiscovered.is_empty() {
        return None;
    }
    let groups = found.undiscovered.join(", ");
    Some(format!("Discovery failed for some groups: {groups}"))
}

fn failed(found: &Found) -> Option<String> {
    if found.failures.is_empty() {
        return None;
    }
    let count = found.failures.len();
    let failures = found.failures.join(", ");
    Some(format!(
        "Failed to delete all resource types, {count} remaining: {failures}"
    ))
}

fn remaining(found: &Found) -> Option<String> {
    let list = instances(&found.remaining, "has")?;
    Some(format!("Some resources are remaining: {list}"))
}

fn held(found: &Found) -> Option<String> {
    let list = instances(&found.finalizers, "in")?;
    Some(format!(
        "Some content in the namespace has finalizers remaining: {list}"
    ))
}

/// `pods. has 2 resource instances, …`; `None` when there are none.
fn instances(counts: &BTreeMap<String, usize>, verb: &str) -> Option<String> {
    if counts.is_empty() {
        return None;
    }
    let mut each = Vec::with_capacity(counts.len());
    for (name, count) in counts {
        each.push(format!("{name} {verb} {count} resource instances"));
    }
    Some(each.join(", "))
}

/// Here the message counts too: it says how much is left.
fn put(conditions: &mut Vec<Value>, new: &Condition, now: &str) {
    let same = conditions.iter_mut().find(|entry| {
        let same_kind = condition::text(entry, "type") == new.kind;
        let same_status = condition::text(entry, "status") == new.status;
        same_kind && same_status
    });
    let Some(entry) = same else {
        condition::set(conditions, new, now, None);
        return;
    };
    if condition::text(entry, "message") != new.message {
        tree::set(entry, "message", new.message.as_str());
        tree::set(entry, "reason", new.reason.as_str());
    }
}
