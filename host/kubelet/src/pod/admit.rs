//! Whether this node admits a pod (`pkg/kubelet/lifecycle/predicate.go` and the admit handlers).

use std::collections::BTreeMap;
use std::sync::Arc;

use k3s_client::Object;
use k3s_objects::ResourceList;
use k3s_objects::pod::PodSpec as SpecView;
use k3s_objects::toleration::{Taint, Toleration as TolerationView, untolerated};
use k8s_openapi::api::core::v1::{Pod, Toleration};

use crate::container::security::{Features, unsupported};
use crate::labels;
use crate::model::{Rejection, all_containers, is_critical};
use crate::node::pressure::NodePressure;
use crate::qos::{self, Amounts, QosClass};

const MEMORY_PRESSURE_TAINT: &str = "node.kubernetes.io/memory-pressure";

/// What the decision is made from.
pub(crate) struct Node<'a> {
    pub(crate) name: &'a str,
    /// What the API says of the node.
    pub(crate) stated: &'a Stated,
    pub(crate) allocatable: Amounts,
    pub(crate) max_pods: usize,
    pub(crate) features: Features,
    pub(crate) pressure: NodePressure,
    /// Pods that were admitted and have not finished, without the one in question.
    pub(crate) others: &'a [Arc<Pod>],
}

/// What others write to the Node, and decide on when they place pods: labels, taints, extended resources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stated {
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    allocatable: ResourceList,
}

impl Stated {
    /// Reads the Node.
    ///
    /// # Errors
    /// When the object is not a node that decodes.
    pub(crate) fn read(node: &Object) -> Result<Self, k3s_client::Error> {
        let view: k3s_objects::Node = node.decode()?;
        Ok(Self {
            labels: node.meta().labels.clone(),
            taints: view.spec.taints,
            allocatable: view.status.allocatable,
        })
    }
}

fn reject(reason: &str, message: impl Into<String>) -> Option<Rejection> {
    Some(Rejection {
        reason: reason.to_owned(),
        message: message.into(),
    })
}

/// Why the node refuses the pod; `None` when it admits it.
pub(crate) fn admit(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    unsupported(pod, node.features)
        .or_else(|| pressure(pod, node))
        .or_else(|| refused_by_node(pod, node))
        .or_else(|| host_ports(pod, node))
        .or_else(|| fits(pod, node))
        .or_else(|| fits_extended(pod, node))
}

/// Whether a refusal hangs on what the API says of the node, so that a newer Node may end it.
pub(crate) fn hangs_on_node(pod: &Pod, node: &Node<'_>) -> bool {
    refused_by_node(pod, node)
        .or_else(|| fits_extended(pod, node))
        .is_some()
}

fn refused_by_node(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    selector(pod, node).or_else(|| taints(pod, node))
}

fn pressure(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    let NodePressure { memory, disk, pid } = node.pressure;
    let names = [
        (memory, "MemoryPressure"),
        (disk, "DiskPressure"),
        (pid, "PIDPressure"),
    ];
    let names: Vec<&str> = names
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name)
        .collect();
    if names.is_empty() || is_critical(pod) {
        return None;
    }
    // A pod that requests memory is within what the node has promised.
    if names == ["MemoryPressure"]
        && (qos::qos_class(pod) != QosClass::BestEffort || tolerates_memory_pressure(pod))
    {
        return None;
    }
    reject(
        "Evicted",
        format!("The node had condition: [{}]. ", names.join(" ")),
    )
}

