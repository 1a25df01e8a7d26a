//! What chooses the default ingress class.

use k3s_meta::object;
use k3s_registry::mirror::Decode;
use serde_json::Value;

const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

pub(in crate::admission) struct IngressClass {
    pub(in crate::admission) name: String,
    pub(in crate::admission) is_default: bool,
    /// RFC 3339, as it is stored: such texts sort by time.
    pub(in crate::admission) created_at: Option<String>,
}

impl Decode for IngressClass {
    const GROUP: &'static str = "networking.k8s.io";
    const PLURAL: &'static str = "ingressclasses";

    fn decode(class: &Value) -> Self {
        Self {
            name: object::name(class).to_owned(),
            is_default: object::annotation(class, IS_DEFAULT) == Some("true"),
            created_at: object::creation_timestamp(class).map(str::to_owned),
        }
    }
}
