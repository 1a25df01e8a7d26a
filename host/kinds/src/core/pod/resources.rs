//! Sums over the containers of a pod (`component-helpers/resource`).

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use serde_json::Value;

use crate::quantity;

type Amounts = BTreeMap<String, Quantity>;

/// Requests or limits (`field`) that the containers of a pod spec add up to: running containers
/// and sidecars together, or the largest step of initialisation if that is more.
pub(crate) fn aggregate(spec: &Value, field: &str) -> Amounts {
    let mut running = Amounts::new();
    for container in tree::list(spec, "containers") {
        add(&mut running, &amounts(container, field));
    }
    let (mut sidecars, mut initial) = (Amounts::new(), Amounts::new());
    for container in tree::list(spec, "initContainers") {
        let mut step = amounts(container, field);
        if tree::text(container, "restartPolicy") == "Always" {
            add(&mut running, &step);
            add(&mut sidecars, &step);
            step.clone_from(&sidecars);
        } else {
            add(&mut step, &sidecars);
        }
        maximum(&mut initial, step);
    }
    maximum(&mut running, initial);
    running
}

/// The amounts of one container.
pub(crate) fn amounts(container: &Value, field: &str) -> Amounts {
    tree::map(container, &format!("resources.{field}"))
        .iter()
        .filter_map(|(name, amount)| Some((name.clone(), quantity::read(amount)?)))
        .collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = match total.get(name) {
            Some(old) => *old + *amount,
            None => *amount,
        };
        total.insert(name.clone(), sum);
    }
}

fn maximum(total: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        if total.get(&name).is_none_or(|old| *old < amount) {
            total.insert(name, amount);
        }
    }
}

/// Resources a pod may claim as a whole.
pub(crate) fn is_pod_level_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Native resources may be promised more than once; huge pages and extended ones may not.
pub(crate) fn is_overcommit_allowed(name: &str) -> bool {
    (!name.contains('/') || name.contains("kubernetes.io/")) && !name.starts_with("hugepages-")
}
