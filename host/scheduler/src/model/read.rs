//! From the typed views of pods and nodes to what the scheduler keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use k3s_client::Obj;
use k3s_meta::quantity::{Format, Quantity};
use k3s_meta::tree;
use k3s_objects::affinity::{
    PodAffinityTerm, PreferredSchedulingTerm, RequiredNodeAffinity, TopologySpreadConstraint,
    WeightedPodAffinityTerm, pod_selector,
};
use k3s_objects::pod::Volume;
use k3s_objects::resources::is_pod_level_resource;
use k3s_objects::{Condition, Node, NodeSelectorTerm, Pod, PodSpec, ResourceList, condition};
use k3s_volume::{PodClaim, ephemeral_claim_name};

use super::{
    HostPort, NodeInfo, PodInfo, PodTerm, Resources, SpreadConstraint, VolumeNeeds, Weighted,
};

/// What a container without requests counts with in scores (upstream `util.DefaultMilliCPURequest`).
const SCORED_MILLI_CPU: i64 = 100;
/// The same for memory (`util.DefaultMemoryRequest`).
const SCORED_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

/// A pod, from its object and the view of it.
pub(super) fn pod_info(object: &Obj, mut pod: Pod) -> PodInfo {
    pod.count_status_resources();
    let Pod { spec, status } = pod;
    let meta = object.meta();
    let requests = spec.requests();
    let scored = spec.requests_or(&scored_defaults(&spec, &requests));
    let host_ports = host_ports(&spec);
    let spread = spec.topology_spread_constraints.into_iter();
    let (near, far) = (spec.affinity.pod_affinity, spec.affinity.pod_anti_affinity);
    let preferred_near = weighted(near.preferred, &meta.namespace, 1);
    let preferred_far = weighted(far.preferred, &meta.namespace, -1);
    PodInfo {
        key: object.key().clone(),
        namespace: meta.namespace.clone(),
        namespace_labels: Arc::default(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        labels: meta.labels.clone(),
        node_name: spec.node_name,
        scheduler_name: spec.scheduler_name,
        priority: spec.priority,
        requests: Resources::from_list(&requests),
        scored: Resources::from_list(&scored),
        host_ports,
        required_nodes: RequiredNodeAffinity {
            node_selector: spec.node_selector,
            required: spec.affinity.node_affinity.required,
        },
        preferred_nodes: preferred_nodes(spec.affinity.node_affinity.preferred),
        affinity: pod_terms(near.required, &meta.namespace),
        anti_affinity: pod_terms(far.required, &meta.namespace),
        preferred_pods: preferred_near.chain(preferred_far).collect(),
        spread: spread
            .map(|constraint| spread_constraint(constraint, &meta.labels))
            .collect(),
        tolerations: spec.tolerations,
        gates: spec.scheduling_gates.into_iter().map(|g| g.name).collect(),
        claims: !spec.resource_claims.is_empty(),
        volume_claims: volume_claims(&meta.name, spec.volumes),
        volumes: VolumeNeeds::default(),
        finished: matches!(status.phase.as_str(), "Succeeded" | "Failed"),
        deleting: object.is_deleting(),
        waiting_message: waiting_message(&status.conditions),
    }
}

/// Why the pod has no node yet, as its status says.
fn waiting_message(conditions: &[Condition]) -> Option<String> {
    condition::find(conditions, "PodScheduled")
        .filter(|condition| condition.status == "False")
        .map(|condition| condition.message.clone())
}

/// A node without its pods.
pub(super) fn node_info(object: &Obj, node: Node) -> NodeInfo {
    NodeInfo {
        name: object.name().to_owned(),
        labels: object.meta().labels.clone(),
        taints: node.spec.taints,
        unschedulable: node.spec.unschedulable,
        allocatable: Resources::from_list(&node.status.allocatable),
        ..NodeInfo::default()
    }
}

/// What a container without requests counts with. A pod that states requests as a whole gets a
/// default only for what neither it nor any container names (`framework/types.go`,
/// `getNonMissingContainerRequests`).
fn scored_defaults(spec: &PodSpec, requests: &ResourceList) -> ResourceList {
    let pod_level = spec.resources.as_ref().is_some_and(|own| {
        let mut names = own.requests.keys();
        names.any(|name| is_pod_level_resource(name))
    });
    let defaults = [
        ("cpu", Quantity::from_milli(SCORED_MILLI_CPU)),
        (
            "memory",
            Quantity::from_value(SCORED_MEMORY_BYTES, Format::DecimalSi),
        ),
    ];
    defaults
        .into_iter()
        .filter(|(name, _)| !pod_level || !requests.contains_key(*name))
        .map(|(name, amount)| (name.to_owned(), amount))
        .collect()
}

fn pod_terms(terms: Vec<PodAffinityTerm>, namespace: &str) -> Vec<PodTerm> {
    let terms = terms.into_iter();
    terms.map(|term| pod_term(term, namespace)).collect()
}

/// A term that names no namespaces in any way means the pod's own.
fn pod_term(term: PodAffinityTerm, namespace: &str) -> PodTerm {
    let selector = term.namespace_selector.as_ref();
    let mut namespaces = term.namespaces;
    if namespaces.is_empty() && selector.is_none() {
        namespaces.push(namespace.to_owned());
    }
    PodTerm {
        selector: pod_selector(term.label_selector.as_ref()),
        namespaces,
        namespace_selector: selector.map(|selector| pod_selector(Some(selector))),
        topology_key: term.topology_key,
    }
}

fn weighted(
    terms: Vec<WeightedPodAffinityTerm>,
    namespace: &str,
    sign: i64,
) -> impl Iterator<Item = Weighted<PodTerm>> {
    terms.into_iter().map(move |term| Weighted {
        weight: sign * term.weight,
        term: pod_term(term.pod_affinity_term, namespace),
    })
}

fn preferred_nodes(terms: Vec<PreferredSchedulingTerm>) -> Vec<Weighted<NodeSelectorTerm>> {
    let weighted = terms.into_iter().map(|term| Weighted {
        weight: term.weight,
        term: term.preference,
    });
    weighted.collect()
}

/// `matchLabelKeys`: the pod's own values of these labels narrow the selector.
fn spread_constraint(
    constraint: TopologySpreadConstraint,
    labels: &BTreeMap<String, String>,
) -> SpreadConstraint {
    let mut selector = constraint.label_selector;
    for key in &constraint.match_label_keys {
        if let (Some(value), Some(selector)) = (labels.get(key), &mut selector)
            && let Some(wanted) = tree::ensure(selector, "matchLabels")
        {
            wanted.insert(key.clone(), value.as_str().into());
        }
    }
    SpreadConstraint {
        selector: pod_selector(selector.as_ref()),
        topology_key: constraint.topology_key,
        max_skew: constraint.max_skew,
        min_domains: constraint.min_domains,
        required: constraint.when_unsatisfiable == "DoNotSchedule",
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

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let or = |text: &str, default: &str| {
        let text = if text.is_empty() { default } else { text };
        text.to_owned()
    };
    let ports = spec.host_ports().map(|port| {
        let protocol = or(&port.protocol, "TCP");
        (protocol, or(&port.host_ip, "0.0.0.0"), port.host_port)
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> PodInfo {
        let value =
            json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": spec});
        PodInfo::read(&Obj::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn scores_count_containers_without_requests() {
        for (spec, milli_cpu, memory_mib) in [
            (json!({"containers": [{}, {}]}), 200, 400),
            (
                json!({"containers": [{"resources": {"requests": {"cpu": "0"}}}]}),
                0,
                200,
            ),
            (
                json!({"containers": [{}], "resources": {"requests": {"memory": "1Mi"}}}),
                100,
                1,
            ),
            (
                json!({"containers": [{}, {"resources": {"requests": {"cpu": "1"}}}],
                    "resources": {"requests": {"memory": "1Mi"}}}),
                1000,
                1,
            ),
        ] {
            let scored = pod(spec.clone()).scored;
            assert_eq!(scored.milli_cpu, milli_cpu, "{spec}");
            assert_eq!(scored.memory, memory_mib * 1024 * 1024, "{spec}");
        }
    }

    #[test]
    fn a_sidecar_takes_its_host_port() {
        let ports = json!([{"containerPort": 80, "hostPort": 8080}]);
        let spec = json!({"containers": [{}],
            "initContainers": [{"restartPolicy": "Always", "ports": ports}, {"ports": ports}]});
        let expected = ("TCP".to_owned(), "0.0.0.0".to_owned(), 8080);
        assert_eq!(pod(spec).host_ports, [expected]);
    }

    #[test]
    fn a_pod_with_nulls_is_read() {
        let spec =
            json!({"containers": [{"resources": null}], "affinity": null, "tolerations": null});
        assert_eq!(pod(spec).requests, Resources::default());
    }
}
