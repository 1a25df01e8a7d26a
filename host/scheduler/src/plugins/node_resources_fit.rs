//! A node must have room for what a pod asks for; of those that have, the emptiest is preferred
//! (least allocated).

use crate::event::Event;
use crate::framework::{Filter, MAX_SCORE, Prepared, Reason, Score};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct NodeResourcesFit;

/// Whether `asked` more than is free. Asking for nothing always fits.
fn short(asked: i64, allocatable: i64, taken: i64) -> bool {
    asked > 0 && asked > allocatable.saturating_sub(taken)
}

impl Filter for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        let (asked, have, taken) = (&pod.requests, &node.allocatable, &node.requested);
        let mut reasons = Vec::new();
        if i64::try_from(node.pods.len()).unwrap_or(i64::MAX) >= have.pods {
            reasons.push(Reason::new("Too many pods"));
        }
        for (name, asked, have, taken) in [
            ("cpu", asked.milli_cpu, have.milli_cpu, taken.milli_cpu),
            ("memory", asked.memory, have.memory, taken.memory),
            (
                "ephemeral-storage",
                asked.ephemeral_storage,
                have.ephemeral_storage,
                taken.ephemeral_storage,
            ),
        ] {
            if short(asked, have, taken) {
                reasons.push(Reason::new(format!("Insufficient {name}")));
            }
        }
        for (name, asked) in &asked.others {
            let amount =
                |all: &crate::model::Resources| all.others.get(name).copied().unwrap_or_default();
            if short(*asked, amount(have), amount(taken)) {
                reasons.push(Reason::new(format!("Insufficient {name}")));
            }
        }
        reasons
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        match event {
            // One pod less is room for one pod, whatever it asked for.
            Event::NodeAdded | Event::PodLeft(_) => true,
            Event::NodeChanged(change) => change.allocatable,
            Event::PodChanged { old, new } => old.requests != new.requests,
            _ => false,
        }
    }
}

impl Score for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> i64 {
        let free = |have: i64, taken: i64, asked: i64| {
            let left = have.saturating_sub(taken).saturating_sub(asked);
            if have <= 0 || left < 0 {
                0
            } else {
                left.saturating_mul(MAX_SCORE) / have
            }
        };
        let cpu = free(
            node.allocatable.milli_cpu,
            node.scored.milli_cpu,
            pod.scored.milli_cpu,
        );
        let memory = free(
            node.allocatable.memory,
            node.scored.memory,
            pod.scored.memory,
        );
        i64::midpoint(cpu, memory)
    }
}
