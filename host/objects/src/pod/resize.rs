//! Requests and limits while a pod is resized (KEP-1287): what a pod asks for, what its node has allocated, and
//! what its containers have differ then, and the most of them counts (`PodRequests` and `PodLimits` of
//! `component-helpers/resource/helpers.go`, with `UseStatusResources`).

use k3s_meta::tree;
use serde_json::Value;

use super::model::{ContainerStatus, Pod, PodSpec, PodStatus};
use super::sums::{list, requirements};
use crate::condition::Condition;
use crate::resources::{ResourceList, ResourceRequirements};

/// The condition of a pod whose node has not accepted what it asks for.
const PENDING: &str = "PodResizePending";
/// Its reason when the node never will.
const INFEASIBLE: &str = "Infeasible";

impl Pod {
    /// Replaces the requests and limits of the spec by those that count. A resize that the node can never make
    /// does not count.
    pub fn count_status_resources(&mut self) {
        let pending = self.condition(PENDING);
        let is_infeasible = pending.is_some_and(|pending| pending.reason == INFEASIBLE);
        let Self { spec, status } = self;
        let sidecars = spec.init_containers.iter_mut().filter(|c| c.is_sidecar());
        let of_sidecars = sidecars.map(|container| (container, &status.init_container_statuses));
        let containers = spec.containers.iter_mut();
        let of_containers = containers.map(|container| (container, &status.container_statuses));
        for (container, statuses) in of_containers.chain(of_sidecars) {
            let mut statuses = statuses.iter();
            if let Some(status) = statuses.find(|status| status.name == container.name)
                && let Some(actual) = &status.resources
            {
                let allocated = &status.allocated_resources;
                count(&mut container.resources, actual, allocated, is_infeasible);
            }
        }
        if let (Some(own), Some(actual)) = (&mut spec.resources, &status.resources) {
            count(own, actual, &status.allocated_resources, is_infeasible);
        }
    }
}

fn count(
    wanted: &mut ResourceRequirements,
    actual: &ResourceRequirements,
    allocated: &ResourceList,
    is_infeasible: bool,
) {
    if is_infeasible {
        *wanted = ResourceRequirements::default();
    }
    wanted.requests.raise_to(&actual.requests);
    wanted.requests.raise_to(allocated);
    wanted.limits.raise_to(&actual.limits);
}

impl PodSpec {
    /// As [`Self::resources_from_value`], from the whole pod, with the amounts that count while it is resized.
    #[must_use]
    pub fn counted_from_value(pod: &Value) -> Self {
        let spec = tree::get(pod, "spec").unwrap_or(&Value::Null);
        let mut counted = Pod {
            spec: Self::resources_from_value(spec),
            status: tree::get(pod, "status").map(status).unwrap_or_default(),
        };
        counted.count_status_resources();
        counted.spec
    }
}

/// What of a status says how a resize stands.
fn status(value: &Value) -> PodStatus {
    let statuses = |path| tree::list(value, path).iter().map(container).collect();
    PodStatus {
        conditions: tree::list(value, "conditions")
            .iter()
            .map(condition)
            .collect(),
        container_statuses: statuses("containerStatuses"),
        init_container_statuses: statuses("initContainerStatuses"),
        resources: tree::get(value, "resources").map(requirements),
        allocated_resources: list(value, "allocatedResources"),
        ..PodStatus::default()
    }
}

fn container(value: &Value) -> ContainerStatus {
    ContainerStatus {
        name: tree::text(value, "name").to_owned(),
        resources: tree::get(value, "resources").map(requirements),
        allocated_resources: list(value, "allocatedResources"),
        ..ContainerStatus::default()
    }
}

fn condition(value: &Value) -> Condition {
    Condition {
        kind: tree::text(value, "type").to_owned(),
        reason: tree::text(value, "reason").to_owned(),
        ..Condition::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cpu(amount: &str) -> Value {
        json!({"requests": {"cpu": amount}, "limits": {"cpu": amount}})
    }

    /// A pod of one container that asks for 2 CPUs.
    fn pod(allocated: &str, actual: Value, reason: &str) -> Value {
        let status =
            json!({"name": "c", "allocatedResources": {"cpu": allocated}, "resources": actual});
        json!({"spec": {"containers": [{"name": "c", "resources": cpu("2")}, {"name": "other"}]},
            "status": {"containerStatuses": [{"name": "other"}, status],
                "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}]}})
    }

    #[test]
    fn of_what_is_asked_for_allocated_and_in_use_the_most_counts() {
        for (allocated, actual, reason, requests, limits) in [
            ("1", cpu("1"), "Deferred", "2", "2"),
            ("3", cpu("1"), "", "3", "2"),
            ("2", cpu("4"), "", "4", "4"),
            ("1", cpu("1"), "Infeasible", "1", "1"),
            ("3", cpu("1"), "Infeasible", "3", "1"),
            // A kubelet that reports no resources cannot resize.
            ("9", Value::Null, "", "2", "2"),
        ] {
            let pod = pod(allocated, actual, reason);
            let of_tree = PodSpec::counted_from_value(&pod);
            let mut of_view: Pod = serde_json::from_value(pod.clone()).unwrap();
            of_view.count_status_resources();
            for spec in [of_tree, of_view.spec] {
                let sums = (spec.requests(), spec.limits());
                let shown = [sums.0, sums.1].map(|sum| sum.amount("cpu").to_string());
                assert_eq!(shown, [requests, limits], "{pod}");
            }
        }
    }

    #[test]
    fn sidecars_and_the_pod_as_a_whole_count_so_and_other_init_containers_do_not() {
        let status = |name: &str| json!({"name": name, "resources": cpu("3")});
        let mut pod = json!({
            "spec": {"initContainers": [
                {"name": "s", "restartPolicy": "Always", "resources": cpu("1")},
                {"name": "i", "resources": cpu("1")}]},
            "status": {"initContainerStatuses": [status("s"), status("i")]}});
        let sum = |pod: &Value| {
            let spec = PodSpec::counted_from_value(pod);
            spec.requests().amount("cpu").to_string()
        };
        assert_eq!(sum(&pod), "4");
        pod["spec"]["resources"] = cpu("5");
        assert_eq!(sum(&pod), "5");
        pod["status"]["resources"] = cpu("6");
        pod["status"]["allocatedResources"] = json!({"cpu": "7"});
        assert_eq!(sum(&pod), "7");
    }
}
