//! A DaemonSet as the decisions see it, and its Pods by node.

use std::collections::BTreeMap;

use k3s_client::{Obj, Object};
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::Value;

use super::template_spec;
use crate::common::number::scaled;
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
        let field = |name| {
            tree::get(
                self.object.value(),
                &format!("spec.updateStrategy.rollingUpdate.{name}"),
            )
        };
        let surge = scaled(field("maxSurge"), nodes, true).unwrap_or(0);
        let unavailable = match field("maxUnavailable") {
            None => i64::from(surge == 0),
            given => scaled(given, nodes, true).unwrap_or(1),
        };
        let unavailable = if surge == 0 {
            unavailable.max(1)
        } else {
            unavailable
        };
        let length = crate::common::number::length;
        self.rolling.then(|| (length(surge), length(unavailable)))
    }
}

/// The node that a daemon Pod is for: where it runs, or where its affinity sends it.
pub(super) fn node_of(object: &Obj) -> String {
    let view = pod::of(object);
    if view.is_scheduled() {
        return view.spec.node_name.clone();
    }
    let terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let fields = tree::list(object.value(), terms)
        .iter()
        .flat_map(|term| tree::list(term, "matchFields"));
    let names = fields
        .filter(|f| tree::text(f, "key") == "metadata.name")
        .flat_map(|f| tree::list(f, "values"));
    names
        .filter_map(Value::as_str)
        .next()
        .unwrap_or("")
        .to_owned()
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
        on_node.sort_by(|a, b| {
            let rank = |o: &Object| {
                (
                    !pod::of(o).is_scheduled(),
                    o.meta().creation_timestamp.clone(),
                    o.name().to_owned(),
                )
            };
            rank(a).cmp(&rank(b))
        });
    }
    by_node
}
