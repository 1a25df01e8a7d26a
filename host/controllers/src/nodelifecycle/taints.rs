//! Pure: the taints that follow from a node's conditions.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::common::condition;

/// Condition, status that taints, taint. All of these are `NoSchedule`.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    (
        "MemoryPressure",
        "True",
        "node.kubernetes.io/memory-pressure",
    ),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
];
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// The whole list of taints; nothing where it is right already. Taints of others stay.
pub(super) fn wanted(node: &Value, now: &str) -> Option<Vec<Value>> {
    let present = tree::list(node, "spec.taints");
    let status =
        |kind: &str| condition::find(node, kind).map_or("", |c| condition::text(c, "status"));
    let mut wanted: Vec<(&str, &str)> = BY_CONDITION
        .iter()
        .filter(|(kind, value, _)| status(kind) == *value)
        .map(|(_, _, taint)| (*taint, "NoSchedule"))
        .collect();
    if tree::flag(node, "spec.unschedulable") {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    match status("Ready") {
        // A node that has reported nothing yet is not ready, but nothing runs there to be evicted.
        "" => wanted.push((NOT_READY, "NoSchedule")),
        "False" => wanted.push((NOT_READY, "NoExecute")),
        "Unknown" => wanted.push((UNREACHABLE, "NoExecute")),
        _ => {}
    }
    let is = |taint: &Value, (key, effect): &(&str, &str)| {
        tree::text(taint, "key") == *key && tree::text(taint, "effect") == *effect
    };
    let mut taints: Vec<Value> = present
        .iter()
        .filter(|t| !ours(t) || wanted.iter().any(|w| is(t, w)))
        .cloned()
        .collect();
    for new in &wanted {
        if !taints.iter().any(|taint| is(taint, new)) {
            taints.push(json!({"key": new.0, "effect": new.1, "timeAdded": now}));
        }
    }
    (taints != present).then_some(taints)
}

fn ours(taint: &Value) -> bool {
    let (key, effect) = (tree::text(taint, "key"), tree::text(taint, "effect"));
    match effect {
        "NoSchedule" => key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, own)| *own == key),
        "NoExecute" => key == NOT_READY || key == UNREACHABLE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, taints: Value) -> Value {
        json!({"spec": {"taints": taints}, "status": {"conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn keys(taints: &[Value]) -> Vec<String> {
        taints
            .iter()
            .map(|t| format!("{}:{}", tree::text(t, "key"), tree::text(t, "effect")))
            .collect()
    }

    #[test]
    fn taints_follow_the_ready_condition_and_leave_others_alone() {
        let foreign = json!({"key": "example.com/x", "effect": "NoExecute"});
        assert!(wanted(&node("True", json!([foreign])), "now").is_none());
        let lost = wanted(&node("Unknown", json!([foreign])), "now").unwrap();
        assert_eq!(
            keys(&lost),
            [
                "example.com/x:NoExecute",
                "node.kubernetes.io/unreachable:NoSchedule",
                "node.kubernetes.io/unreachable:NoExecute"
            ]
        );
        assert!(wanted(&node("Unknown", lost.clone().into()), "later").is_none());
        assert_eq!(
            keys(&wanted(&node("True", lost.into()), "now").unwrap()),
            ["example.com/x:NoExecute"]
        );
    }
}
