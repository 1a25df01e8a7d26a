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
/// On a Pod of an index: how many Pods of the index failed before it, and how many of those did not count.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const INDEX_IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

pub(super) struct Job {
    pub(super) object: Object,
    pub(super) parallelism: i64,
    pub(super) completions: Option<i64>,
    pub(super) backoff_limit: i64,
    /// Failures that each index may have; `None` where only the Job has a limit.
    pub(super) limit_per_index: Option<i64>,
    pub(super) max_failed_indexes: Option<i64>,
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
    pub(super) failed_indexes: Indexes,
    pub(super) uncounted_succeeded: BTreeSet<String>,
    pub(super) uncounted_failed: BTreeSet<String>,
}

impl Tally {
    fn read(job: &Value) -> Self {
        let count = |field| tree::int(job, &format!("status.{field}")).unwrap_or(0);
        let uids = |field| {
            let path = format!("status.uncountedTerminatedPods.{field}");
            tree::texts(job, &path)
                .into_iter()
                .map(str::to_owned)
                .collect()
        };
        let completions = tree::int(job, "spec.completions").unwrap_or(0);
        let indexes = |field| {
            let text = tree::text(job, &format!("status.{field}"));
            Indexes::parse(text, completions)
        };
        Self {
            succeeded: count("succeeded"),
            failed: count("failed"),
            completed: indexes("completedIndexes"),
            failed_indexes: indexes("failedIndexes"),
            uncounted_succeeded: uids("succeeded"),
            uncounted_failed: uids("failed"),
        }
    }

    /// All that succeeded, written down or not.
    pub(super) fn all_succeeded(&self) -> i64 {
        self.succeeded + crate::common::number::count(self.uncounted_succeeded.len())
    }

    pub(super) fn all_failed(&self) -> i64 {
        self.failed + crate::common::number::count(self.uncounted_failed.len())
    }

    pub(super) fn has_uncounted(&self) -> bool {
        let is_counted = self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty();
        !is_counted
    }

    /// Whether the end of this Pod is written down.
    pub(super) fn names(&self, uid: &str) -> bool {
        self.uncounted_succeeded.contains(uid) || self.uncounted_failed.contains(uid)
    }
}

impl Job {
    pub(super) fn read(object: &Object) -> Self {
        let value = object.value();
        let spec = |field| tree::int(value, &format!("spec.{field}"));
        let deadline = spec("activeDeadlineSeconds").map(|seconds| {
            let seconds = seconds.max(0).unsigned_abs();
            Duration::from_secs(seconds)
        });
        let completion_mode = tree::text(value, "spec.completionMode");
        let started = tree::text(value, "status.startTime");
        Self {
            object: object.clone(),
            parallelism: spec("parallelism").unwrap_or(1),
            completions: spec("completions"),
            backoff_limit: spec("backoffLimit").unwrap_or(6),
            limit_per_index: spec("backoffLimitPerIndex"),
            max_failed_indexes: spec("maxFailedIndexes"),
            deadline,
            indexed: completion_mode == "Indexed",
            suspended: tree::flag(value, "spec.suspend"),
            started: time::parse(started),
            tally: Tally::read(value),
        }
    }

    pub(super) fn value(&self) -> &Value {
        self.object.value()
    }

    pub(super) fn template(&self) -> &Value {
        tree::get(self.value(), "spec.template").unwrap_or(&Value::Null)
    }

    pub(super) fn is_finished(&self) -> bool {
        let value = self.value();
        condition::is_true(value, "Complete") || condition::is_true(value, "Failed")
    }

    /// Whether the Job has a place for this index; one without a number of completions has all.
    pub(super) fn has_index(&self, index: i64) -> bool {
        match self.completions {
            Some(completions) => index < completions,
            None => true,
        }
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
}
