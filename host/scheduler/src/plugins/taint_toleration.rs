//! Taints keep pods away unless they tolerate them; a taint that is only a preference lowers the
//! score.

use crate::framework::{Filter, Prepared, Reason, Score, spread_over_range};
use crate::model::{NodeInfo, PodInfo, Taint};

pub(super) struct TaintToleration;

fn untolerated<'a>(
    pod: &'a PodInfo,
    node: &'a NodeInfo,
    effects: &'a [&'a str],
) -> impl Iterator<Item = &'a Taint> {
    let counts = move |t: &&Taint| effects.contains(&t.effect.as_str());
    node.taints
        .iter()
        .filter(counts)
        .filter(|t| !pod.tolerations.iter().any(|o| o.tolerates(t)))
}

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        let first = untolerated(pod, node, &["NoSchedule", "NoExecute"]).next();
        let text = |t: &Taint| format!("node(s) had untolerated taint {{{}: {}}}", t.key, t.value);
        first.map(|t| Reason::new(text(t))).into_iter().collect()
    }
}

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> i64 {
        i64::try_from(untolerated(pod, node, &["PreferNoSchedule"]).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        spread_over_range(scores, true);
    }
}
