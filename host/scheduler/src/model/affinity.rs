//! Pod affinity terms and spread constraints with their selectors parsed, since every node of a cycle
//! asks them.

use k3s_meta::selector::LabelSelector;

use super::PodInfo;

/// A preference.
#[derive(Clone, Debug)]
pub struct Weighted<T> {
    /// Upstream's weight, 1 to 100; negative for anti-affinity.
    pub weight: i64,
    /// What is preferred.
    pub term: T,
}

/// Pods that a pod wants near or far (`core/v1.PodAffinityTerm`).
#[derive(Clone, Debug)]
pub struct PodTerm {
    /// Which pods.
    pub selector: LabelSelector,
    /// In which namespaces.
    pub namespaces: Vec<String>,
    /// And in those whose labels it selects.
    pub namespace_selector: Option<LabelSelector>,
    /// What "near" means: nodes with the same value of this label.
    pub topology_key: String,
}

impl PodTerm {
    /// Whether `pod` is one of those meant. A term that picks namespaces by their labels needs a pod that has those
    /// of its own, as the pod of a cycle does.
    #[must_use]
    pub fn selects(&self, pod: &PodInfo) -> bool {
        let selector = self.namespace_selector.as_ref();
        let is_there = self.namespaces.contains(&pod.namespace)
            || selector.is_some_and(|selector| selector.matches_labels(&pod.namespace_labels));
        is_there && self.selector.matches_labels(&pod.labels)
    }

    /// Whether `pod` may be one of those meant, whatever labels its namespace has.
    #[must_use]
    pub(crate) fn may_select(&self, pod: &PodInfo) -> bool {
        let may_be_there =
            self.namespace_selector.is_some() || self.namespaces.contains(&pod.namespace);
        may_be_there && self.selector.matches_labels(&pod.labels)
    }
}

/// How evenly pods are to be spread (`core/v1.TopologySpreadConstraint`).
#[derive(Clone, Debug)]
pub struct SpreadConstraint {
    /// Which pods count.
    pub selector: LabelSelector,
    /// Domains are the values of this label.
    pub topology_key: String,
    /// The greatest allowed difference between domains.
    pub max_skew: i64,
    /// Fewer domains than this count as an empty one.
    pub min_domains: Option<i64>,
    /// `DoNotSchedule` rather than `ScheduleAnyway`.
    pub required: bool,
}
