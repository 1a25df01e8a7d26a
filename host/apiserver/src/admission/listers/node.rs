//! What a node can give to pods.

use k3s_meta::tree;
use k3s_objects::ResourceList;
use k3s_registry::mirror::Decode;
use serde_json::Value;

/// Says which operating system a node has.
const OS_LABEL: &str = "kubernetes.io/os";

pub(in crate::admission) struct Node {
    pub(in crate::admission) allocatable: ResourceList,
    /// Empty where the node does not say.
    pub(in crate::admission) os: String,
}

impl Decode for Node {
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "nodes";

    fn decode(node: &Value) -> Self {
        let allocatable = tree::get(node, "status.allocatable");
        let os = k3s_meta::object::label(node, OS_LABEL);
        Self {
            allocatable: allocatable
                .map(ResourceList::from_value)
                .unwrap_or_default(),
            os: os.unwrap_or_default().to_owned(),
        }
    }
}
