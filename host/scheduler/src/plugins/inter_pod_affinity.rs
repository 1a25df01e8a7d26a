//! Pods that must or would like to be near to, or away from, other pods.

use std::collections::HashMap;

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason, Score, spread_over_range};
use crate::model::{NodeInfo, PodInfo, PodTerm};

pub(super) struct InterPodAffinity;

type Domain = (String, String);

/// What the pods that already run say about each topology domain.
#[derive(Default)]
struct Existing {
    /// Per required affinity term of the pod: domains that hold a pod it selects.
    near: Vec<HashMap<Domain, usize>>,
    /// Domains that hold a pod which the pod must keep away from.
    away: Vec<HashMap<Domain, usize>>,
    /// Domains from which a running pod keeps this one away.
    forbidden: HashMap<Domain, usize>,
}

fn domain(node: &NodeInfo, key: &str) -> Option<Domain> {
    node.labels
        .get(key)
        .map(|value| (key.to_owned(), value.clone()))
}

/// Counts, per domain of the term, the pods that it selects.
fn count(term: &PodTerm, nodes: &[NodeInfo]) -> HashMap<Domain, usize> {
    let mut found = HashMap::new();
    for node in nodes {
        let Some(domain) = domain(node, &term.topology_key) else {
            continue;
        };
        let selected = node
            .pods
            .iter()
            .filter(|p| !p.deleting && term.selects(p))
            .count();
        if selected > 0 {
            *found.entry(domain).or_insert(0) += selected;
        }
    }
    found
}

fn forbidden(pod: &PodInfo, nodes: &[NodeInfo]) -> HashMap<Domain, usize> {
    let mut found = HashMap::new();
    for node in nodes {
        for term in node
            .pods
            .iter()
            .flat_map(|p| &p.anti_affinity)
            .filter(|t| t.selects(pod))
        {
            if let Some(domain) = domain(node, &term.topology_key) {
                *found.entry(domain).or_insert(0) += 1;
            }
        }
    }
    found
}

impl InterPodAffinity {
    /// A group whose pods all want each other may start: the first pod finds none, but meets its
    /// own term.
    fn is_first_of_its_group(pod: &PodInfo, existing: &Existing) -> bool {
        existing.near.iter().all(HashMap::is_empty) && pod.affinity.iter().all(|t| t.selects(pod))
    }
}

impl Filter for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn prepare(&self, pod: &PodInfo, nodes: &[NodeInfo]) -> Prepared {
        Some(Box::new(Existing {
            near: pod.affinity.iter().map(|t| count(t, nodes)).collect(),
            away: pod.anti_affinity.iter().map(|t| count(t, nodes)).collect(),
            forbidden: forbidden(pod, nodes),
        }))
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> Vec<Reason> {
        let Some(existing) = prepared.as_ref().and_then(|p| p.downcast_ref::<Existing>()) else {
            return vec![];
        };
        let holds = |counts: &HashMap<Domain, usize>, key: &str| {
            domain(node, key).is_some_and(|d| counts.contains_key(&d))
        };
        let labelled = pod
            .affinity
            .iter()
            .all(|t| node.labels.contains_key(&t.topology_key));
        let near = pod
            .affinity
            .iter()
            .zip(&existing.near)
            .all(|(t, c)| holds(c, &t.topology_key));
        let may_start_group = labelled && Self::is_first_of_its_group(pod, existing);
        if !near && !may_start_group {
            return vec![Reason::new("node(s) didn't match pod affinity rules")];
        }
        if pod
            .anti_affinity
            .iter()
            .zip(&existing.away)
            .any(|(t, c)| holds(c, &t.topology_key))
        {
            return vec![Reason::new("node(s) didn't match pod anti-affinity rules")];
        }
        if existing
            .forbidden
            .keys()
            .any(|(key, value)| node.labels.get(key) == Some(value))
        {
            return vec![Reason::new(
                "node(s) didn't satisfy existing pods anti-affinity rules",
            )];
        }
        vec![]
    }

    fn may_help(&self, pod: &PodInfo, event: &Event) -> bool {
        let concerns = |other: &PodInfo| {
            let mut own = pod.affinity.iter().chain(&pod.anti_affinity);
            own.any(|term| term.may_select(other))
                || other.anti_affinity.iter().any(|t| t.may_select(pod))
        };
        // Which running pods pick namespaces by their labels is not looked for: namespaces change seldom.
        matches!(event, Event::NamespaceChanged)
            || event.is_of_labels()
            || event.pods().any(|other| concerns(other))
    }
}

impl Score for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn prepare(&self, pod: &PodInfo, nodes: &[NodeInfo]) -> Prepared {
        let counts: Vec<_> = pod
            .preferred_pods
            .iter()
            .map(|p| count(&p.term, nodes))
            .collect();
        Some(Box::new(counts))
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> i64 {
        let Some(counts) = prepared
            .as_ref()
            .and_then(|p| p.downcast_ref::<Vec<HashMap<Domain, usize>>>())
        else {
            return 0;
        };
        let near = |key: &str, counts: &HashMap<Domain, usize>| {
            domain(node, key)
                .and_then(|d| counts.get(&d).copied())
                .unwrap_or_default()
        };
        let pairs = pod.preferred_pods.iter().zip(counts);
        pairs
            .map(|(p, c)| {
                p.weight.saturating_mul(
                    i64::try_from(near(&p.term.topology_key, c)).unwrap_or(i64::MAX),
                )
            })
            .sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        spread_over_range(scores, false);
    }
}
