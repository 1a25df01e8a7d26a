//! What a pod requests and may use in all (`component-helpers/resource/helpers.go`).

use std::borrow::Cow;

use k3s_meta::tree;
use serde_json::Value;

use super::model::{Container, PodSpec};
use crate::resources::{ResourceList, ResourceRequirements, is_pod_level_resource};

impl PodSpec {
    /// Reads what sums and quality of service depend on from the dynamic tree and leaves the rest at
    /// its default. It never fails, since the API server asks before validation has seen the object.
    #[must_use]
    pub fn resources_from_value(spec: &Value) -> Self {
        let containers = |list| tree::list(spec, list).iter().map(container).collect();
        Self {
            containers: containers("containers"),
            init_containers: containers("initContainers"),
            overhead: list(spec, "overhead"),
            resources: tree::get(spec, "resources").map(requirements),
            ..Self::default()
        }
    }

    /// What the pod asks for: the sum over its containers, replaced by the pod's own requests where
    /// it has some, plus overhead.
    #[must_use]
    pub fn requests(&self) -> ResourceList {
        self.requests_or(&ResourceList::default())
    }

    /// As [`Self::requests`], but a container that does not request a resource named in `defaults`
    /// counts with that amount (`NonMissingContainerRequests`). An explicit zero stays zero.
    #[must_use]
    pub fn requests_or(&self, defaults: &ResourceList) -> ResourceList {
        let mut sum = aggregate(self, |c| with_defaults(&c.resources.requests, defaults));
        if let Some(own) = &self.resources {
            override_pod_level(&mut sum, &own.requests);
        }
        sum.add(&self.overhead);
        sum
    }

    /// What the pod may use: as [`Self::requests`], with limits. Overhead counts for resources that
    /// have a limit.
    #[must_use]
    pub fn limits(&self) -> ResourceList {
        let mut sum = self.container_limits();
        if let Some(own) = &self.resources {
            override_pod_level(&mut sum, &own.limits);
        }
        for (name, amount) in self.overhead.iter() {
            if let Some(limit) = sum.get_mut(name).filter(|limit| !limit.is_zero()) {
                *limit += *amount;
            }
        }
        sum
    }

    /// What the containers ask for together, without the pod's own requests and overhead.
    #[must_use]
    pub fn container_requests(&self) -> ResourceList {
        aggregate(self, |c| Cow::Borrowed(&c.resources.requests))
    }

    /// What the containers may use together, without the pod's own limits and overhead.
    #[must_use]
    pub fn container_limits(&self) -> ResourceList {
        aggregate(self, |c| Cow::Borrowed(&c.resources.limits))
    }

    /// Whether [`Self::limits`] bounds the resource for the pod as a whole: the pod has a limit of
    /// its own, or every container has one (`kubelet/cm/helpers_linux.go`, `ResourceConfigForPod`).
    #[must_use]
    pub fn is_limited(&self, resource: &str) -> bool {
        let is_set = |limits: &ResourceList| !limits.amount(resource).is_zero();
        if self
            .resources
            .as_ref()
            .is_some_and(|own| is_set(&own.limits))
        {
            return true;
        }
        let mut all_limited = true;
        walk(
            self,
            |c| Cow::Borrowed(&c.resources.limits),
            |limits| all_limited &= is_set(limits),
        );
        all_limited
    }
}

fn container(value: &Value) -> Container {
    Container {
        name: tree::text(value, "name").to_owned(),
        resources: tree::get(value, "resources")
            .map(requirements)
            .unwrap_or_default(),
        restart_policy: tree::text(value, "restartPolicy").to_owned(),
        ..Container::default()
    }
}

pub(super) fn requirements(value: &Value) -> ResourceRequirements {
    ResourceRequirements {
        requests: list(value, "requests"),
        limits: list(value, "limits"),
    }
}

pub(super) fn list(value: &Value, path: &str) -> ResourceList {
    tree::get(value, path)
        .map(ResourceList::from_value)
        .unwrap_or_default()
}

fn aggregate<'a>(
    spec: &'a PodSpec,
    list: impl Fn(&'a Container) -> Cow<'a, ResourceList>,
) -> ResourceList {
    walk(spec, list, |_| {})
}

/// Containers and sidecars run beside each other. An init container runs beside the sidecars that
/// were started before it. Whichever needs more decides (KEP-753). `visit` sees what each container
/// needs, an init container together with those sidecars.
fn walk<'a>(
    spec: &'a PodSpec,
    list: impl Fn(&'a Container) -> Cow<'a, ResourceList>,
    mut visit: impl FnMut(&ResourceList),
) -> ResourceList {
    let mut sum = ResourceList::default();
    for container in &spec.containers {
        let own = list(container);
        visit(&own);
        sum.add(&own);
    }
    let mut sidecars = ResourceList::default();
    let mut peak = ResourceList::default();
    for container in &spec.init_containers {
        let own = list(container);
        let step = if container.is_sidecar() {
            sum.add(&own);
            sidecars.add(&own);
            sidecars.clone()
        } else {
            let mut step = own.into_owned();
            step.add(&sidecars);
            step
        };
        visit(&step);
        peak.raise_to(&step);
    }
    sum.raise_to(&peak);
    sum
}

