//! A pod's class and amounts, as `k3s-objects` computes them for every component. Here the node's
//! pods become that crate's views, and its amounts the units that the node accounts in.

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity as Amount;
use k3s_objects::ResourceList;
use k3s_objects::pod as view;
use k3s_objects::resources::ResourceRequirements as RequirementsView;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodSpec, PodStatus, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

pub(crate) use k3s_objects::QosClass;

use crate::model::init_containers;

/// How the names of huge pages begin.
pub(crate) const HUGE_PAGES: &str = "hugepages-";

/// Whether a resource belongs to whoever advertises it alone (`IsExtendedResourceName` of
/// `pkg/apis/core/v1/helper/helpers.go`).
pub(crate) fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Amounts of the resources the node accounts for; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) milli_cpu: i64,
    pub(crate) memory_bytes: i64,
    pub(crate) ephemeral_bytes: i64,
}

impl Amounts {
    /// Sum.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            milli_cpu: self.milli_cpu.saturating_add(other.milli_cpu),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            ephemeral_bytes: self.ephemeral_bytes.saturating_add(other.ephemeral_bytes),
        }
    }

    fn of(list: &ResourceList) -> Self {
        Self {
            milli_cpu: whole_milli(list.amount("cpu")),
            memory_bytes: list.amount("memory").value(),
            ephemeral_bytes: list.amount("ephemeral-storage").value(),
        }
    }
}

fn whole_milli(amount: Amount) -> i64 {
    i64::try_from(amount.milli()).unwrap_or(i64::MAX)
}

/// A quantity in thousandths; 0 for what does not parse (the API has validated it).
pub(crate) fn milli(quantity: &Quantity) -> i64 {
    Amount::parse(&quantity.0).map_or(0, whole_milli)
}

/// A quantity in whole units, rounded up.
pub(crate) fn whole(quantity: &Quantity) -> i64 {
    Amount::parse(&quantity.0).map_or(0, Amount::value)
}

/// A container's limits; zero means none.
pub(crate) fn limits(container: &Container) -> Amounts {
    Amounts::of(&container_requirements(container).limits)
}

/// A container's requests; one that is missing takes the limit.
pub(crate) fn requests(container: &Container) -> Amounts {
    Amounts::of(&container_requirements(container).requests)
}

/// The pod's requests in all.
pub(crate) fn pod_requests(pod: &Pod) -> Amounts {
    Amounts::of(&spec_view(pod).requests())
}

/// What the pod takes of its node: its requests, or more while a resize takes something from it.
pub(crate) fn counted_requests(pod: &Pod) -> Amounts {
    let mut view = view::Pod {
        spec: spec_view(pod),
        status: pod.status.as_ref().map(status_view).unwrap_or_default(),
    };
    view.count_status_resources();
    Amounts::of(&view.spec.requests())
}

/// What of the status says how a resize stands.
fn status_view(status: &PodStatus) -> view::PodStatus {
    let statuses = |list: &Option<Vec<ContainerStatus>>| {
        let statuses = list.iter().flatten();
        statuses.map(container_status_view).collect()
    };
    view::PodStatus {
        container_statuses: statuses(&status.container_statuses),
        init_container_statuses: statuses(&status.init_container_statuses),
        resources: status.resources.as_ref().map(requirements),
        allocated_resources: status
            .allocated_resources
            .as_ref()
            .map(list)
            .unwrap_or_default(),
        ..view::PodStatus::default()
    }
}

fn container_status_view(status: &ContainerStatus) -> view::ContainerStatus {
    let allocated = status.allocated_resources.as_ref();
    view::ContainerStatus {
        name: status.name.clone(),
        resources: status.resources.as_ref().map(requirements),
        allocated_resources: allocated.map(list).unwrap_or_default(),
        ..view::ContainerStatus::default()
    }
}

/// What the pod's runtime class costs besides the containers, if it costs anything.
pub(crate) fn pod_overhead(pod: &Pod) -> Option<Amounts> {
    let own = pod.spec.as_ref()?.overhead.as_ref()?;
    Some(Amounts::of(&list(own)))
}

