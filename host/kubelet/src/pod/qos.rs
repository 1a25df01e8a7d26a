//! Quality-of-service class and resource sums of a pod, as upstream's `pkg/apis/core/v1/helper/qos`
//! and `component-helpers/resource` compute them.

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::model::{all_containers, init_containers, is_sidecar};

/// A pod's class; names the parent cgroup and the OOM score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    /// As `status.qosClass` writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Amounts of the resources the node accounts for.
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

    fn max(self, other: Self) -> Self {
        Self {
            milli_cpu: self.milli_cpu.max(other.milli_cpu),
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            ephemeral_bytes: self.ephemeral_bytes.max(other.ephemeral_bytes),
        }
    }
}

type List = BTreeMap<String, Quantity>;

/// A quantity in thousandths; 0 for what does not parse (the API has validated it).
pub(crate) fn milli(quantity: &Quantity) -> i64 {
    Amount::parse(&quantity.0).map_or(0, |amount| {
        i64::try_from(amount.milli()).unwrap_or(i64::MAX)
    })
}

/// A quantity in whole units, rounded up.
pub(crate) fn whole(quantity: &Quantity) -> i64 {
    Amount::parse(&quantity.0).map_or(0, |amount| amount.value())
}

fn amounts(list: Option<&List>) -> Amounts {
    let Some(list) = list else {
        return Amounts::default();
    };
    Amounts {
        milli_cpu: list.get("cpu").map_or(0, milli),
        memory_bytes: list.get("memory").map_or(0, whole),
        ephemeral_bytes: list.get("ephemeral-storage").map_or(0, whole),
    }
}

/// A container's limits; zero means none.
pub(crate) fn limits(container: &Container) -> Amounts {
    amounts(container.resources.as_ref().and_then(|r| r.limits.as_ref()))
}

/// A container's requests; one that is missing takes the limit, as API defaulting does.
pub(crate) fn requests(container: &Container) -> Amounts {
    let requested = amounts(
        container
            .resources
            .as_ref()
            .and_then(|r| r.requests.as_ref()),
    );
    let limited = limits(container);
    let or = |request: i64, limit: i64| if request == 0 { limit } else { request };
    Amounts {
        milli_cpu: or(requested.milli_cpu, limited.milli_cpu),
        memory_bytes: or(requested.memory_bytes, limited.memory_bytes),
        ephemeral_bytes: or(requested.ephemeral_bytes, limited.ephemeral_bytes),
    }
}

/// What the pod needs at its peak: sidecars add up, other init containers run one at a time.
fn pod_sum(spec: &PodSpec, of: impl Fn(&Container) -> Amounts) -> Amounts {
    let mut sidecars = Amounts::default();
    let mut peak = Amounts::default();
    for container in init_containers(spec) {
        if is_sidecar(container) {
            sidecars = sidecars.plus(of(container));
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars.plus(of(container)));
        }
    }
    let main = spec
        .containers
        .iter()
        .fold(sidecars, |sum, c| sum.plus(of(c)));
    peak.max(main).plus(amounts(spec.overhead.as_ref()))
}

/// The pod's requests in all.
pub(crate) fn pod_requests(pod: &Pod) -> Amounts {
    pod.spec
        .as_ref()
        .map_or_else(Amounts::default, |spec| pod_sum(spec, requests))
}

/// The pod's limits: `(cpu, memory)` only where every container has one.
pub(crate) fn pod_limits(pod: &Pod) -> (Option<i64>, Option<i64>) {
    let Some(spec) = &pod.spec else {
        return (None, None);
    };
    let sum = pod_sum(spec, limits);
    let running = || all_containers(spec).map(|(_, c)| limits(c));
    let cpu = running().all(|l| l.milli_cpu > 0).then_some(sum.milli_cpu);
    let memory = running()
        .all(|l| l.memory_bytes > 0)
        .then_some(sum.memory_bytes);
    (cpu, memory)
}

/// The pod's class.
pub(crate) fn qos_class(pod: &Pod) -> QosClass {
    let Some(spec) = &pod.spec else {
        return QosClass::BestEffort;
    };
    let mut any = false;
    let mut guaranteed = true;
    for (_, container) in all_containers(spec) {
        let (request, limit) = (requests(container), limits(container));
        any |= request.milli_cpu > 0 || request.memory_bytes > 0;
        guaranteed &= limit.milli_cpu > 0
            && limit.memory_bytes > 0
            && request.milli_cpu == limit.milli_cpu
            && request.memory_bytes == limit.memory_bytes;
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(containers: serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": {"containers": containers}}),
        )
        .unwrap()
    }

    #[test]
    fn classes_follow_requests_and_limits() {
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
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "initContainers": [
                {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
                {"name": "once", "resources": {"requests": {"cpu": "1"}}}],
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "200m"}}}]}}))
        .unwrap();
        assert_eq!(pod_requests(&pod).milli_cpu, 1100);
    }
}
