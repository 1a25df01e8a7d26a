//! Prefers nodes whose CPU and memory would be used to a like degree.

use crate::framework::{MAX_SCORE, Prepared, Score};
use crate::model::{NodeInfo, PodInfo};

pub(super) struct BalancedAllocation;

/// Used share in thousandths, at most all of it.
fn share(taken: i64, asked: i64, have: i64) -> i64 {
    if have <= 0 {
        1000
    } else {
        (taken.saturating_add(asked).saturating_mul(1000) / have).clamp(0, 1000)
    }
}

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo, _: &Prepared) -> i64 {
        let cpu = share(
            node.requested.milli_cpu,
            pod.requests.milli_cpu,
            node.allocatable.milli_cpu,
        );
        let memory = share(
            node.requested.memory,
            pod.requests.memory,
            node.allocatable.memory,
        );
        // For two shares the standard deviation is half their difference.
        MAX_SCORE - (cpu - memory).abs() / 2 * MAX_SCORE / 1000
    }
}