/// Of the pod's requests, the extended resources.
pub(crate) fn extended_requests(pod: &Pod) -> ResourceList {
    let requests = spec_view(pod).requests();
    let extended = requests.into_iter().filter(|(name, _)| is_extended(name));
    extended.collect()
}

/// The pod's limits: `(cpu, memory)`, each only where it bounds the pod as a whole.
pub(crate) fn pod_limits(pod: &Pod) -> (Option<i64>, Option<i64>) {
    let spec = spec_view(pod);
    let sum = Amounts::of(&spec.limits());
    (
        spec.is_limited("cpu").then_some(sum.milli_cpu),
        spec.is_limited("memory").then_some(sum.memory_bytes),
    )
}

/// The pod's class: the one its status records, or else what follows from its resources.
pub(crate) fn qos_class(pod: &Pod) -> QosClass {
    let recorded = pod.status.as_ref().and_then(|s| s.qos_class.clone());
    let status = view::PodStatus {
        qos_class: recorded.unwrap_or_default(),
        ..view::PodStatus::default()
    };
    view::Pod {
        spec: spec_view(pod),
        status,
    }
    .qos_class()
}

/// Each container's share of the memory that the pod requests as a whole beyond what its containers
/// do (`remainingPodMemReqPerContainer` of `pkg/kubelet/qos/policy.go`).
pub(crate) fn pod_level_memory_per_container(pod: &Pod) -> i64 {
    let spec = spec_view(pod);
    let own = spec
        .resources
        .as_ref()
        .map(|own| own.requests.amount("memory"));
    let Some(own) = own.filter(|own| !own.is_zero()) else {
        return 0;
    };
    let of_containers = spec.container_requests().amount("memory");
    let remaining = own.value().saturating_sub(of_containers.value());
    let count = spec.containers.len() + spec.init_containers.len();
    remaining.max(0) / i64::try_from(count.max(1)).unwrap_or(1)
}

/// What of the spec decides about class and sums.
fn spec_view(pod: &Pod) -> view::PodSpec {
    let Some(spec) = &pod.spec else {
        return view::PodSpec::default();
    };
    view::PodSpec {
        containers: spec.containers.iter().map(container_view).collect(),
        init_containers: init_containers(spec).iter().map(container_view).collect(),
        overhead: overhead(spec),
        resources: spec.resources.as_ref().map(requirements),
        ..view::PodSpec::default()
    }
}

fn overhead(spec: &PodSpec) -> ResourceList {
    spec.overhead.as_ref().map(list).unwrap_or_default()
}

fn container_view(container: &Container) -> view::Container {
    view::Container {
        name: container.name.clone(),
        resources: container_requirements(container),
        restart_policy: container.restart_policy.clone().unwrap_or_default(),
        ..view::Container::default()
    }
}

/// Static pods do not pass the API's defaulting, so a missing request becomes the limit here.
fn container_requirements(container: &Container) -> RequirementsView {
    let own = container.resources.as_ref();
    let mut view = own.map(requirements).unwrap_or_default();
    let RequirementsView { requests, limits } = &mut view;
    for (name, limit) in limits.iter() {
        requests.entry(name.clone()).or_insert(*limit);
    }
    view
}

fn requirements(own: &ResourceRequirements) -> RequirementsView {
    RequirementsView {
        requests: own.requests.as_ref().map(list).unwrap_or_default(),
        limits: own.limits.as_ref().map(list).unwrap_or_default(),
    }
}