fn tolerates_memory_pressure(pod: &Pod) -> bool {
    let taint = Taint {
        key: MEMORY_PRESSURE_TAINT.to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    let tolerations = pod.spec.iter().flat_map(|s| s.tolerations.iter().flatten());
    tolerations
        .into_iter()
        .any(|toleration| toleration_view(toleration).tolerates(&taint))
}

fn toleration_view(toleration: &Toleration) -> TolerationView {
    TolerationView {
        key: toleration.key.clone().unwrap_or_default(),
        operator: toleration.operator.clone().unwrap_or_default(),
        value: toleration.value.clone().unwrap_or_default(),
        effect: toleration.effect.clone().unwrap_or_default(),
        toleration_seconds: toleration.toleration_seconds,
    }
}

/// `nodeSelector` and required node affinity hold also for pods that no scheduler has placed.
fn selector(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    if placement(pod).matches_node(node.name, &node.stated.labels) {
        return None;
    }
    reject(
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    )
}

/// Taints that would make the pod leave at once keep it out, but for a static pod.
fn taints(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    let annotations = pod.metadata.annotations.as_ref();
    let source = annotations.and_then(|a| a.get(labels::CONFIG_SOURCE));
    let is_static = source.is_some_and(|source| source != "api");
    let tolerations = pod.spec.iter().flat_map(|s| s.tolerations.iter().flatten());
    let tolerations: Vec<TolerationView> = tolerations.map(toleration_view).collect();
    let refusing = untolerated(&node.stated.taints, &tolerations, &["NoExecute"]).next();
    if is_static || refusing.is_none() {
        return None;
    }
    reject(
        "TaintToleration",
        "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
    )
}

/// What of the spec says where the pod may run.
fn placement(pod: &Pod) -> SpecView {
    let spec = pod.spec.as_ref();
    let affinity = spec.and_then(|s| s.affinity.as_ref());
    let affinity = affinity.and_then(|affinity| serde_json::to_value(affinity).ok());
    // The API has validated it: what cannot be read is not there.
    let affinity = affinity.and_then(|value| serde_json::from_value(value).ok());
    SpecView {
        node_selector: spec
            .and_then(|s| s.node_selector.clone())
            .unwrap_or_default(),
        affinity: affinity.unwrap_or_default(),
        ..SpecView::default()
    }
}

type HostPort = (i32, String, String);

fn ports(pod: &Pod) -> Vec<HostPort> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    all_containers(spec)
        .flat_map(|(_, c)| c.ports.iter().flatten())
        .filter_map(|p| {
            let port = p.host_port.filter(|port| *port > 0)?;
            let ip = p
                .host_ip
                .clone()
                .filter(|ip| !ip.is_empty())
                .unwrap_or_else(|| "0.0.0.0".to_owned());
            Some((
                port,
                p.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                ip,
            ))
        })
        .collect()
}

fn host_ports(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    let taken = node.others.iter().flat_map(|other| ports(other));
    let taken: Vec<HostPort> = taken.collect();
    let is_taken = |port: &HostPort| {
        let mut taken = taken.iter();
        taken.any(|other| clash(port, other))
    };
    if !ports(pod).iter().any(is_taken) {
        return None;
    }
    reject(
        "NodePorts",
        "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    )
}

/// The same number and protocol on the same address; `0.0.0.0` is every address.
fn clash(a: &HostPort, b: &HostPort) -> bool {
    let same_port = a.0 == b.0 && a.1 == b.1;
    let any_address = a.2 == "0.0.0.0" || b.2 == "0.0.0.0";
    same_port && (any_address || a.2 == b.2)
}

/// Whether there is room for one more pod and for what it requests.
fn fits(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    let count = node.others.len();
    if count >= node.max_pods {
        let capacity = node.max_pods;
        let message = format!(
            "Node didn't have enough resource: pods, requested: 1, used: {count}, capacity: {capacity}"
        );
        return reject("OutOfpods", message);
    }
    let requests = node.others.iter().map(|other| qos::counted_requests(other));
    let used = requests.fold(Amounts::default(), Amounts::plus);
    let wanted = qos::pod_requests(pod);
    let capacity = &node.allocatable;
    let row = |name, of: fn(&Amounts) -> i64| {
        let wanted = of(&wanted);
        let used = of(&used);
        (name, wanted, used, of(capacity))
    };
    let rows = [
        row("cpu", |amounts| amounts.milli_cpu),
        row("memory", |amounts| amounts.memory_bytes),
        row("ephemeral-storage", |amounts| amounts.ephemeral_bytes),
    ];
    for (name, wanted, used, capacity) in rows {
        let is_short = wanted > 0 && wanted + used > capacity;
        if is_short {
            let reason = format!("OutOf{name}");
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
            );
            return reject(&reason, message);
        }
    }
    None
}

