//! The limits of a namespace, with their amounts read.

use k3s_kinds::amounts::{Amounts, amounts};
use k3s_meta::tree;
use k3s_registry::mirror::Decode;
use serde_json::{Map, Value};

pub(in crate::admission) struct LimitRange {
    pub(in crate::admission) limits: Vec<LimitItem>,
}

/// One item of `spec.limits`.
pub(in crate::admission) struct LimitItem {
    pub(in crate::admission) kind: LimitKind,
    pub(in crate::admission) min: Amounts,
    pub(in crate::admission) max: Amounts,
    pub(in crate::admission) max_limit_request_ratio: Amounts,
    /// Limits of containers that state none, as they were written.
    pub(in crate::admission) default_limits: Map<String, Value>,
    /// Requests of containers that state none, as they were written.
    pub(in crate::admission) default_requests: Map<String, Value>,
}

/// What a limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admission) enum LimitKind {
    Container,
    Pod,
    PersistentVolumeClaim,
    /// A type that this server does not enforce.
    Other,
}

impl LimitKind {
    fn parse(text: &str) -> Self {
        match text {
            "Container" => Self::Container,
            "Pod" => Self::Pod,
            "PersistentVolumeClaim" => Self::PersistentVolumeClaim,
            _ => Self::Other,
        }
    }

    pub(in crate::admission) fn as_str(self) -> &'static str {
        match self {
            Self::Container => "Container",
            Self::Pod => "Pod",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Other => "",
        }
    }
}

impl LimitItem {
    pub(in crate::admission) fn read(item: &Value) -> Self {
        let map = |field: &str| {
            let map = item.get(field).and_then(Value::as_object);
            map.cloned().unwrap_or_default()
        };
        Self {
            kind: LimitKind::parse(tree::text(item, "type")),
            min: amounts(item, "min"),
            max: amounts(item, "max"),
            max_limit_request_ratio: amounts(item, "maxLimitRequestRatio"),
            default_limits: map("default"),
            default_requests: map("defaultRequest"),
        }
    }
}

impl Decode for LimitRange {
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "limitranges";

    fn decode(range: &Value) -> Self {
        let limits = tree::list(range, "spec.limits");
        Self {
            limits: limits.iter().map(LimitItem::read).collect(),
        }
    }
}
