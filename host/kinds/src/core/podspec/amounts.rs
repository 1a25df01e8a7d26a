//! Resource lists of dynamic objects. What a pod asks for and may use in all is computed by
//! [`k3s_objects`].

use std::collections::BTreeMap;

use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use k3s_objects::PodSpec;
use serde_json::Value;

use crate::quantity;

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The sum of requests.
#[must_use]
pub fn pod_requests(spec: &Value) -> Amounts {
    let view = PodSpec::resources_from_value(spec);
    view.requests().into_iter().collect()
}

/// The sum of limits. The overhead of the runtime counts where there is a limit at all.
#[must_use]
pub fn pod_limits(spec: &Value) -> Amounts {
    let view = PodSpec::resources_from_value(spec);
    view.limits().into_iter().collect()
}

/// A resource list of the container or object at `path`.
#[must_use]
pub fn amounts(object: &Value, path: &str) -> Amounts {
    let list = tree::map(object, path).iter();
    list.filter_map(|(name, amount)| Some((name.clone(), quantity::read(amount)?)))
        .collect()
}

/// Adds every amount of `more`.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_insert(Quantity::ZERO) += *amount;
    }
}
