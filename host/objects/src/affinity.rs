//! Where a pod wants to run: node affinity, affinity to other pods, and spreading.

use std::collections::BTreeMap;

use k3s_meta::LabelSelector;
use serde_json::Value;

use crate::node_selector::{NodeSelector, NodeSelectorTerm};
use crate::view::view;

view! {
    /// `spec.affinity` (`core/v1.Affinity`).
    pub struct Affinity {
        /// Towards nodes.
        pub node_affinity: NodeAffinity,
        /// Towards nodes that run certain pods.
        pub pod_affinity: PodAffinity,
        /// Away from nodes that run certain pods.
        pub pod_anti_affinity: PodAffinity,
    }

    /// `core/v1.NodeAffinity`
    pub struct NodeAffinity {
        /// The node must match it.
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
        pub required: Option<NodeSelector>,
        /// Matching nodes are preferred.
        #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
        pub preferred: Vec<PreferredSchedulingTerm>,
    }

    /// `core/v1.PreferredSchedulingTerm`
    pub struct PreferredSchedulingTerm {
        /// 1 to 100.
        pub weight: i64,
        /// The preferred nodes.
        pub preference: NodeSelectorTerm,
    }

    /// `core/v1.PodAffinity` and `core/v1.PodAntiAffinity`
    pub struct PodAffinity {
        /// All terms must hold.
        #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
        pub required: Vec<PodAffinityTerm>,
        /// Nodes where a term holds are preferred.
        #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
        pub preferred: Vec<WeightedPodAffinityTerm>,
    }

    /// `core/v1.WeightedPodAffinityTerm`
    pub struct WeightedPodAffinityTerm {
        /// 1 to 100.
        pub weight: i64,
        /// The preference.
        pub pod_affinity_term: PodAffinityTerm,
    }

    /// `core/v1.PodAffinityTerm`
    pub struct PodAffinityTerm {
        /// Which pods; `None` selects none.
        pub label_selector: Option<Value>,
        /// In which namespaces; empty is the pod's own, unless there is a namespace selector.
        pub namespaces: Vec<String>,
        /// Further namespaces by their labels; `{}` selects all.
        pub namespace_selector: Option<Value>,
        /// Nodes with the same value of this label count as one place.
        pub topology_key: String,
    }

    /// `core/v1.TopologySpreadConstraint`
    pub struct TopologySpreadConstraint {
        /// The greatest allowed difference between domains.
        pub max_skew: i64,
        /// Domains are the values of this label.
        pub topology_key: String,
        /// `DoNotSchedule` or `ScheduleAnyway`.
        pub when_unsatisfiable: String,
        /// Which pods count; `None` selects none.
        pub label_selector: Option<Value>,
        /// Fewer domains than this count as an empty one.
        pub min_domains: Option<i64>,
        /// The pod's own values of these labels narrow the selector.
        pub match_label_keys: Vec<String>,
    }
}

/// The nodes that a pod must run on: every label of its node selector and, if it has required node
/// affinity, one term of that (`nodeaffinity.RequiredNodeAffinity`).
#[derive(Clone, Debug, Default)]
pub struct RequiredNodeAffinity {
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity.
    pub required: Option<NodeSelector>,
}

impl RequiredNodeAffinity {
    /// Whether a node will do.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        matches_required(&self.node_selector, self.required.as_ref(), name, labels)
    }
}

/// The rule behind [`RequiredNodeAffinity`], for parts that are borrowed from a pod.
pub(crate) fn matches_required(
    node_selector: &BTreeMap<String, String>,
    required: Option<&NodeSelector>,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    let has_labels = node_selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    has_labels && required.is_none_or(|selector| selector.matches(name, labels))
}

/// A label selector as affinity terms hold it: absent, or unreadable, it selects no pod.
#[must_use]
pub fn pod_selector(value: Option<&Value>) -> LabelSelector {
    value
        .and_then(|value| LabelSelector::from_value(value).ok())
        .unwrap_or_else(LabelSelector::nothing)
}
