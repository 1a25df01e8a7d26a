//! What the runtime has accepted for each container of a pod, and the kernel for the pod as a whole: the
//! actual side of a resize (`actuatedState` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`).

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodStatus, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::cgroup::PodBounds;
use crate::model::{Observed, State, all_containers};
use crate::qos;

type List = BTreeMap<String, Quantity>;

/// What a container needs to have the resources it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    InPlace,
    Restart,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    /// By container id.
    containers: HashMap<String, ResourceRequirements>,
    /// Of the pod as a whole, where it states them.
    pod: Option<ResourceRequirements>,
    /// What bounds the pod's cgroup, once this process has set it.
    bounds: Option<PodBounds>,
}

impl Sizes {
    /// Takes in containers that ran before this process: they have what the status says, or else what they are to
    /// have. Forgets those that the runtime does not have any more.
    pub(crate) fn adopt(&mut self, pod: &Pod, before: &PodStatus, observed: &Observed) {
        let records = &observed.containers;
        let ids: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
        self.containers.retain(|id, _| ids.contains(id.as_str()));
        let running = records.iter().filter(|it| it.state == State::Running);
        for record in running {
            if self.containers.contains_key(&record.id) {
                continue;
            }
            let recorded = recorded(before, &record.id);
            let mut containers = pod.spec.iter().flat_map(all_containers);
            let wanted = containers.find(|(_, container)| container.name == record.name);
            let wanted = wanted.and_then(|(_, container)| container.resources.as_ref());
            let actual = recorded.or(wanted).cloned().unwrap_or_default();
            self.containers.insert(record.id.clone(), actual);
        }
        if self.pod.is_none() {
            let own = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref());
            let recorded = before.resources.as_ref();
            self.pod = own.map(|own| recorded.unwrap_or(own).clone());
        }
    }

    /// The container has the resources that its spec says.
    pub(crate) fn note_container(&mut self, id: &str, container: &Container) {
        let resources = container.resources.clone().unwrap_or_default();
        self.containers.insert(id.to_owned(), resources);
    }

    /// The pod's cgroup is bounded as its spec says.
    pub(crate) fn note_pod(&mut self, pod: &Pod) {
        self.bounds = Some(PodBounds::of(pod));
        let spec = pod.spec.as_ref();
        self.pod = spec.and_then(|spec| spec.resources.clone());
    }

    /// What the container has.
    pub(crate) fn of(&self, id: &str) -> Option<&ResourceRequirements> {
        self.containers.get(id)
    }

    /// What the pod as a whole has, where it states that.
    pub(crate) fn of_pod(&self) -> Option<&ResourceRequirements> {
        self.pod.as_ref()
    }

    /// Whether the pod's cgroup is to be bounded differently, or by an earlier process.
    pub(crate) fn pod_differs(&self, pod: &Pod) -> bool {
        self.bounds != Some(PodBounds::of(pod))
    }

    /// What it takes to give the running container its resources.
    pub(crate) fn change(&self, container: &Container, id: &str) -> Change {
        let Some(actual) = self.containers.get(id) else {
            return Change::Nothing;
        };
        let none = ResourceRequirements::default();
        let wanted = container.resources.as_ref().unwrap_or(&none);
        let differs = |name: &str| {
            let pairs = [
                (&wanted.requests, &actual.requests),
                (&wanted.limits, &actual.limits),
            ];
            let mut pairs = pairs.into_iter();
            pairs.any(|(a, b)| amount(a.as_ref(), name) != amount(b.as_ref(), name))
        };
        let restarts = |name: &str| {
            let mut policies = container.resize_policy.iter().flatten();
            policies.any(|it| it.resource_name == name && it.restart_policy == "RestartContainer")
        };
        let changed: Vec<&str> = ["cpu", "memory"]
            .into_iter()
            .filter(|it| differs(it))
            .collect();
        if changed.is_empty() {
            Change::Nothing
        } else if changed.into_iter().any(restarts) {
            Change::Restart
        } else {
            Change::InPlace
        }
    }

    /// Whether a running container, or the pod as a whole, does not have what it is to have.
    pub(crate) fn differ(&self, pod: &Pod, observed: &Observed) -> bool {
        let Some(spec) = &pod.spec else {
            return false;
        };
        let differs = |container: &Container| {
            let record = observed.latest(&container.name);
            record.is_some_and(|record| {
                record.state == State::Running
                    && self.change(container, &record.id) != Change::Nothing
            })
        };
        let pod_differs =
            spec.resources.is_some() && self.bounds.is_some() && self.pod_differs(pod);
        pod_differs || all_containers(spec).any(|(_, container)| differs(container))
    }
}

/// Thousandths of a CPU, octets; 0 for none.
fn amount(list: Option<&List>, name: &str) -> i64 {
    let quantity = list.and_then(|list| list.get(name));
    quantity.map_or(0, |quantity| match name {
        "cpu" => qos::milli(quantity),
        _ => qos::whole(quantity),
    })
}

/// What the status says that the container of this id has.
fn recorded<'a>(status: &'a PodStatus, id: &str) -> Option<&'a ResourceRequirements> {
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let mut statuses = lists.into_iter().flatten().flatten();
    let is_it = |status: &&ContainerStatus| {
        let full = status.container_id.as_deref().unwrap_or_default();
        full.rsplit_once("://").is_some_and(|(_, own)| own == id)
    };
    statuses.find(is_it)?.resources.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(resources: Value, policy: Value) -> Container {
        let value = json!({"name": "c", "resources": resources, "resizePolicy": policy});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_container_restarts_where_the_policy_of_a_changed_resource_says_so() {
        let both = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}});
        let policy = |cpu: &str, memory: &str| {
            json!([{"resourceName": "cpu", "restartPolicy": cpu},
                {"resourceName": "memory", "restartPolicy": memory}])
        };
        let (stays, restarts) = ("NotRequired", "RestartContainer");
        for (wanted, policy, expected) in [
            (
                both("1", "1Gi"),
                policy(restarts, restarts),
                Change::Nothing,
            ),
            (both("1000m", "1024Mi"), Value::Null, Change::Nothing),
            (both("2", "1Gi"), Value::Null, Change::InPlace),
            (both("2", "1Gi"), policy(stays, restarts), Change::InPlace),
            (both("2", "1Gi"), policy(restarts, stays), Change::Restart),
            (both("1", "2Gi"), policy(stays, restarts), Change::Restart),
            (
                json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}),
                Value::Null,
                Change::InPlace,
            ),
        ] {
            let mut sizes = Sizes::default();
            let wanted = container(wanted, policy);
            assert_eq!(sizes.change(&wanted, "id"), Change::Nothing);
            sizes.note_container("id", &container(both("1", "1Gi"), Value::Null));
            assert_eq!(sizes.change(&wanted, "id"), expected, "{wanted:?}");
        }
    }

    #[test]
    fn a_container_from_before_has_what_its_status_says() {
        let status = json!({"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "containerID": "k3s://id", "resources": {"requests": {"cpu": "1"}}}]});
        let status: PodStatus = serde_json::from_value(status).unwrap();
        assert!(recorded(&status, "id").is_some());
        assert!(recorded(&status, "d").is_none());
    }
}
