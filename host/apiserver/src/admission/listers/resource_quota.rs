//! A quota with its amounts read.

use k3s_kinds::amounts::{Amounts, amounts};
use k3s_meta::{object, tree};
use k3s_registry::mirror::Decode;
use serde_json::{Value, json};

pub(in crate::admission) struct ResourceQuota {
    pub(in crate::admission) name: String,
    /// `spec` as far as it says which objects count: scopes and scope selector.
    pub(in crate::admission) scopes: Value,
    /// `status.hard`: as upstream, a quota limits what the controller has taken note of.
    pub(in crate::admission) hard: Amounts,
    /// `status.used`.
    pub(in crate::admission) used: Amounts,
}

impl Decode for ResourceQuota {
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "resourcequotas";

    fn decode(quota: &Value) -> Self {
        let spec = |field: &str| tree::get(quota, &format!("spec.{field}"));
        Self {
            name: object::name(quota).to_owned(),
            scopes: json!({
                "scopes": spec("scopes"),
                "scopeSelector": spec("scopeSelector"),
            }),
            hard: amounts(quota, "status.hard"),
            used: amounts(quota, "status.used"),
        }
    }
}
