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

/// Key and effect of a taint.
type KeyAndEffect = (&'static str, &'static str);

/// The whole list of taints; nothing where it is right already. Taints of others stay.
pub(super) fn wanted(node: &Value, now: &str) -> Option<Vec<Value>> {
    let present = tree::list(node, "spec.taints");
    let implied = implied(node);
    let mut taints = Vec::new();
    for taint in present {
        let is_implied = implied.iter().any(|own| is(taint, *own));
        if is_implied || !ours(taint) {
            taints.push(taint.clone());
        }
    }
    for own in implied {
        let is_there = taints.iter().any(|taint| is(taint, own));
        if !is_there {
            let (key, effect) = own;
            taints.push(json!({
                "key": key,
                "effect": effect,
                "timeAdded": now,
            }));
        }
    }
    if taints == present {
        return None;
    }
    Some(taints)
}

/// The taints that the node's conditions call for.
fn implied(node: &Value) -> Vec<KeyAndEffect> {
    let mut implied = Vec::new();
    for (kind, tainting, taint) in BY_CONDITION {
        if condition::status(node, kind) == tainting {
            implied.push((taint, "NoSchedule"));
        }
    }
    if tree::flag(node, "spec.unschedulable") {
        implied.push((UNSCHEDULABLE, "NoSchedule"));
    }
    match condition::status(node, "Ready") {
        // A node that has reported nothing yet is not ready, but nothing runs there to be evicted.
        "" => implied.push((NOT_READY, "NoSchedule")),
        "False" => implied.push((NOT_READY, "NoExecute")),
        "Unknown" => implied.push((UNREACHABLE, "NoExecute")),
        _ => {}
    }
    implied
}

fn is(taint: &Value, (key, effect): KeyAndEffect) -> bool {
    let same_key = tree::text(taint, "key") == key;
    let same_effect = tree::text(taint, "effect") == effect;
    same_key && same_effect
}

fn ours(taint: &Value) -> bool {
    let key = tree::text(taint, "key");
    match tree::text(taint, "effect") {
        "NoSchedule" => {
            let by_condition = BY_CONDITION.iter().any(|(_, _, own)| *own == key);
            by_condition || key == UNSCHEDULABLE
        }
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
