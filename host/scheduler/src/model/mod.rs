//! What the scheduler knows of pods and nodes. It keeps compact values of its own and drops the typed
//! views they are made from, because a view of every pod would cost more memory than all the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use k3s_client::Obj;
use k3s_objects::affinity::RequiredNodeAffinity;
use k3s_objects::{NodeSelectorTerm, Taint, Toleration};
use k3s_volume::PodClaim;

mod affinity;
mod read;
mod resources;
mod volumes;

pub use affinity::{PodTerm, SpreadConstraint, Weighted};
pub use resources::Resources;
pub use volumes::{Choice, Conflict, Storage, VolumeNeeds};

/// A port a pod takes on its node: (protocol, address, port).
pub type HostPort = (String, String, u16);

/// A pod as the scheduler sees it.
#[derive(Clone, Debug, Default)]
pub struct PodInfo {
    /// `namespace/name`.
    pub key: Arc<str>,
    /// Namespace.
    pub namespace: String,
    /// Labels of the namespace, as of the present cycle.
    pub namespace_labels: Arc<BTreeMap<String, String>>,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.nodeName`; empty while unassigned.
    pub node_name: String,
    /// `spec.schedulerName`.
    pub scheduler_name: String,
    /// `spec.priority`.
    pub priority: i64,
    /// What filters count.
    pub requests: Resources,
    /// What scores count: containers without requests count as a little (upstream's
    /// `GetNonzeroRequests`), so that nodes do not fill up with pods that ask for nothing.
    pub scored: Resources,
    /// `hostPort`s.
    pub host_ports: Vec<HostPort>,
    /// `spec.nodeSelector` and required node affinity.
    pub required_nodes: RequiredNodeAffinity,
    /// Preferred node affinity.
    pub preferred_nodes: Vec<Weighted<NodeSelectorTerm>>,
    /// Required pod affinity.
    pub affinity: Vec<PodTerm>,
    /// Required pod anti-affinity.
    pub anti_affinity: Vec<PodTerm>,
    /// Preferred pod affinity; a negative weight is anti-affinity.
    pub preferred_pods: Vec<Weighted<PodTerm>>,
    /// Topology spread constraints.
    pub spread: Vec<SpreadConstraint>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// `spec.schedulingGates`: names.
    pub gates: Vec<String>,
    /// Resource claims, which cannot be honoured.
    pub claims: bool,
    /// The volume claims it names.
    pub volume_claims: Vec<PodClaim>,
    /// What these ask of nodes, as of the present cycle.
    pub volumes: VolumeNeeds,
    /// Succeeded or Failed: takes no resources any more.
    pub finished: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// The message of the present `PodScheduled=False` condition.
    pub waiting_message: Option<String>,
}

impl PodInfo {
    /// Reads a pod.
    ///
    /// # Errors
    /// When the object is not a pod that decodes.
    pub fn read(object: &Obj) -> Result<Self, k3s_client::Error> {
        let pod = object.decode()?;
        Ok(read::pod_info(object, pod))
    }

    /// Whether the pod takes resources on its node.
    #[must_use]
    pub fn occupies(&self) -> bool {
        !self.node_name.is_empty() && !self.finished
    }
}

/// A node as the scheduler sees it.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable`.
    pub allocatable: Resources,
    /// The pods on it, assumed ones included.
    pub pods: Vec<Arc<PodInfo>>,
    /// Sum of their requests.
    pub requested: Resources,
    /// Sum of what scores count.
    pub scored: Resources,
}

impl NodeInfo {
    /// Reads a node; it has no pods yet.
    ///
    /// # Errors
    /// When the object is not a node that decodes.
    pub fn read(object: &Obj) -> Result<Self, k3s_client::Error> {
        let node = object.decode()?;
        Ok(read::node_info(object, node))
    }

    /// Counts a pod in.
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.scored.add(&pod.scored);
        self.pods.push(pod);
    }

    /// Counts a pod out, and returns it if it was counted.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let at = self.pods.iter().position(|p| p.uid == uid)?;
        let pod = self.pods.swap_remove(at);
        self.requested.subtract(&pod.requests);
        self.scored.subtract(&pod.scored);
        Some(pod)
    }
}
