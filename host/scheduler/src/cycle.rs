//! One scheduling cycle without I/O: a pod and the nodes in, a decision out.

use std::collections::BTreeMap;

use crate::framework::{Prepared, Profile, Reason};
use crate::model::{NodeInfo, PodInfo};

/// The node that a pod gets, or why it gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Bind to this node.
    Node(String),
    /// No node will do; the text is upstream's message.
    Nowhere(String),
}

/// Decides. `tie` in `[0, 1)` picks among equally good nodes.
#[must_use]
pub fn decide(profile: &Profile, pod: &PodInfo, nodes: &[NodeInfo], tie: f64) -> Decision {
    if nodes.is_empty() {
        return Decision::Nowhere("no nodes available to schedule pods".into());
    }
    if let Some(refusal) = profile.filters.iter().find_map(|f| f.refusal(pod)) {
        return Decision::Nowhere(format!("0/{} nodes are available: {refusal}.", nodes.len()));
    }
    let prepared: Vec<Prepared> = profile
        .filters
        .iter()
        .map(|f| f.prepare(pod, nodes))
        .collect();
    let mut counts: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut fitting = Vec::new();
    for node in nodes {
        match first_refusal(profile, pod, node, &prepared) {
            None => fitting.push(node),
            Some(reasons) => reasons
                .into_iter()
                .for_each(|r| *counts.entry(r).or_insert(0) += 1),
        }
    }
    match fitting.as_slice() {
        [] => Decision::Nowhere(message(nodes.len(), &counts)),
        [only] => Decision::Node(only.name.clone()),
        several => Decision::Node(best(profile, pod, nodes, several, tie)),
    }
}

/// The reasons of the first filter that refuses, as upstream counts them.
fn first_refusal(
    profile: &Profile,
    pod: &PodInfo,
    node: &NodeInfo,
    prepared: &[Prepared],
) -> Option<Vec<Reason>> {
    let refusals = profile
        .filters
        .iter()
        .zip(prepared)
        .map(|(f, p)| f.reasons(pod, node, p));
    refusals.into_iter().find(|reasons| !reasons.is_empty())
}

fn message(nodes: usize, counts: &BTreeMap<Reason, usize>) -> String {
    let mut parts: Vec<String> = counts
        .iter()
        .map(|(reason, n)| format!("{n} {}", reason.0))
        .collect();
    parts.sort();
    format!("0/{nodes} nodes are available: {}.", parts.join(", "))
}

fn best(
    profile: &Profile,
    pod: &PodInfo,
    all: &[NodeInfo],
    fitting: &[&NodeInfo],
    tie: f64,
) -> String {
    let mut totals = vec![0_i64; fitting.len()];
    for plugin in &profile.scores {
        let prepared = plugin.prepare(pod, all);
        let mut scores: Vec<i64> = fitting
            .iter()
            .map(|n| plugin.score(pod, n, &prepared))
            .collect();
        plugin.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total = total.saturating_add(plugin.weight().saturating_mul(score));
        }
    }
    let top = totals.iter().copied().max().unwrap_or_default();
    let winners: Vec<&&NodeInfo> = fitting
        .iter()
        .zip(&totals)
        .filter(|(_, t)| **t == top)
        .map(|(n, _)| n)
        .collect();
    let at = pick(tie, winners.len());
    winners.get(at).map(|n| n.name.clone()).unwrap_or_default()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
fn pick(tie: f64, among: usize) -> usize {
    ((tie * among as f64) as usize).min(among.saturating_sub(1))
}
