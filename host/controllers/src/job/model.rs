//! A Job as the decisions see it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k3s_client::Object;
use k3s_meta::tree;
use serde_json::Value;

use super::index::Indexes;
use crate::common::{condition, time};

pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(super) struct Job {
    pub(super) object: Object,
    pub(super) parallelism: i64,
    pub(super) completions: Option<i64>,
    pub(super) backoff_limit: i64,
    pub(super) deadline: Option<Duration>,
    pub(super) indexed: bool,
    pub(super) suspended: bool,
    pub(super) started: Option<Timestamp>,
    pub(super) tally: Tally,
}

/// What the status has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) succeeded: i64,
    pub(super) failed: i64,
    pub(super) completed: Indexes,
    pub(super) uncounted_succeeded: BTreeSet<String>,
    pub(super) uncounted_failed: BTreeSet<String>,
}

impl Tally {
    /// All that succeeded, written down or not.
    pub(super) fn all_succeeded(&self) -> i64 {
        self.succeeded + crate::common::number::count(self.uncounted_succeeded.len())
    }

    pub(super) fn all_failed(&self) -> i64 {
        self.failed + crate::common::number::count(self.uncounted_failed.len())
    }

    pub(super) fn has_uncounted(&self) -> bool {
        !(self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty())
    }
}

impl Job {
    pub(super) fn read(object: &Object) -> Self {
        let value = object.value();
        let spec = |field| tree::int(value, &format!("spec.{field}"));
        let status = |field| tree::int(value, &format!("status.{field}")).unwrap_or(0);
        let uids = |field| {
            let list = tree::list(value, &format!("status.uncountedTerminatedPods.{field}"));
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect()
        };
        Self {
            object: object.clone(),
            parallelism: spec("parallelism").unwrap_or(1),
            completions: spec("completions"),
            backoff_limit: spec("backoffLimit").unwrap_or(6),
            deadline: spec("activeDeadlineSeconds")
                .map(|s| Duration::from_secs(s.max(0).unsigned_abs())),
            indexed: tree::text(value, "spec.completionMode") == "Indexed",
            suspended: tree::flag(value, "spec.suspend"),
            started: time::parse(tree::text(value, "status.startTime")),
            tally: Tally {
                succeeded: status("succeeded"),
                failed: status("failed"),
                completed: Indexes::parse(tree::text(value, "status.completedIndexes")),
                uncounted_succeeded: uids("succeeded"),
                uncounted_failed: uids("failed"),
            },
        }
    }

    pub(super) fn value(&self) -> &Value {
        self.object.value()
    }

    pub(super) fn template(&self) -> &Value {
        tree::get(self.value(), "spec.template").unwrap_or(&Value::Null)
    }

    pub(super) fn is_finished(&self) -> bool {
        condition::is_true(self.value(), "Complete") || condition::is_true(self.value(), "Failed")
    }

    pub(super) fn managed_elsewhere(&self) -> bool {
        !matches!(
            tree::text(self.value(), "spec.managedBy"),
            "" | "kubernetes.io/job-controller"
        )
    }

    /// Whether Pods are replaced only once they have ended, not already when being deleted.
    pub(super) fn replaces_ended_only(&self) -> bool {
        match tree::text(self.value(), "spec.podReplacementPolicy") {
            "Failed" => true,
            "" => tree::get(self.value(), "spec.podFailurePolicy").is_some(),
            _ => false,
        }
    }

    /// A field whose rules this controller does not know.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        let has = |field| tree::get(self.value(), &format!("spec.{field}")).is_some();
        let fails_index = || {
            let rules = tree::list(self.value(), "spec.podFailurePolicy.rules");
            rules
                .iter()
                .any(|rule| tree::text(rule, "action") == "FailIndex")
        };
        [
            ("spec.successPolicy", has("successPolicy")),
            ("spec.backoffLimitPerIndex", has("backoffLimitPerIndex")),
        ]
        .into_iter()
        .find(|(_, there)| *there)
        .map(|(field, _)| field)
        .or_else(|| fails_index().then_some("spec.podFailurePolicy action FailIndex"))
    }
}
