//! One scheduling cycle without I/O: a pod and the nodes in, a decision out.

use std::collections::BTreeMap;

use crate::framework::{Prepared, Profile, Reason, Refusers};
use crate::model::{NodeInfo, PodInfo};

/// The node that a pod gets, or why it gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Bind to this node.
    Node(String),
    /// No node will do: upstream's message, and the filters that stand in the way.
    Nowhere(String, Refusers),
}

/// Decides. `tie` in `[0, 1)` picks among equally good nodes.
#[must_use]
pub fn decide(profile: &Profile, pod: &PodInfo, nodes: &[NodeInfo], tie: f64) -> Decision {
    if nodes.is_empty() {
        let text = "no nodes available to schedule pods";
        return Decision::Nowhere(text.into(), Refusers::new());
    }
    let mut filters = profile.filters.iter().enumerate();
    if let Some((at, refusal)) = filters.find_map(|(at, f)| Some((at, f.refusal(pod)?))) {
        let text = format!("0/{} nodes are available: {refusal}.", nodes.len());
        return Decision::Nowhere(text, Refusers::from([at]));
    }
    let prepared: Vec<Prepared> = profile
        .filters
        .iter()
        .map(|f| f.prepare(pod, nodes))
        .collect();
    let mut counts: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut refusers = Refusers::new();
    let mut fitting = Vec::new();
    for node in nodes {
        let Some((at, reasons)) = first_refusal(profile, pod, node, &prepared) else {
            fitting.push(node);
            continue;
        };
        refusers.insert(at);
        reasons
            .into_iter()
            .for_each(|r| *counts.entry(r).or_insert(0) += 1);
    }
    match fitting.as_slice() {
        [] => Decision::Nowhere(message(nodes.len(), &counts), refusers),
        [only] => Decision::Node(only.name.clone()),
        several => Decision::Node(best(profile, pod, nodes, several, tie)),
    }
}

/// The first filter that refuses with its reasons, as upstream counts them.
fn first_refusal(
    profile: &Profile,
    pod: &PodInfo,
    node: &NodeInfo,
    prepared: &[Prepared],
) -> Option<(usize, Vec<Reason>)> {
    let refusals = profile
        .filters
        .iter()
        .zip(prepared)
        .map(|(f, p)| f.reasons(pod, node, p));
    refusals
        .enumerate()
        .find(|(_, reasons)| !reasons.is_empty())
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
