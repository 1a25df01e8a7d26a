//! What pods take over from their priority class.

use k3s_meta::{object, tree};
use k3s_registry::mirror::Decode;
use serde_json::Value;

pub(in crate::admission) struct PriorityClass {
    pub(in crate::admission) name: String,
    pub(in crate::admission) value: i64,
    /// Pods that name no class get this one.
    pub(in crate::admission) is_global_default: bool,
    /// Empty where the class says nothing.
    pub(in crate::admission) preemption_policy: String,
}

impl Decode for PriorityClass {
    const GROUP: &'static str = "scheduling.k8s.io";
    const PLURAL: &'static str = "priorityclasses";

    fn decode(class: &Value) -> Self {
        Self {
            name: object::name(class).to_owned(),
            value: tree::int(class, "value").unwrap_or(0),
            is_global_default: tree::flag(class, "globalDefault"),
            preemption_policy: tree::text(class, "preemptionPolicy").to_owned(),
        }
    }
}
