//! A DaemonSet as the decisions see it, and its Pods by node.

use std::collections::BTreeMap;

use k3s_client::{Obj, Object};
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::Value;

use super::template_spec;
use crate::common::number::{length, scaled};
use crate::common::pod;

pub(super) const HASH_LABEL: &str = "controller-revision-hash";

pub(super) struct DaemonSet {
    pub(super) object: Object,
    pub(super) min_ready_seconds: i64,
    pub(super) history_limit: i64,
    /// The template's Pod spec with the tolerations that daemons have; `None` when it cannot be read,
    /// which fits no node.
    pub(super) spec: Option<PodSpec>,
    rolling: bool,
}

impl DaemonSet {
    pub(super) fn read(object: &Object) -> Self {
        let value = object.value();
        Self {
            object: object.clone(),
            min_ready_seconds: tree::int(value, "spec.minReadySeconds").unwrap_or(0),
            history_limit: tree::int(value, "spec.revisionHistoryLimit").unwrap_or(10),
            spec: template_spec::read(object),
            rolling: tree::text(value, "spec.updateStrategy.type") != "OnDelete",
        }
    }

    pub(super) fn template(&self) -> &Value {
        tree::get(self.object.value(), "spec.template").unwrap_or(&Value::Null)
    }

    pub(super) fn collisions(&self) -> i64 {
        tree::int(self.object.value(), "status.collisionCount").unwrap_or(0)
    }

    /// `maxSurge` and `maxUnavailable` of a rolling update over so many nodes; nothing for
    /// `OnDelete`.
    pub(super) fn limits(&self, nodes: i64) -> Option<(usize, usize)> {
        if !self.rolling {
            return None;
        }
        let value = self.object.value();
        let surge = tree::get(value, "spec.updateStrategy.rollingUpdate.maxSurge");
        let surge = scaled(surge, nodes, true).unwrap_or(0);
        let unavailable = tree::get(value, "spec.updateStrategy.rollingUpdate.maxUnavailable");
        let mut unavailable = match unavailable {
            None => 0,
            given => scaled(given, nodes, true).unwrap_or(1),
        };
        if surge == 0 {
            unavailable = unavailable.max(1);
        }
        Some((length(surge), length(unavailable)))
    }
}

/// The node that a daemon Pod is for: where it runs, or where its affinity sends it.
pub(super) fn node_of(object: &Obj) -> String {
    let view = pod::of(object);
    if view.is_scheduled() {
        return view.spec.node_name.clone();
    }
    let terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    for term in tree::list(object.value(), terms) {
        for field in tree::list(term, "matchFields") {
            if tree::text(field, "key") != "metadata.name" {
                continue;
            }
            if let Some(name) = tree::texts(field, "values").first() {
                return (*name).to_owned();
            }
        }
    }
    String::new()
}

/// Pods by the node they are for, the oldest first on each.
pub(super) fn by_node(pods: &[Object]) -> BTreeMap<String, Vec<Object>> {
    let mut by_node: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    for object in pods {
        by_node
            .entry(node_of(object))
            .or_default()
            .push(object.clone());
    }
    for on_node in by_node.values_mut() {
        on_node.sort_by_cached_key(|object| {
            let is_waiting = !pod::of(object).is_scheduled();
            let created = object.meta().creation_timestamp.clone();
            let name = object.name().to_owned();
            (is_waiting, created, name)
        });
    }
    by_node
}
