//! Quality of service class of a pod (`pkg/apis/core/v1/helper/qos`).

use super::model::{Pod, PodSpec};
use crate::resources::{ResourceList, ResourceRequirements};

/// The resources that count for the class.
const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// How a pod fares when resources run short; names the parent cgroup and the OOM score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QosClass {
    /// CPU and memory are limited, and requested up to the limit, in every container.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

impl QosClass {
    /// As `status.qosClass` writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Guaranteed, Self::Burstable, Self::BestEffort];
        all.into_iter().find(|class| class.as_str() == text)
    }
}

impl Pod {
    /// The class that the status records, or else the one that follows from the spec. The class of
    /// a pod never changes, so the recorded one wins (`GetPodQOS`).
    #[must_use]
    pub fn qos_class(&self) -> QosClass {
        QosClass::parse(&self.status.qos_class).unwrap_or_else(|| self.spec.qos_class())
    }
}

impl PodSpec {
    /// The class that follows from requests and limits (`ComputePodQOS`). Resources of the pod as a
    /// whole, once given, decide alone.
    #[must_use]
    pub fn qos_class(&self) -> QosClass {
        let (holders, needs_limits) = match &self.resources {
            Some(own) => (vec![own], !own.limits.is_empty()),
            None => (self.container_resources().collect(), true),
        };
        let requests = sum_positive(holders.iter().map(|own| &own.requests));
        let limits = sum_positive(holders.iter().map(|own| &own.limits));
        if requests.is_empty() && limits.is_empty() {
            return QosClass::BestEffort;
        }
        let is_limited =
            |own: &&ResourceRequirements| COMPUTE.iter().all(|name| is_positive(&own.limits, name));
        let all_limited = !needs_limits || holders.iter().all(is_limited);
        if all_limited && requests == limits {
            QosClass::Guaranteed
        } else {
            QosClass::Burstable
        }
    }

    /// Ephemeral containers cannot have resources and do not count.
    fn container_resources(&self) -> impl Iterator<Item = &ResourceRequirements> {
        let all = self.containers.iter().chain(&self.init_containers);
        all.map(|container| &container.resources)
    }
}

fn is_positive(list: &ResourceList, name: &str) -> bool {
    let amount = list.amount(name);
    !amount.is_zero() && !amount.is_negative()
}

/// The sum of the compute resources above zero; others do not appear in it.
fn sum_positive<'a>(lists: impl Iterator<Item = &'a ResourceList>) -> ResourceList {
    let mut sum = ResourceList::default();
    for list in lists {
        for name in COMPUTE.into_iter().filter(|name| is_positive(list, name)) {
            let total = sum.amount(name) + list.amount(name);
            sum.insert(name.to_owned(), total);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn class(spec: Value) -> &'static str {
        let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
        pod.qos_class().as_str()
    }

    #[test]
    fn class_follows_requests_and_limits_of_containers() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let both = json!({"resources": {"requests": full, "limits": full}});
        let cpu = json!({"cpu": "1"});
        for (spec, expected) in [
            (json!({"containers": [{}]}), "BestEffort"),
            (
                json!({"containers": [{"resources": {"requests": {"cpu": "0"}}}]}),
                "BestEffort",
            ),
            (
                json!({"containers": [{"resources": {"requests": {"ephemeral-storage": "1Gi"}}}]}),
                "BestEffort",
            ),
            (
                json!({"containers": [{"resources": {"requests": cpu}}]}),
                "Burstable",
            ),
            (
                json!({"containers": [{"resources": {"requests": cpu, "limits": cpu}}]}),
                "Burstable",
            ),
            (json!({"containers": [both]}), "Guaranteed"),
            (json!({"containers": [both, {}]}), "Burstable"),
            (
                json!({"containers": [both], "initContainers": [{}]}),
                "Burstable",
            ),
            (
                json!({"containers": [both], "initContainers": [both]}),
                "Guaranteed",
            ),
        ] {
            assert_eq!(class(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn resources_of_the_pod_decide_alone() {
        let full = json!({"cpu": "1", "memory": "1Gi"});
        let containers = json!([{"resources": {"requests": {"cpu": "1"}}}]);
        for (resources, expected) in [
            (json!({"requests": full, "limits": full}), "Guaranteed"),
            (json!({"requests": full}), "Burstable"),
            (
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}),
                "Burstable",
            ),
            (json!({"requests": {"cpu": "0"}}), "BestEffort"),
            (json!({}), "BestEffort"),
            (json!(null), "Burstable"),
        ] {
            let spec = json!({"containers": containers, "resources": resources});
            assert_eq!(class(spec), expected, "{resources}");
        }
    }

    #[test]
    fn a_recorded_class_stays() {
        let value = json!({"spec": {"containers": [{}]}, "status": {"qosClass": "Burstable"}});
        let pod: Pod = serde_json::from_value(value).unwrap();
        assert_eq!(pod.qos_class(), QosClass::Burstable);
        assert_eq!(pod.spec.qos_class(), QosClass::BestEffort);
    }
}