/// Whether there is room for the extended resources that the node knows. Those it does not know are of
/// the cluster as a whole and not the node's to refuse (`removeMissingExtendedResources`).
fn fits_extended(pod: &Pod, node: &Node<'_>) -> Option<Rejection> {
    let mut used = ResourceList::default();
    for other in node.others {
        used.add(&qos::extended_requests(other));
    }
    for (name, wanted) in qos::extended_requests(pod) {
        let Some(capacity) = node.stated.allocatable.get(&name) else {
            continue;
        };
        let used = used.amount(&name);
        if !wanted.is_zero() && wanted + used > *capacity {
            let reason = format!("OutOf{name}");
            let message = format!(
                "Node didn't have enough resource: {name}, requested: {}, used: {}, capacity: {}",
                wanted.value(),
                used.value(),
                capacity.value()
            );
            return reject(&reason, message);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(others: &[Arc<Pod>]) -> Node<'_> {
        static NOTHING: std::sync::LazyLock<Stated> = std::sync::LazyLock::new(Stated::default);
        Node {
            name: "n",
            stated: &NOTHING,
            allocatable: Amounts {
                milli_cpu: 2000,
                memory_bytes: 1 << 30,
                ephemeral_bytes: 1 << 30,
            },
            max_pods: 2,
            features: Features::default(),
            pressure: NodePressure::default(),
            others,
        }
    }

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn a_node_under_pressure_takes_only_what_it_must() {
        let reason = |spec: serde_json::Value, memory, disk| {
            let node = Node {
                pressure: NodePressure {
                    memory,
                    disk,
                    pid: false,
                },
                ..node(&[])
            };
            admit(&pod(spec), &node).map(|r| r.message)
        };
        let best_effort = json!({"containers": [{"name": "c"}]});
        let burstable =
            json!({"containers": [{"name": "c", "resources": {"requests": {"memory": "1Mi"}}}]});
        let critical = json!({"priority": 2_000_001_000, "containers": [{"name": "c"}]});
        let tolerant = json!({"containers": [{"name": "c"}], "tolerations": [{"key": MEMORY_PRESSURE_TAINT, "operator": "Exists"}]});
        assert_eq!(
            reason(best_effort, true, false).as_deref(),
            Some("The node had condition: [MemoryPressure]. ")
        );
        assert_eq!(reason(burstable.clone(), true, false), None);
        assert_eq!(reason(tolerant, true, false), None);
        assert_eq!(
            reason(burstable, true, true).as_deref(),
            Some("The node had condition: [MemoryPressure DiskPressure]. ")
        );
        assert_eq!(reason(critical, true, true), None);
    }

    #[test]
    fn reasons_are_upstreams() {
        let web = json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}],
            "resources": {"requests": {"cpu": "1500m"}}}]});
        let others = [Arc::new(pod(web.clone()))];
        let reason = |spec, others| admit(&pod(spec), &node(others)).map(|r| r.reason);
        assert_eq!(reason(web.clone(), &[]), None);
        assert_eq!(reason(web, &others).as_deref(), Some("NodePorts"));
        let cpu = json!({"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]});
        assert_eq!(reason(cpu, &others).as_deref(), Some("OutOfcpu"));
        assert_eq!(
            reason(json!({"nodeSelector": {"a": "b"}, "containers": []}), &[]).as_deref(),
            Some("NodeAffinity")
        );
        let required = |name: &str| {
            json!({"containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}})
        };
        assert_eq!(reason(required("n"), &[]), None);
        assert_eq!(
            reason(required("other"), &[]).as_deref(),
            Some("NodeAffinity")
        );
    }

    #[test]
    fn what_the_api_says_of_the_node_decides_about_labels_taints_and_extended_resources() {
        let object = json!({"metadata": {"name": "n", "labels": {"disk": "ssd"}},
            "spec": {"taints": [{"key": "k", "effect": "NoExecute"}, {"key": "l", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"example.com/dongle": "2"}}});
        let stated = Stated::read(&k3s_client::Obj::from_value(object).unwrap()).unwrap();
        let asks = |spec: &serde_json::Value| {
            let mut whole = json!({"containers": [{"name": "c"}]});
            k3s_meta::patch::merge_patch(&mut whole, spec).unwrap();
            Arc::new(pod(whole))
        };
        let dongles = |count: &str| {
            json!({"tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "c", "resources": {"requests": {"example.com/dongle": count, "example.com/unknown": "9"}}}]})
        };
        let others = [asks(&dongles("1"))];
        let node = Node {
            stated: &stated,
            ..node(&others)
        };
        let tolerant = json!({"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "k", "operator": "Exists"}]});
        for (spec, reason) in [
            (tolerant, None),
            (json!({}), Some("TaintToleration")),
            (
                json!({"nodeSelector": {"disk": "hdd"}}),
                Some("NodeAffinity"),
            ),
            (dongles("1"), None),
            (dongles("0"), None),
            (dongles("2"), Some("OutOfexample.com/dongle")),
        ] {
            let pod = asks(&spec);
            let got = admit(&pod, &node).map(|rejection| rejection.reason);
            assert_eq!(got.as_deref(), reason, "{spec}");
            assert_eq!(hangs_on_node(&pod, &node), reason.is_some(), "{spec}");
        }
        let mut fixed = Pod::clone(&asks(&json!({})));
        let source = [(labels::CONFIG_SOURCE.to_owned(), "file".to_owned())];
        fixed.metadata.annotations = Some(source.into());
        assert!(admit(&fixed, &node).is_none());
    }
}
