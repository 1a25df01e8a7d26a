//! A StatefulSet and its Pods as the decisions see them.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use k3s_client::Object;
use k3s_meta::tree;
use serde_json::Value;

use crate::common::number::scaled;
use crate::common::pod::{self, Availability};

/// Names the revision that a Pod was made from.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";

/// How Pods of an old revision are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Only when a user deletes them.
    OnDelete,
    /// From the highest ordinal down to `start + partition`, at most so many at once.
    Rolling {
        /// Places below this one keep the old revision.
        partition: i64,
        /// At least one.
        max_unavailable: i64,
    },
}

/// What happens to claims when their Pod or set is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    /// Delete the claims of Pods that are scaled away.
    pub(super) delete_when_scaled: bool,
    /// Delete all claims with the set.
    pub(super) delete_when_deleted: bool,
}

pub(super) struct StatefulSet {
    pub(super) object: Object,
    pub(super) replicas: i64,
    pub(super) start: i64,
    /// One Pod at a time, each only when those before it are available.
    pub(super) ordered: bool,
    pub(super) strategy: Strategy,
    pub(super) min_ready_seconds: i64,
    pub(super) history_limit: i64,
    pub(super) retention: Retention,
}

impl StatefulSet {
    pub(super) fn read(object: &Object) -> Self {
        let value = object.value();
        let number = |path, default| tree::int(value, path).unwrap_or(default);
        let replicas = number("spec.replicas", 1).max(0);
        let policy = |name| {
            tree::text(
                value,
                &format!("spec.persistentVolumeClaimRetentionPolicy.{name}"),
            ) == "Delete"
        };
        Self {
            object: object.clone(),
            replicas,
            start: number("spec.ordinals.start", 0),
            ordered: tree::text(value, "spec.podManagementPolicy") != "Parallel",
            strategy: strategy(value, replicas),
            min_ready_seconds: number("spec.minReadySeconds", 0),
            history_limit: number("spec.revisionHistoryLimit", 10),
            retention: Retention {
                delete_when_scaled: policy("whenScaled"),
                delete_when_deleted: policy("whenDeleted"),
            },
        }
    }

    /// The ordinals that should have a Pod.
    pub(super) fn range(&self) -> Range<i64> {
        self.start..self.start.saturating_add(self.replicas)
    }

    pub(super) fn pod_name(&self, ordinal: i64) -> String {
        format!("{}-{ordinal}", self.object.name())
    }

    pub(super) fn claim_templates(&self) -> &[Value] {
        tree::list(self.object.value(), "spec.volumeClaimTemplates")
    }

    pub(super) fn claim_name(&self, template: &Value, ordinal: i64) -> String {
        format!(
            "{}-{}",
            tree::text(template, "metadata.name"),
            self.pod_name(ordinal)
        )
    }

    pub(super) fn template(&self) -> &Value {
        tree::get(self.object.value(), "spec.template").unwrap_or(&Value::Null)
    }

    pub(super) fn collisions(&self) -> i64 {
        tree::int(self.object.value(), "status.collisionCount").unwrap_or(0)
    }
}

fn strategy(value: &Value, replicas: i64) -> Strategy {
    if tree::text(value, "spec.updateStrategy.type") == "OnDelete" {
        return Strategy::OnDelete;
    }
    let rolling = |name| tree::get(value, &format!("spec.updateStrategy.rollingUpdate.{name}"));
    let partition = rolling("partition").and_then(Value::as_i64).unwrap_or(0);
    let max_unavailable = scaled(rolling("maxUnavailable"), replicas, false)
        .unwrap_or(1)
        .max(1);
    Strategy::Rolling {
        partition,
        max_unavailable,
    }
}

/// The ordinal in a Pod's name, if it is a name of this set's.
pub(super) fn ordinal_of(set: &str, pod: &str) -> Option<i64> {
    let rest = pod.strip_prefix(set)?;
    let digits = rest.strip_prefix('-')?;
    for byte in digits.bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
    }
    digits.parse().ok()
}

/// One Pod of the set.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) object: Object,
    pub(super) ordinal: i64,
    /// Name of the revision it was made from.
    pub(super) revision: String,
    /// Succeeded or Failed: a Pod of a set is not expected to end.
    pub(super) ended: bool,
    /// Running, and its Ready condition is true.
    pub(super) ready: bool,
    /// Ready for `minReadySeconds`.
    pub(super) available: bool,
    /// When it will be available if it stays ready.
    pub(super) available_in: Option<Duration>,
}

impl Member {
    pub(super) fn read(set: &StatefulSet, object: Object, now: Timestamp) -> Option<Self> {
        let ordinal = ordinal_of(set.object.name(), object.name())?;
        let view = pod::of(&object);
        let ready = view.status.phase == "Running" && view.is_ready();
        let availability = pod::availability(view, set.min_ready_seconds, now);
        Some(Self {
            ordinal,
            revision: object.label(REVISION_LABEL).unwrap_or_default().to_owned(),
            ended: view.is_terminal(),
            ready,
            available: ready && availability == Availability::Yes,
            available_in: match availability {
                Availability::In(left) if ready => Some(left),
                _ => None,
            },
            object,
        })
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.object.is_deleting()
    }

    /// Ready and staying.
    pub(super) fn is_healthy(&self) -> bool {
        self.ready && !self.is_terminating()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_set_have_an_ordinal() {
        assert_eq!(ordinal_of("web", "web-12"), Some(12));
        for other in [
            "web", "web-", "web-a", "web--1", "web-1-2", "webs-1", "web-0x1",
        ] {
            assert_eq!(ordinal_of("web", other), None, "{other}");
        }
    }
}
