//! `kubectl get pods`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::{Value, json};

use super::status_text;
use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    Column::text("Status", "The aggregate status of the containers in this pod."),
    Column::text("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
    Column::AGE,
    Column::text("IP", "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.").wide(),
    Column::text("Node", "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename").wide(),
    Column::text("Nominated Node", "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.").wide(),
    Column::text("Readiness Gates", "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates").wide(),
];

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let summary = status_text::summarize(pod);
    let restarts = match summary.last_restart {
        Some(at) if summary.restarts != 0 => {
            format!(
                "{} ({} ago)",
                summary.restarts,
                print::human_duration(now.as_second() - at.as_second())
            )
        }
        _ => summary.restarts.to_string(),
    };
    let address = tree::list(pod, "status.podIPs")
        .first()
        .map_or("", |ip| tree::text(ip, "ip"));
    vec![
        print::name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts.into(),
        print::age(pod, now),
        print::or_none(address),
        print::or_none(tree::text(pod, "spec.nodeName")),
        print::or_none(tree::text(pod, "status.nominatedNodeName")),
        readiness_gates(pod).into(),
    ]
}

fn readiness_gates(pod: &Value) -> String {
    let gates = tree::list(pod, "spec.readinessGates");
    if gates.is_empty() {
        return print::NONE.to_owned();
    }
    let conditions = tree::list(pod, "status.conditions");
    let is_true = |gate: &&Value| {
        conditions.iter().any(|condition| {
            tree::text(condition, "type") == tree::text(gate, "conditionType")
                && tree::text(condition, "status") == "True"
        })
    };
    format!("{}/{}", gates.iter().filter(is_true).count(), gates.len())
}

/// The condition by which clients recognize finished pods.
pub(super) fn row_conditions(pod: &Value) -> Vec<Value> {
    let (reason, message) = match tree::text(pod, "status.phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
}
