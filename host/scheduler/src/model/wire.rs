//! The few fields of a pod and a node that scheduling reads, and how requests add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use k3s_meta::selector::LabelSelector;
use k3s_volume::{PodClaim, ephemeral_claim_name};
use serde::Deserialize;
use serde_json::Value;

use super::{
    NodeInfo, NodeSelectorTerm, NodeTerms, PodInfo, PodTerm, Resources, SpreadConstraint, Taint,
    Toleration, VolumeNeeds, Weighted,
};

/// What a container without requests counts as in scores (upstream `DefaultMilliCPURequest`,
/// `DefaultMemoryRequest`).
const SCORED_MILLI_CPU: i64 = 100;
const SCORED_MEMORY: i64 = 200 * 1024 * 1024;

type Map = BTreeMap<String, String>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    labels: Map,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct WirePod {
    metadata: Meta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
    scheduler_name: String,
    priority: i64,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: Map,
    resources: ResourceLists,
    node_selector: Map,
    affinity: Affinity,
    tolerations: Vec<Toleration>,
    topology_spread_constraints: Vec<Spread>,
    scheduling_gates: Vec<Named>,
    resource_claims: Vec<Value>,
    volumes: Vec<Volume>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    name: String,
    persistent_volume_claim: Option<ClaimSource>,
    ephemeral: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimSource {
    claim_name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    phase: String,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    resources: ResourceLists,
    ports: Vec<Port>,
    restart_policy: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResourceLists {
    requests: Map,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    host_port: u16,
    #[serde(rename = "hostIP")]
    host_ip: String,
    protocol: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: NodeAffinity,
    pod_affinity: PodAffinity,
    pod_anti_affinity: PodAffinity,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<NodeSelector>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    preferred: Vec<PreferredNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeSelector {
    node_selector_terms: Vec<NodeSelectorTerm>,
}

#[derive(Deserialize)]
struct PreferredNode {
    weight: i64,
    preference: NodeSelectorTerm,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Vec<AffinityTerm>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    preferred: Vec<PreferredPod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PreferredPod {
    weight: i64,
    pod_affinity_term: AffinityTerm,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AffinityTerm {
    label_selector: Option<Value>,
    #[serde(default)]
    namespaces: Vec<String>,
    namespace_selector: Option<Value>,
    topology_key: String,
}

impl AffinityTerm {
    /// A namespace selector that selects all namespaces is honoured; one that picks some would need
    /// the namespaces' labels and is taken to match all, which keeps pods apart rather than
    /// together too eagerly.
    fn into_term(self, namespace: &str) -> PodTerm {
        let namespaces = match (self.namespace_selector, self.namespaces.is_empty()) {
            (Some(_), _) => None,
            (None, true) => Some(vec![namespace.to_owned()]),
            (None, false) => Some(self.namespaces),
        };
        PodTerm {
            selector: selector(self.label_selector.as_ref()),
            namespaces,
            topology_key: self.topology_key,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spread {
    max_skew: i64,
    topology_key: String,
    when_unsatisfiable: String,
    label_selector: Option<Value>,
    min_domains: Option<i64>,
    #[serde(default)]
    match_label_keys: Vec<String>,
}

/// An absent selector selects nothing.
fn selector(value: Option<&Value>) -> LabelSelector {
    value.map_or_else(LabelSelector::nothing, |v| {
        LabelSelector::from_value(v).unwrap_or_else(|_| LabelSelector::nothing())
    })
}

impl WirePod {
    pub(crate) fn into_info(self, key: Arc<str>) -> PodInfo {
        let (requests, scored) = requests(&self.spec);
        let spec = self.spec;
        let (namespace, name) = (self.metadata.namespace, self.metadata.name);
        let terms = |all: Vec<AffinityTerm>| {
            all.into_iter()
                .map(|t| t.into_term(&namespace))
                .collect::<Vec<_>>()
        };
        let preferred = |all: Vec<PreferredPod>, sign: i64| {
            let one = |p: PreferredPod| Weighted {
                weight: sign * p.weight,
                term: p.pod_affinity_term.into_term(&namespace),
            };
            all.into_iter().map(one).collect::<Vec<_>>()
        };
        let mut preferred_pods = preferred(spec.affinity.pod_affinity.preferred, 1);
        preferred_pods.extend(preferred(spec.affinity.pod_anti_affinity.preferred, -1));
        let waiting = self
            .status
            .conditions
            .into_iter()
            .find(|c| c.kind == "PodScheduled" && c.status == "False");
        PodInfo {
            key,
            volume_claims: volume_claims(&name, spec.volumes),
            host_ports: host_ports(&spec.containers),
            spread: spec
                .topology_spread_constraints
                .into_iter()
                .map(|s| spread(s, &self.metadata.labels))
                .collect(),
            affinity: terms(spec.affinity.pod_affinity.required),
            anti_affinity: terms(spec.affinity.pod_anti_affinity.required),
            preferred_pods,
            node_terms: NodeTerms {
                labels: spec.node_selector,
                any_of: spec
                    .affinity
                    .node_affinity
                    .required
                    .map(|r| r.node_selector_terms),
            },
            preferred_nodes: spec
                .affinity
                .node_affinity
                .preferred
                .into_iter()
                .map(|p| Weighted {
                    weight: p.weight,
                    term: p.preference,
                })
                .collect(),
            name,
            uid: self.metadata.uid,
            labels: self.metadata.labels,
            node_name: spec.node_name,
            scheduler_name: spec.scheduler_name,
            priority: spec.priority,
            requests,
            scored,
            tolerations: spec.tolerations,
            gates: spec.scheduling_gates.into_iter().map(|g| g.name).collect(),
            claims: !spec.resource_claims.is_empty(),
            volumes: VolumeNeeds::default(),
            finished: matches!(self.status.phase.as_str(), "Succeeded" | "Failed"),
            deleting: self.metadata.deletion_timestamp.is_some(),
            waiting_message: waiting.map(|c| c.message),
            namespace,
        }
    }
}

/// The claims behind a pod's volumes, as [`k3s_volume::claims_of_pod`] finds them.
fn volume_claims(pod: &str, volumes: Vec<Volume>) -> Vec<PodClaim> {
    let claim = |volume: Volume| match (volume.persistent_volume_claim, volume.ephemeral) {
        (Some(source), _) => Some(PodClaim {
            name: source.claim_name,
            ephemeral: false,
        }),
        (None, Some(_)) => Some(PodClaim {
            name: ephemeral_claim_name(pod, &volume.name),
            ephemeral: true,
        }),
        (None, None) => None,
    };
    volumes.into_iter().filter_map(claim).collect()
}

fn spread(wire: Spread, labels: &Map) -> SpreadConstraint {
    let mut own = wire.label_selector.unwrap_or(Value::Null);
    // `matchLabelKeys`: the pod's own values of these labels narrow the selector.
    for key in &wire.match_label_keys {
        if let (Some(value), Some(map)) = (labels.get(key), own.as_object_mut()) {
            let set = map
                .entry("matchLabels")
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(set) = set.as_object_mut() {
                set.insert(key.clone(), value.as_str().into());
            }
        }
    }
    SpreadConstraint {
        selector: if own.is_null() {
            LabelSelector::nothing()
        } else {
            selector(Some(&own))
        },
        topology_key: wire.topology_key,
        max_skew: wire.max_skew,
        min_domains: wire.min_domains,
        required: wire.when_unsatisfiable == "DoNotSchedule",
    }
}

fn host_ports(containers: &[Container]) -> Vec<(String, String, u16)> {
    let taken = |p: &&Port| p.host_port != 0;
    let one = |p: &Port| {
        let protocol = if p.protocol.is_empty() {
            "TCP"
        } else {
            &p.protocol
        };
        let address = if p.host_ip.is_empty() {
            "0.0.0.0"
        } else {
            &p.host_ip
        };
        (protocol.to_owned(), address.to_owned(), p.host_port)
    };
    containers
        .iter()
        .flat_map(|c| c.ports.iter())
        .filter(taken)
        .map(one)
        .collect()
}

/// What a pod asks for (upstream `component-helpers/resource`): containers and sidecars together,
/// or the greatest init container while earlier sidecars run, whichever is more; plus overhead. A
/// pod-level request replaces the sum for the resources it names.
fn requests(spec: &PodSpec) -> (Resources, Resources) {
    let asked = |c: &Container| Resources::read(&c.resources.requests);
    let scored = |c: &Container| {
        let mut all = asked(c);
        if !c.resources.requests.contains_key("cpu") {
            all.milli_cpu = SCORED_MILLI_CPU
        }
        if !c.resources.requests.contains_key("memory") {
            all.memory = SCORED_MEMORY
        }
        all
    };
    (total(spec, &asked), total(spec, &scored))
}

fn total(spec: &PodSpec, of: &dyn Fn(&Container) -> Resources) -> Resources {
    let mut running = Resources::default();
    spec.containers.iter().for_each(|c| running.add(&of(c)));
    let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
    for container in &spec.init_containers {
        let mut now = of(container);
        if container.restart_policy == "Always" {
            running.add(&now);
            sidecars.add(&now);
            now = sidecars.clone();
        } else {
            now.add(&sidecars);
        }
        starting.maximum(&now);
    }
    running.maximum(&starting);
    let pod = Resources::read(&spec.resources.requests);
    for name in spec.resources.requests.keys() {
        match name.as_str() {
            "cpu" => running.milli_cpu = pod.milli_cpu,
            "memory" => running.memory = pod.memory,
            other => {
                running.others.insert(
                    other.to_owned(),
                    pod.others.get(other).copied().unwrap_or_default(),
                );
            }
        }
    }
    running.add(&Resources::read(&spec.overhead));
    running
}

#[derive(Deserialize)]
pub(crate) struct WireNode {
    metadata: Meta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeSpec {
    taints: Vec<Taint>,
    unschedulable: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeStatus {
    allocatable: Map,
}

impl WireNode {
    pub(crate) fn into_info(self) -> NodeInfo {
        NodeInfo {
            name: self.metadata.name,
            labels: self.metadata.labels,
            taints: self.spec.taints,
            unschedulable: self.spec.unschedulable,
            allocatable: Resources::read(&self.status.allocatable),
            ..NodeInfo::default()
        }
    }
}
