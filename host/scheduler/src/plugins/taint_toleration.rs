//! Taints keep pods away unless they tolerate them; a taint that is only a preference lowers the
//! score.

use k3s_objects::Taint;
use k3s_objects::toleration::untolerated;

use crate::event::Event;
use crate::framework::{Filter, Prepared, Reason, Score, spread_over_range};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> Vec<Reason> {
        let first =
            untolerated(&node.taints, &pod.tolerations, &["NoSchedule", "NoExecute"]).next();
        let text = |t: &Taint| format!("node(s) had untolerated taint {{{}: {}}}", t.key, t.value);
        first.map(|t| Reason::new(text(t))).into_iter().collect()
    }

    fn may_help(&self, _: &PodInfo, event: &Event) -> bool {
        event.is_of_taints()
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
        let taints = untolerated(&node.taints, &pod.tolerations, &["PreferNoSchedule"]);
        i64::try_from(taints.count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        spread_over_range(scores, true);
    }
}
