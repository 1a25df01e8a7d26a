//! The resources that this node has allocated to a pod: what it asked for when it was admitted, or when its
//! last resize was accepted (KEP-1287). Upstream's `pkg/kubelet/allocation` keeps them in a file. Here a pod's
//! status is the record: it says what each running container has, and a resize that was accepted and not
//! made before the process ended is decided on again.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, ResourceRequirements};

use crate::model::all_containers;
use crate::qos;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Allocation {
    /// Of the pod as a whole, where it states them.
    pod: Option<ResourceRequirements>,
    /// By name of the container.
    containers: BTreeMap<String, ResourceRequirements>,
}

impl Allocation {
    /// All that the pod asks for.
    pub(crate) fn asked(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else {
            return Self::default();
        };
        let containers = all_containers(spec);
        let containers = containers.map(|(_, it)| (it.name.clone(), plain(it.resources.as_ref())));
        Self {
            pod: spec.resources.as_ref().map(|own| plain(Some(own))),
            containers: containers.collect(),
        }
    }

    /// What the status records of what runs, else what the pod asks for.
    pub(crate) fn recorded(pod: &Pod) -> Self {
        let mut recorded = Self::asked(pod);
        let Some(status) = &pod.status else {
            return recorded;
        };
        let lists = [&status.init_container_statuses, &status.container_statuses];
        let statuses = lists.into_iter().flatten().flatten();
        for status in statuses.filter(|status| is_running(status)) {
            let own = recorded.containers.get_mut(&status.name);
            if let (Some(own), Some(actual)) = (own, &status.resources) {
                *own = plain(Some(actual));
            }
        }
        if let (Some(own), Some(actual)) = (&mut recorded.pod, &status.resources) {
            *own = plain(Some(actual));
        }
        recorded
    }

    /// The pod with these resources.
    pub(crate) fn apply(&self, pod: &Arc<Pod>) -> Arc<Pod> {
        if Self::asked(pod) == *self {
            return pod.clone();
        }
        let mut allocated = Pod::clone(pod);
        if let Some(spec) = &mut allocated.spec {
            spec.resources.clone_from(&self.pod);
            for container in containers_mut(spec) {
                if let Some(own) = self.containers.get(&container.name) {
                    container.resources = Some(own.clone());
                }
            }
        }
        Arc::new(allocated)
    }
}

fn containers_mut(spec: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    let init = spec.init_containers.iter_mut().flatten();
    init.chain(&mut spec.containers)
}

fn is_running(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some())
}

/// Missing and empty lists are the same.
fn plain(own: Option<&ResourceRequirements>) -> ResourceRequirements {
    let mut own = own.cloned().unwrap_or_default();
    own.requests = own.requests.filter(|list| !list.is_empty());
    own.limits = own.limits.filter(|list| !list.is_empty());
    own.claims = own.claims.filter(|list| !list.is_empty());
    own
}

/// Whether the pod asks for more CPU or memory than it has.
pub(crate) fn increases(asked: &Pod, allocated: &Pod) -> bool {
    let asked = qos::pod_requests(asked);
    let allocated = qos::pod_requests(allocated);
    asked.milli_cpu > allocated.milli_cpu || asked.memory_bytes > allocated.memory_bytes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cpu(amount: &str) -> Value {
        json!({"requests": {"cpu": amount}})
    }

    fn pod(asked: &str, status: Value) -> Arc<Pod> {
        let value = json!({"metadata": {"name": "p", "generation": 2}, "status": status,
            "spec": {"containers": [{"name": "c", "resources": cpu(asked)}, {"name": "d"}]}});
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn status(state: &str, actual: Value) -> Value {
        json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {state: {}}, "resources": actual}]})
    }

    #[test]
    fn what_runs_keeps_what_it_has_and_the_rest_gets_what_it_asks_for() {
        for (status, expected) in [
            (json!({}), "2"),
            (status("running", cpu("1")), "1"),
            (status("running", Value::Null), "2"),
            (status("waiting", cpu("1")), "2"),
        ] {
            let pod = pod("2", status);
            let allocated = Allocation::recorded(&pod).apply(&pod);
            let container = &allocated.spec.as_ref().unwrap().containers[0];
            assert_eq!(
                serde_json::to_value(&container.resources).unwrap(),
                cpu(expected)
            );
            assert_eq!(Arc::ptr_eq(&allocated, &pod), expected == "2");
            assert_eq!(increases(&pod, &allocated), expected == "1");
        }
    }

    #[test]
    fn missing_and_empty_resources_are_the_same() {
        let pod = pod("1", json!({}));
        let mut same = Pod::clone(&pod);
        let empty = json!({"requests": {}, "limits": {}});
        same.spec.as_mut().unwrap().containers[1].resources =
            serde_json::from_value(empty).unwrap();
        assert_eq!(Allocation::asked(&same), Allocation::asked(&pod));
    }
}
