//! Node selectors and node affinity, required and preferred.

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason, Score, spread_over_range};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct NodeAffinity;

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        if pod.required_nodes.matches(&node.name, &node.labels) {
            vec![]
        } else {
            vec![Reason::new(
                "node(s) didn't match Pod's node affinity/selector",
            )]
        }
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        event.is_of_labels()
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> i64 {
        let wanted = pod
            .preferred_nodes
            .iter()
            .filter(|p| p.term.matches(&node.name, &node.labels));
        wanted.map(|p| p.weight).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        spread_over_range(scores, false);
    }
}
