//! The fields of a pod.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::affinity::{Affinity, TopologySpreadConstraint};
use crate::condition::Condition;
use crate::resources::{ResourceList, ResourceRequirements};
use crate::toleration::Toleration;
use crate::view::view;

view! {
    /// A pod.
    pub struct Pod {
        /// Desired state.
        pub spec: PodSpec,
        /// Observed state.
        pub status: PodStatus,
    }

    /// `core/v1.PodSpec`
    pub struct PodSpec {
        /// Empty while the pod is not assigned.
        pub node_name: String,
        /// Which scheduler is to assign it.
        pub scheduler_name: String,
        /// 0 when not given.
        pub priority: i64,
        /// First label of the pod's own name in DNS.
        pub hostname: String,
        /// Headless Service that the name is under.
        pub subdomain: String,
        /// `Always`, `OnFailure` or `Never`.
        pub restart_policy: String,
        /// Containers.
        pub containers: Vec<Container>,
        /// Containers that run first, one after the other, and sidecars.
        pub init_containers: Vec<Container>,
        /// What the runtime class costs besides the containers.
        pub overhead: ResourceList,
        /// Requests and limits of the pod as a whole (KEP-2837).
        pub resources: Option<ResourceRequirements>,
        /// The pod shares the node's network.
        pub host_network: bool,
        /// Labels that the node must have.
        pub node_selector: BTreeMap<String, String>,
        /// Where the pod wants to run.
        pub affinity: Affinity,
        /// Taints that do not keep the pod away.
        pub tolerations: Vec<Toleration>,
        /// How evenly pods are spread.
        pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
        /// Names of gates that hold back scheduling.
        pub scheduling_gates: Vec<Named>,
        /// Claims of dynamic resource allocation.
        pub resource_claims: Vec<Named>,
        /// Volumes.
        pub volumes: Vec<Volume>,
    }

    /// An entry of which only the name is read.
    pub struct Named {
        /// Name.
        pub name: String,
    }

    /// `core/v1.Container`
    pub struct Container {
        /// Name.
        pub name: String,
        /// What it asks for and may use.
        pub resources: ResourceRequirements,
        /// Ports.
        pub ports: Vec<ContainerPort>,
        /// Of an init container: `Always` makes it a sidecar.
        pub restart_policy: String,
    }

    /// `core/v1.ContainerPort`
    pub struct ContainerPort {
        /// Name that Services may refer to.
        pub name: String,
        /// Port in the pod.
        pub container_port: u16,
        /// Port on the node; 0 for none.
        pub host_port: u16,
        /// Address on the node; empty is all.
        #[serde(rename = "hostIP")]
        pub host_ip: String,
        /// `TCP`, `UDP` or `SCTP`; empty means `TCP`.
        pub protocol: String,
    }

    /// `core/v1.Volume`, with the sources that need a claim.
    pub struct Volume {
        /// Name.
        pub name: String,
        /// A claim by name.
        pub persistent_volume_claim: Option<PersistentVolumeClaimSource>,
        /// A claim that is made for the pod.
        pub ephemeral: Option<Value>,
    }

    /// `core/v1.PersistentVolumeClaimVolumeSource`
    pub struct PersistentVolumeClaimSource {
        /// Name of the claim.
        pub claim_name: String,
    }

    /// `core/v1.PodStatus`
    pub struct PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        pub phase: String,
        /// Why the pod is in this state, as one word.
        pub reason: String,
        /// Class that the kubelet or the API server recorded; empty when none did.
        pub qos_class: String,
        /// `Ready`, `PodScheduled` and others.
        pub conditions: Vec<Condition>,
        /// The first address.
        #[serde(rename = "podIP")]
        pub pod_ip: String,
        /// All addresses.
        #[serde(rename = "podIPs")]
        pub pod_ips: Vec<PodIp>,
        /// States of the containers.
        pub container_statuses: Vec<ContainerStatus>,
        /// States of the init containers.
        pub init_container_statuses: Vec<ContainerStatus>,
        /// When the kubelet took the pod, RFC 3339.
        pub start_time: Option<String>,
        /// Requests and limits that the pod as a whole has.
        pub resources: Option<ResourceRequirements>,
        /// Requests of the pod as a whole that its node has accepted.
        pub allocated_resources: ResourceList,
    }

    /// `core/v1.PodIP`
    pub struct PodIp {
        /// The address.
        pub ip: String,
    }

    /// `core/v1.ContainerStatus`
    pub struct ContainerStatus {
        /// Name of the container.
        pub name: String,
        /// How often it was started again.
        pub restart_count: i64,
        /// State now.
        pub state: ContainerState,
        /// Requests and limits that it has.
        pub resources: Option<ResourceRequirements>,
        /// Requests that its node has accepted.
        pub allocated_resources: ResourceList,
    }

    /// `core/v1.ContainerState`
    pub struct ContainerState {
        /// The container has ended.
        pub terminated: Option<Terminated>,
    }

    /// `core/v1.ContainerStateTerminated`
    pub struct Terminated {
        /// Exit status.
        pub exit_code: i64,
        /// When it ended, RFC 3339.
        pub finished_at: Option<String>,
    }
}
