//! What pods take over from their runtime class.

use k3s_meta::tree;
use k3s_registry::mirror::Decode;
use serde_json::{Map, Value};

pub(in crate::admission) struct RuntimeClass {
    /// `overhead.podFixed`, as it was written; nothing where the class has no overhead.
    pub(in crate::admission) overhead: Option<Map<String, Value>>,
    pub(in crate::admission) node_selector: Map<String, Value>,
    pub(in crate::admission) tolerations: Vec<Value>,
}

impl Decode for RuntimeClass {
    const GROUP: &'static str = "node.k8s.io";
    const PLURAL: &'static str = "runtimeclasses";

    fn decode(class: &Value) -> Self {
        let overhead = tree::get(class, "overhead");
        Self {
            overhead: overhead.map(|overhead| tree::map(overhead, "podFixed").clone()),
            node_selector: tree::map(class, "scheduling.nodeSelector").clone(),
            tolerations: tree::list(class, "scheduling.tolerations").to_vec(),
        }
    }
}
