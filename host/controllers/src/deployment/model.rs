//! A Deployment and its ReplicaSets as the decisions see them.

use std::sync::Arc;
use std::time::Duration;

use k3s_client::{Obj, Object};
use k3s_meta::object::annotation;
use k3s_meta::{object, tree};
use serde_json::Value;

use crate::common::number::fenceposts;
use crate::common::time;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// The read part of a Deployment.
pub(super) struct Deployment {
    pub(super) object: Object,
    pub(super) replicas: i64,
    pub(super) surge: i64,
    pub(super) unavailable: i64,
    pub(super) min_ready_seconds: i64,
    pub(super) history_limit: Option<i64>,
    /// `None`, also for the largest number, which upstream takes as "no deadline".
    pub(super) progress_deadline: Option<Duration>,
    pub(super) paused: bool,
    recreate: bool,
}

impl Deployment {
    pub(super) fn read(object: &Arc<Obj>) -> Self {
        let value = object.value();
        let replicas = tree::int(value, "spec.replicas").unwrap_or(1);
        let recreate = tree::text(value, "spec.strategy.type") == "Recreate";
        let (surge, unavailable) = if recreate {
            (0, 0)
        } else {
            let surge = tree::get(value, "spec.strategy.rollingUpdate.maxSurge");
            let unavailable = tree::get(value, "spec.strategy.rollingUpdate.maxUnavailable");
            fenceposts(surge, unavailable, replicas)
        };
        let no_limit = i64::from(i32::MAX);
        let progress_deadline = tree::int(value, "spec.progressDeadlineSeconds")
            .filter(|seconds| *seconds > 0 && *seconds < no_limit)
            .map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let history_limit =
            tree::int(value, "spec.revisionHistoryLimit").filter(|limit| *limit < no_limit);
        Self {
            object: object.clone(),
            replicas,
            surge,
            unavailable: unavailable.min(replicas),
            min_ready_seconds: tree::int(value, "spec.minReadySeconds").unwrap_or(0),
            history_limit,
            progress_deadline,
            paused: tree::flag(value, "spec.paused"),
            recreate,
        }
    }

    pub(super) fn is_recreate(&self) -> bool {
        self.recreate
    }

    pub(super) fn value(&self) -> &Value {
        self.object.value()
    }

    pub(super) fn template(&self) -> &Value {
        tree::get(self.value(), "spec.template").unwrap_or(&Value::Null)
    }

    pub(super) fn collisions(&self) -> i64 {
        tree::int(self.value(), "status.collisionCount").unwrap_or(0)
    }

    /// The most Pods there may be.
    pub(super) fn max_total(&self) -> i64 {
        self.replicas + self.surge
    }

    /// The fewest Pods that must be available.
    pub(super) fn min_available(&self) -> i64 {
        (self.replicas - self.unavailable).max(0)
    }
}

/// The read part of a ReplicaSet.
#[derive(Clone)]
pub(super) struct Set {
    pub(super) object: Object,
    /// `spec.replicas`.
    pub(super) replicas: i64,
    pub(super) actual: i64,
    pub(super) ready: i64,
    pub(super) available: i64,
    pub(super) created: Option<jiff::Timestamp>,
}

impl Set {
    pub(super) fn read(object: &Object) -> Self {
        let value = object.value();
        let status = |field| tree::int(value, &format!("status.{field}")).unwrap_or(0);
        Self {
            object: object.clone(),
            replicas: tree::int(value, "spec.replicas").unwrap_or(1),
            actual: status("replicas"),
            ready: status("readyReplicas"),
            available: status("availableReplicas"),
            created: time::parse(&object.meta().creation_timestamp),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.object.name()
    }

    /// `wanted` is a template without the hash.
    fn has_template(&self, wanted: &Value) -> bool {
        match tree::get(self.object.value(), "spec.template") {
            Some(template) => tree::same(&without_hash(template), wanted),
            None => false,
        }
    }

    pub(super) fn revision(&self) -> i64 {
        number(self.object.value(), REVISION).unwrap_or(0)
    }

    pub(super) fn desired(&self) -> Option<i64> {
        number(self.object.value(), DESIRED_REPLICAS)
    }

    pub(super) fn max(&self) -> Option<i64> {
        number(self.object.value(), MAX_REPLICAS)
    }
}

fn number(object: &Value, name: &str) -> Option<i64> {
    annotation(object, name)?.parse().ok()
}

/// The sets of a Deployment, oldest first, divided.
pub(super) struct Sets {
    /// The set whose template is the Deployment's.
    pub(super) new: Option<Set>,
    /// All others, oldest first.
    pub(super) old: Vec<Set>,
}

impl Sets {
    pub(super) fn divide(deployment: &Deployment, objects: &[Object]) -> Self {
        let mut all: Vec<Set> = objects.iter().map(Set::read).collect();
        all.sort_by(|a, b| {
            let by_age = a.created.cmp(&b.created);
            by_age.then_with(|| a.name().cmp(b.name()))
        });
        let wanted = without_hash(deployment.template());
        let new = all.iter().position(|set| set.has_template(&wanted));
        let new = new.map(|at| all.remove(at));
        Self { new, old: all }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Set> {
        self.old.iter().chain(&self.new)
    }

    pub(super) fn total(&self) -> i64 {
        self.all().map(|set| set.replicas).sum()
    }

    pub(super) fn available(&self) -> i64 {
        self.all().map(|set| set.available).sum()
    }
}

/// A template without the label that distinguishes the sets' templates.
pub(super) fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    object::remove_label(&mut template, HASH_LABEL);
    // No labels and an empty map of labels are one.
    if tree::get(&template, "metadata.labels")
        .and_then(Value::as_object)
        .is_some_and(serde_json::Map::is_empty)
    {
        tree::remove(&mut template, "metadata.labels");
    }
    template
}
