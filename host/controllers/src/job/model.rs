//! A Job as the decisions see it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k3s_client::Object;
use k3s_meta::object::{at, at_bool, at_i64, at_list, at_str};
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
        let spec = |field| at_i64(value, &["spec", field]);
        let status = |field| at_i64(value, &["status", field]).unwrap_or(0);
        let uids = |field| {
            let list = at_list(value, &["status", "uncountedTerminatedPods", field]);
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
            indexed: at_str(value, &["spec", "completionMode"]) == "Indexed",
            suspended: at_bool(value, &["spec", "suspend"]),
            started: time::parse(at_str(value, &["status", "startTime"])),
            tally: Tally {
                succeeded: status("succeeded"),
                failed: status("failed"),
                completed: Indexes::parse(at_str(value, &["status", "completedIndexes"])),
                uncounted_succeeded: uids("succeeded"),
                uncounted_failed: uids("failed"),
            },
        }
    }

    pub(super) fn value(&self) -> &Value {
        self.object.value()
    }

    pub(super) fn template(&self) -> &Value {
        at(self.value(), &["spec", "template"]).unwrap_or(&Value::Null)
    }

    pub(super) fn is_finished(&self) -> bool {
        condition::is_true(self.value(), "Complete") || condition::is_true(self.value(), "Failed")
    }

    pub(super) fn managed_elsewhere(&self) -> bool {
        !matches!(
            at_str(self.value(), &["spec", "managedBy"]),
            "" | "kubernetes.io/job-controller"
        )
    }

    /// Whether Pods are replaced only once they have ended, not already when being deleted.
    pub(super) fn replaces_ended_only(&self) -> bool {
        match at_str(self.value(), &["spec", "podReplacementPolicy"]) {
            "Failed" => true,
            "" => at(self.value(), &["spec", "podFailurePolicy"]).is_some(),
            _ => false,
        }
    }

    /// A field whose rules this controller does not know.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        let has = |field| at(self.value(), &["spec", field]).is_some_and(|v| !v.is_null());
        let fails_index = || {
            let rules = at_list(self.value(), &["spec", "podFailurePolicy", "rules"]);
            rules
                .iter()
                .any(|rule| at_str(rule, &["action"]) == "FailIndex")
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
