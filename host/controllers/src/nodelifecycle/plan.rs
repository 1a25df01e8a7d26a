//! Pure: how a node is, and what its status should say.

use k3s_meta::tree;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::condition::{self, text};

/// Conditions that only the kubelet can know: without it they are Unknown.
const KUBELETS_OWN: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// There was news within the grace.
    Heard,
    /// There was none.
    Lost,
}

pub(super) fn health(silent_for: Duration, grace: Duration) -> Health {
    if silent_for >= grace {
        Health::Lost
    } else {
        Health::Heard
    }
}

pub(super) fn ready_status(node: &Value) -> &str {
    condition::status(node, "Ready")
}

/// The time of the kubelet's last status.
pub(super) fn heartbeat(node: &Value) -> &str {
    condition::find(node, "Ready").map_or("", |ready| text(ready, "lastHeartbeatTime"))
}

/// The status of a lost node; nothing where it says so already.
pub(super) fn unknown_status(node: &Value, now: &str) -> Option<Value> {
    let mut conditions = condition::of(node);
    let mut changed = false;
    for kind in KUBELETS_OWN {
        match conditions.iter_mut().find(|c| text(c, "type") == kind) {
            Some(entry) if text(entry, "status") == "Unknown" => {}
            Some(entry) => {
                for (field, value) in [
                    ("status", "Unknown"),
                    ("reason", "NodeStatusUnknown"),
                    ("message", "Kubelet stopped posting node status."),
                    ("lastTransitionTime", now),
                ] {
                    tree::set(entry, field, value);
                }
                changed = true;
            }
            None => {
                conditions.push(json!({
                    "type": kind,
                    "status": "Unknown",
                    "reason": "NodeStatusNeverUpdated",
                    "message": "Kubelet never posted node status.",
                    "lastHeartbeatTime": tree::get(node, "metadata.creationTimestamp"),
                    "lastTransitionTime": now,
                }));
                changed = true;
            }
        }
    }
    if !changed {
        return None;
    }
    let mut status = node.get("status").cloned().unwrap_or_else(|| json!({}));
    tree::set(&mut status, "conditions", conditions);
    Some(status)
}

/// The conditions of a Pod whose node is not ready.
pub(super) fn unready(pod: &Value, now: &str) -> Vec<Value> {
    tree::list(pod, "status.conditions")
        .iter()
        .filter(|c| text(c, "type") == "Ready")
        .map(|c| {
            let mut entry = c.clone();
            tree::set(&mut entry, "status", "False");
            tree::set(&mut entry, "lastTransitionTime", now);
            entry
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_node_says_unknown_once() {
        let node = json!({"metadata": {}, "status": {"capacity": {"cpu": "1"}, "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "t"}]}});
        let status = unknown_status(&node, "now").unwrap();
        assert_eq!(status["conditions"][0]["reason"], "NodeStatusUnknown");
        assert_eq!(status["conditions"].as_array().unwrap().len(), 4);
        assert_eq!(status["capacity"]["cpu"], "1");
        assert!(unknown_status(&json!({"metadata": {}, "status": status}), "later").is_none());
    }

    #[test]
    fn grace_is_counted_from_the_last_news() {
        assert_eq!(
            health(Duration::from_secs(49), Duration::from_secs(50)),
            Health::Heard
        );
        assert_eq!(
            health(Duration::from_secs(50), Duration::from_secs(50)),
            Health::Lost
        );
    }
}
