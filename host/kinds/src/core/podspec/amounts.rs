//! What a pod asks for and may use in all: containers run beside each other, init containers one after
//! the other beside the sidecars started before them (`component-helpers/resource`, `PodRequests`,
//! `PodLimits`).

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use serde_json::Value;

use crate::quantity;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The sum of requests.
#[must_use]
pub fn pod_requests(spec: &Value) -> Amounts {
    total(spec, "requests", true)
}

/// The sum of limits. The overhead of the runtime counts where there is a limit at all.
#[must_use]
pub fn pod_limits(spec: &Value) -> Amounts {
    total(spec, "limits", false)
}

/// A resource list of the container or object at `path`.
#[must_use]
pub fn amounts(object: &Value, path: &str) -> Amounts {
    let list = tree::map(object, path).iter();
    list.filter_map(|(name, amount)| Some((name.clone(), quantity::read(amount)?)))
        .collect()
}

fn total(spec: &Value, list: &str, overhead_always: bool) -> Amounts {
    let path = format!("resources.{list}");
    let mut sum = Amounts::new();
    for container in tree::list(spec, "containers") {
        add(&mut sum, &amounts(container, &path));
    }
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in tree::list(spec, "initContainers") {
        let own = amounts(container, &path);
        let mut step = sidecars.clone();
        add(&mut step, &own);
        if tree::text(container, "restartPolicy") == "Always" {
            add(&mut sum, &own);
            sidecars.clone_from(&step);
        }
        raise(&mut peak, &step);
    }
    raise(&mut sum, &peak);
    for (name, own) in amounts(spec, &path) {
        // What is stated for the pod as a whole goes before the sum of its containers.
        sum.insert(name, own);
    }
    for (name, more) in amounts(spec, "overhead") {
        if overhead_always || sum.contains_key(&name) {
            *sum.entry(name).or_insert(Quantity::ZERO) += more;
        }
    }
    sum
}

/// Adds every amount of `more`.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_insert(Quantity::ZERO) += *amount;
    }
}

fn raise(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = sum.entry(name.clone()).or_insert(Quantity::ZERO);
        *entry = (*entry).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn init_containers_count_by_their_peak_and_sidecars_stay() {
        let with =
            |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = with("s", "100m");
        sidecar["restartPolicy"] = json!("Always");
        let spec = json!({"initContainers": [sidecar, with("i", "1")], "containers": [with("a", "200m"), with("b", "300m")],
            "overhead": {"cpu": "50m"}});
        assert_eq!(pod_requests(&spec)["cpu"].to_string(), "1150m");
        let plain = json!({"containers": [with("a", "200m"), with("b", "300m")]});
        assert_eq!(pod_requests(&plain)["cpu"].to_string(), "500m");
        assert!(pod_limits(&plain).is_empty());
    }
}
