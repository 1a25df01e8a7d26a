//! Pure: how many Pods to create, or which to delete.

use k3s_client::Object;

use super::ranking;
use crate::common::number::length;

/// At most this many in one go; the rest follows when these are seen.
pub(super) const BURST: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) create: usize,
    pub(super) delete: Vec<Object>,
}

/// `related` are the Pods of all sets under the same owner: a Pod whose node carries more of them
/// is deleted first.
pub(super) fn plan(desired: i64, active: &[Object], related: &[Object]) -> Plan {
    let desired = length(desired);
    if active.len() <= desired {
        return Plan {
            create: (desired - active.len()).min(BURST),
            delete: Vec::new(),
        };
    }
    let surplus = (active.len() - desired).min(BURST);
    let mut ranked = ranking::first_to_go(active, related);
    ranked.truncate(surplus);
    Plan {
        create: 0,
        delete: ranked,
    }
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, node: &str, ready: &str, cost: &str) -> Object {
        let phase = if node.is_empty() {
            "Pending"
        } else {
            "Running"
        };
        Obj::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}},
            "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
        }))
        .unwrap()
    }

    #[test]
    fn counts_and_bounds() {
        assert_eq!(plan(3, &[], &[]).create, 3);
        assert_eq!(plan(2000, &[], &[]).create, BURST);
        let pods = vec![pod("a", "n", "True", "0")];
        let plan = plan(1, &pods, &pods);
        assert_eq!((plan.create, plan.delete.len()), (0, 0));
    }

    #[test]
    fn unscheduled_then_unready_then_cheap_then_doubled_up_go_first() {
        let pods = vec![
            pod("lonely", "n2", "True", "0"),
            pod("twin", "n1", "True", "0"),
            pod("twin-dear", "n1", "True", "10"),
            pod("unready", "n2", "False", "0"),
            pod("pending", "", "False", "0"),
        ];
        let names: Vec<String> = plan(0, &pods, &pods[..3])
            .delete
            .iter()
            .map(|p| p.name().to_owned())
            .collect();
        assert_eq!(names, ["pending", "unready", "twin", "lonely", "twin-dear"]);
    }
}
