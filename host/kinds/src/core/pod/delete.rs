//! Graceful deletion of pods (`podStrategy.CheckGracefulDelete`).

use k3s_meta::tree;
use serde_json::Value;

use crate::delete::DeletePolicy;

/// A pod that runs gets time to stop; its kubelet then removes it.
pub(super) const POLICY: DeletePolicy = DeletePolicy {
    grace: Some(grace_seconds),
    ..DeletePolicy::RETURNS_OBJECT
};

fn grace_seconds(pod: &Value, requested: Option<i64>) -> i64 {
    let own = tree::int(pod, "spec.terminationGracePeriodSeconds");
    let seconds = requested.or(own).unwrap_or(0);
    let scheduled = tree::has(pod, "spec.nodeName");
    let finished = matches!(tree::text(pod, "status.phase"), "Failed" | "Succeeded");
    if !scheduled || finished {
        // No kubelet would ever confirm that such a pod has stopped.
        0
    } else if seconds < 0 {
        1
    } else {
        seconds
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_pod_that_runs_gets_grace() {
        let pod = |node: &str, phase: &str| json!({"spec": {"nodeName": node, "terminationGracePeriodSeconds": 30}, "status": {"phase": phase}});
        for (pod, requested, seconds) in [
            (pod("n", "Running"), None, 30),
            (pod("n", "Running"), Some(5), 5),
            (pod("n", "Running"), Some(-1), 1),
            (pod("", "Pending"), Some(5), 0),
            (pod("n", "Succeeded"), None, 0),
        ] {
            assert_eq!(grace_seconds(&pod, requested), seconds, "{pod}");
        }
    }
}
