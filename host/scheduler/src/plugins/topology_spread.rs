//! Spreading pods evenly over zones, hosts or other domains that a label names.

use std::collections::HashMap;

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason, Score, spread_over_range};
use crate::model::{NodeInfo, PodInfo, SpreadConstraint};

pub(super) struct PodTopologySpread;

/// Pods per domain, for each constraint of the pod. Only nodes that the pod's node terms allow
/// make domains (`nodeAffinityPolicy: Honor`, the default).
type Counts = Vec<HashMap<String, i64>>;

fn count(pod: &PodInfo, nodes: &[NodeInfo], constraint: &SpreadConstraint) -> HashMap<String, i64> {
    let mut found = HashMap::new();
    for node in nodes
        .iter()
        .filter(|n| pod.required_nodes.matches(&n.name, &n.labels))
    {
        let Some(domain) = node.labels.get(&constraint.topology_key) else {
            continue;
        };
        let same = |p: &&std::sync::Arc<PodInfo>| {
            p.namespace == pod.namespace
                && !p.deleting
                && constraint.selector.matches_labels(&p.labels)
        };
        let here = i64::try_from(node.pods.iter().filter(same).count()).unwrap_or(i64::MAX);
        *found.entry(domain.clone()).or_insert(0) += here;
    }
    found
}

fn counts(prepared: &Prepared) -> Option<&Counts> {
    prepared.as_ref().and_then(|p| p.downcast_ref::<Counts>())
}

fn refusal(
    pod: &PodInfo,
    node: &NodeInfo,
    constraint: &SpreadConstraint,
    counts: &HashMap<String, i64>,
) -> Option<Reason> {
    let Some(domain) = node.labels.get(&constraint.topology_key) else {
        return Some(Reason::new(
            "node(s) didn't match pod topology spread constraints (missing required label)",
        ));
    };
    let too_few = constraint
        .min_domains
        .is_some_and(|m| i64::try_from(counts.len()).unwrap_or(i64::MAX) < m);
    let least = if too_few {
        0
    } else {
        counts.values().copied().min().unwrap_or_default()
    };
    let own = i64::from(constraint.selector.matches_labels(&pod.labels));
    let here = counts.get(domain).copied().unwrap_or_default();
    let skew = here + own - least;
    (skew > constraint.max_skew)
        .then(|| Reason::new("node(s) didn't match pod topology spread constraints"))
}

impl PodTopologySpread {
    fn count_all(pod: &PodInfo, nodes: &[NodeInfo]) -> Prepared {
        let all: Counts = pod.spread.iter().map(|c| count(pod, nodes, c)).collect();
        Some(Box::new(all))
    }
}

impl Filter for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn prepare(&self, pod: &PodInfo, nodes: &[NodeInfo]) -> Prepared {
        Self::count_all(pod, nodes)
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> Vec<Reason> {
        let Some(counts) = counts(prepared) else {
            return vec![];
        };
        let required = pod.spread.iter().zip(counts).filter(|(c, _)| c.required);
        required
            .filter_map(|(c, counts)| refusal(pod, node, c, counts))
            .take(1)
            .collect()
    }

    fn may_help(&self, pod: &PodInfo, event: &Event) -> bool {
        let counts = |other: &PodInfo| {
            let mut constraints = pod.spread.iter();
            other.namespace == pod.namespace
                && constraints.any(|c| c.selector.matches_labels(&other.labels))
        };
        matches!(event, Event::NodeRemoved)
            || event.is_of_labels()
            || event.is_of_taints()
            || event.pods().any(|other| counts(other))
    }
}

impl Score for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn prepare(&self, pod: &PodInfo, nodes: &[NodeInfo]) -> Prepared {
        Self::count_all(pod, nodes)
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> i64 {
        let Some(counts) = counts(prepared) else {
            return 0;
        };
        let preferred = pod.spread.iter().zip(counts).filter(|(c, _)| !c.required);
        let here = |c: &SpreadConstraint, counts: &HashMap<String, i64>| {
            node.labels
                .get(&c.topology_key)
                .and_then(|d| counts.get(d))
                .copied()
                .unwrap_or_default()
        };
        preferred.map(|(c, counts)| here(c, counts)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        spread_over_range(scores, true);
    }
}
