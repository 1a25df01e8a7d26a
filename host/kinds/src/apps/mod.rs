//! Workloads that keep pods running.

mod controllerrevision;
mod daemonset;
mod deployment;
mod replicaset;
mod statefulset;
pub(crate) mod workload;

use crate::rules::KindRules;

/// Rules of a kind of the group `apps`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "ControllerRevision" => &controllerrevision::ControllerRevision,
        "DaemonSet" => &daemonset::DaemonSet,
        "Deployment" => &deployment::Deployment,
        "ReplicaSet" => &replicaset::ReplicaSet,
        "StatefulSet" => &statefulset::StatefulSet,
        _ => return None,
    })
}