fn list(entries: &BTreeMap<String, Quantity>) -> ResourceList {
    let amounts = entries.iter().filter_map(|(name, quantity)| {
        let amount = Amount::parse(&quantity.0).ok()?;
        Some((name.clone(), amount))
    });
    amounts.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn classes_follow_requests_and_limits() {
        let pod = |containers: Value| pod(&json!({ "containers": containers }));
        let none = pod(json!([{"name": "a"}]));
        let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let full = pod(json!([{"name": "a", "resources": limits}]));
        let mixed = pod(json!([{"name": "a", "resources": limits}, {"name": "b"}]));
        assert_eq!(qos_class(&none), QosClass::BestEffort);
        assert_eq!(qos_class(&full), QosClass::Guaranteed);
        assert_eq!(qos_class(&mixed), QosClass::Burstable);
        assert_eq!(pod_limits(&mixed), (None, None));
        assert_eq!(pod_requests(&full).milli_cpu, 1000);
    }

    #[test]
    fn init_containers_count_at_their_peak_and_sidecars_add_up() {
        let pod = pod(&json!({
            "initContainers": [
                {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "once", "resources": {"requests": {"cpu": "1"}}}],
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "200m"}}}]}));
        assert_eq!(pod_requests(&pod).milli_cpu, 1100);
    }

    /// The API server reads the stored object, the kubelet its own types: both must come to the
    /// same class, also for resources of the pod as a whole.
    #[test]
    fn the_class_is_the_api_servers() {
        let both = |cpu: &str| json!({"cpu": cpu, "memory": "1Gi"});
        let guaranteed = json!({"requests": both("1"), "limits": both("1")});
        for spec in [
            json!({"containers": [{"name": "a"}], "resources": guaranteed}),
            json!({"containers": [{"name": "a"}], "resources": {"requests": {"memory": "1Gi"}}}),
            json!({"containers": [{"name": "a"}], "resources": {"requests": both("1"), "limits": both("2")}}),
            json!({"containers": [{"name": "a", "resources": guaranteed}], "resources": {"requests": {"cpu": "1"}}}),
            json!({"containers": [{"name": "a", "resources": guaranteed}]}),
            json!({"containers": [{"name": "a"}]}),
        ] {
            let stored: view::Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
            assert_eq!(qos_class(&pod(&spec)), stored.qos_class(), "{spec}");
        }
    }

    #[test]
    fn resources_of_the_pod_bound_it_and_are_shared_by_its_containers() {
        let pod = pod(
            &json!({"resources": {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "containers": [{"name": "a", "resources": {"requests": {"memory": "512Mi"}}}, {"name": "b"}]}),
        );
        assert_eq!(qos_class(&pod), QosClass::Burstable);
        assert_eq!(pod_requests(&pod).milli_cpu, 2000);
        assert_eq!(pod_requests(&pod).memory_bytes, 1 << 30);
        assert_eq!(pod_limits(&pod).1, Some(2 << 30));
        assert_eq!(pod_level_memory_per_container(&pod), 256 << 20);
    }

    #[test]
    fn a_pod_takes_what_its_containers_still_have() {
        let resources = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let mut pod = pod(&json!({"containers": [{"name": "a", "resources": resources("1")}]}));
        assert_eq!(counted_requests(&pod).milli_cpu, 1000);
        let status = json!({"containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "resources": resources("2"), "allocatedResources": {"cpu": "1"}}]});
        pod.status = serde_json::from_value(status).unwrap();
        assert_eq!(counted_requests(&pod).milli_cpu, 2000);
        assert_eq!(pod_requests(&pod).milli_cpu, 1000);
    }

    /// Only a request that is missing takes the limit's amount (`calculateLinuxResources`).
    #[test]
    fn an_explicit_request_of_zero_stays_zero() {
        let limits = json!({"cpu": "1", "memory": "1Gi"});
        for (requests, milli_cpu) in [(json!({"cpu": "0"}), 0), (json!({}), 1000)] {
            let resources = json!({"requests": requests, "limits": limits});
            let pod = pod(&json!({"containers": [{"name": "a", "resources": resources}]}));
            let container = &pod.spec.as_ref().unwrap().containers[0];
            let expected = Amounts {
                milli_cpu,
                memory_bytes: 1 << 30,
                ephemeral_bytes: 0,
            };
            assert_eq!(super::requests(container), expected);
            assert_eq!(pod_requests(&pod), expected);
        }
    }
}
