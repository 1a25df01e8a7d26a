//! Assigning a pod to a node (`pkg/registry/core/pod/storage/storage.go`, `assignPod`).

use k3s_meta::tree;
use serde_json::{Value, json};

/// Why a pod cannot be assigned to a node. The text is that of upstream's conflict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The pod is being deleted.
    #[error("pod {pod} is being deleted, cannot be assigned to a host")]
    Deleted {
        /// Name of the pod.
        pod: String,
    },
    /// The pod has a node already.
    #[error("pod {pod} is already assigned to node {node:?}")]
    Assigned {
        /// Name of the pod.
        pod: String,
        /// Name of its node.
        node: String,
    },
    /// Scheduling gates hold the pod back.
    #[error("pod {pod} has non-empty .spec.schedulingGates")]
    Gated {
        /// Name of the pod.
        pod: String,
    },
}

/// Assigns `pod` to the node that `binding` names and marks it scheduled at `now` (RFC 3339). Labels
/// and annotations of the binding are copied to the pod.
///
/// # Errors
/// When the pod is being deleted, is assigned already or is held back by scheduling gates.
pub fn bind_pod(pod: &mut Value, binding: &Value, now: &str) -> Result<(), BindError> {
    check_bindable(pod)?;
    tree::set(pod, "spec.nodeName", tree::text(binding, "target.name"));
    // The node that scheduling had in mind before is no news to anybody now.
    tree::remove(pod, "status.nominatedNodeName");
    for path in ["metadata.annotations", "metadata.labels"] {
        let added = tree::map(binding, path).clone();
        if !added.is_empty()
            && let Some(target) = tree::ensure(pod, path)
        {
            target.extend(added);
        }
    }
    set_scheduled(pod, now);
    Ok(())
}

fn check_bindable(pod: &Value) -> Result<(), BindError> {
    let name = tree::text(pod, "metadata.name").to_owned();
    if tree::has(pod, "metadata.deletionTimestamp") {
        return Err(BindError::Deleted { pod: name });
    }
    if tree::has(pod, "spec.nodeName") {
        let node = tree::text(pod, "spec.nodeName").to_owned();
        return Err(BindError::Assigned { pod: name, node });
    }
    if tree::has(pod, "spec.schedulingGates") {
        return Err(BindError::Gated { pod: name });
    }
    Ok(())
}

fn set_scheduled(pod: &mut Value, now: &str) {
    let mut conditions = tree::list(pod, "status.conditions").to_vec();
    conditions.retain(|condition| tree::text(condition, "type") != "PodScheduled");
    conditions.push(json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    }));
    tree::set(pod, "status.conditions", conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending", "nominatedNodeName": "n2"}});
        let binding = json!({"target": {"kind": "Node", "name": "n1"}});
        bind_pod(&mut pod, &binding, "2026-01-02T03:04:05Z").unwrap();
        assert_eq!(tree::text(&pod, "spec.nodeName"), "n1");
        assert!(!tree::has(&pod, "status.nominatedNodeName"));
        assert_eq!(
            tree::text(&tree::list(&pod, "status.conditions")[0], "status"),
            "True"
        );
        let again = bind_pod(&mut pod, &binding, "2026-01-02T03:04:05Z").unwrap_err();
        assert_eq!(
            again.to_string(),
            "pod p is already assigned to node \"n1\""
        );
    }
}
