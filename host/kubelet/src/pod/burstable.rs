//! The CPU share of the burstable class: as much as its pods request together
//! (`pkg/kubelet/cm/qos_container_manager_linux.go`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::table::PodTable;
use crate::cgroup::Cgroups;
use crate::model;
use crate::qos::{self, Amounts, QosClass};

/// See the module.
pub(crate) struct BurstableShares {
    pub(crate) pods: Arc<PodTable>,
    pub(crate) cgroups: Arc<Cgroups>,
}

impl BurstableShares {
    /// Brings the share to the present set of pods.
    pub(crate) fn update(&self) {
        let pods = self.pods.list();
        let requests = pods
            .iter()
            .map(|handle| handle.pod())
            .filter(|pod| is_counted(pod))
            .fold(Amounts::default(), |sum, pod| {
                sum.plus(qos::pod_requests(&pod))
            });
        self.cgroups.set_burstable_shares(requests.milli_cpu);
    }
}

fn is_counted(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    !model::is_terminal(phase)
        && !model::uid(pod).is_empty()
        && qos::qos_class(pod) == QosClass::Burstable
}