fn with_defaults<'a>(requests: &'a ResourceList, defaults: &ResourceList) -> Cow<'a, ResourceList> {
    let mut requests = Cow::Borrowed(requests);
    for (name, amount) in defaults.iter() {
        if !requests.contains_key(name) {
            requests.to_mut().insert(name.clone(), *amount);
        }
    }
    requests
}

/// Amounts that the pod states as a whole go before the sum of its containers.
fn override_pod_level(sum: &mut ResourceList, own: &ResourceList) {
    for (name, amount) in own.iter() {
        if is_pod_level_resource(name) {
            sum.insert(name.clone(), *amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: &Value) -> PodSpec {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn list(value: &Value) -> ResourceList {
        ResourceList::from_value(value)
    }

    fn container(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}})
    }

    fn sidecar(cpu: &str) -> Value {
        let mut container = container(cpu);
        container["restartPolicy"] = json!("Always");
        container
    }

    #[test]
    fn containers_init_containers_and_sidecars() {
        for (why, value, expected) in [
            (
                "containers add up",
                json!({"containers": [container("200m"), container("300m")]}),
                "500m",
            ),
            (
                "a large init container decides",
                json!({"containers": [container("200m")], "initContainers": [container("1")]}),
                "1",
            ),
            (
                "init containers do not add up",
                json!({"containers": [container("1")], "initContainers": [container("900m"), container("800m")]}),
                "1",
            ),
            (
                "a sidecar runs beside the containers",
                json!({"containers": [container("200m")], "initContainers": [sidecar("100m")]}),
                "300m",
            ),
            (
                "a sidecar runs beside later init containers",
                json!({"containers": [container("200m")], "initContainers": [sidecar("100m"), container("1")]}),
                "1100m",
            ),
            (
                "and not beside earlier ones",
                json!({"containers": [container("200m")], "initContainers": [container("1"), sidecar("100m")]}),
                "1",
            ),
            (
                "fractions are rounded once, at the end",
                json!({"containers": [container("100u"), container("100u")]}),
                "200u",
            ),
        ] {
            let spec = spec(&value);
            assert_eq!(spec.requests().amount("cpu").to_string(), expected, "{why}");
            assert_eq!(spec.limits().amount("cpu").to_string(), expected, "{why}");
        }
    }

    #[test]
    fn resources_are_read_from_a_spec_that_is_not_valid_yet() {
        let value = json!({
            "containers": [{"ports": [{"containerPort": 70_000}], "resources": {"requests": {"cpu": "1", "memory": "much"}}}],
            "initContainers": [sidecar("1")], "overhead": null, "resources": null});
        let pod = PodSpec::resources_from_value(&value);
        assert_eq!(pod.requests(), list(&json!({"cpu": "2"})));
        assert_eq!(PodSpec::resources_from_value(&json!(3)), PodSpec::default());
    }

    #[test]
    fn overhead_counts_for_requests_and_for_limits_that_exist() {
        let mut value =
            json!({"containers": [container("1")], "overhead": {"cpu": "50m", "memory": "1Mi"}});
        let limited = spec(&value);
        assert_eq!(
            limited.requests(),
            list(&json!({"cpu": "1050m", "memory": "1Mi"}))
        );
        assert_eq!(limited.limits(), list(&json!({"cpu": "1050m"})));
        assert_eq!(limited.container_requests(), list(&json!({"cpu": "1"})));
        value["containers"][0]["resources"]["limits"]["cpu"] = json!("0");
        assert_eq!(spec(&value).limits(), list(&json!({"cpu": "0"})));
    }

    #[test]
    fn resources_of_the_pod_replace_the_sum() {
        let pod = spec(&json!({
            "containers": [container("1")], "overhead": {"cpu": "50m"},
            "resources": {
                "requests": {"cpu": "3", "memory": "1Gi", "ephemeral-storage": "1Gi"},
                "limits": {"hugepages-2Mi": "4Mi"}}}));
        assert_eq!(
            pod.requests(),
            list(&json!({"cpu": "3050m", "memory": "1Gi"}))
        );
        assert_eq!(
            pod.limits(),
            list(&json!({"cpu": "1050m", "hugepages-2Mi": "4Mi"}))
        );
        assert_eq!(pod.container_requests(), list(&json!({"cpu": "1"})));
    }

    #[test]
    fn defaults_fill_in_for_each_container() {
        let defaults = list(&json!({"cpu": "100m", "memory": "200Mi"}));
        let pod = spec(&json!({"containers": [container("1"), {}, container("0")]}));
        let expected = list(&json!({"cpu": "1100m", "memory": "600Mi"}));
        assert_eq!(pod.requests_or(&defaults), expected);
    }

    #[test]
    fn a_pod_is_limited_by_itself_or_by_every_container() {
        for (value, expected) in [
            (json!({"containers": [container("1"), {}]}), false),
            (
                json!({"containers": [container("1"), container("0")]}),
                false,
            ),
            (json!({"containers": [container("1")]}), true),
            (
                json!({"containers": [container("1")], "initContainers": [{}]}),
                false,
            ),
            (
                json!({"containers": [container("1")], "initContainers": [sidecar("1"), {}]}),
                true,
            ),
            (
                json!({"containers": [{}], "resources": {"limits": {"cpu": "1"}}}),
                true,
            ),
        ] {
            assert_eq!(spec(&value).is_limited("cpu"), expected, "{value}");
        }
    }
}
