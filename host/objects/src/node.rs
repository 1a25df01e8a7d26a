//! Nodes (`core/v1.Node`).

use crate::condition::{self, Condition};
use crate::resources::ResourceList;
use crate::toleration::Taint;
use crate::view::view;

view! {
    /// A node.
    pub struct Node {
        /// Desired state.
        pub spec: NodeSpec,
        /// Observed state.
        pub status: NodeStatus,
    }

    /// `core/v1.NodeSpec`
    pub struct NodeSpec {
        /// Keep pods away that do not tolerate them.
        pub taints: Vec<Taint>,
        /// Cordoned.
        pub unschedulable: bool,
    }

    /// `core/v1.NodeStatus`
    pub struct NodeStatus {
        /// What pods may use.
        pub allocatable: ResourceList,
        /// `Ready`, `MemoryPressure` and others.
        pub conditions: Vec<Condition>,
        /// By what the node can be reached.
        pub addresses: Vec<NodeAddress>,
    }

    /// `core/v1.NodeAddress`
    pub struct NodeAddress {
        /// `InternalIP`, `ExternalIP` or `Hostname`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The address or name.
        pub address: String,
    }
}

impl Node {
    /// Whether the node's kubelet says that it can run pods.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        condition::is_true(&self.status.conditions, "Ready")
    }

    /// The addresses of one type.
    pub fn addresses<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        let of_kind = move |address: &&'a NodeAddress| address.kind == kind;
        self.status
            .addresses
            .iter()
            .filter(of_kind)
            .map(|address| address.address.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_true_condition_makes_a_node_ready() {
        for (conditions, expected) in [
            (json!([{"type": "Ready", "status": "True"}]), true),
            (json!([{"type": "Ready", "status": "Unknown"}]), false),
            (json!([{"type": "MemoryPressure", "status": "True"}]), false),
            (json!(null), false),
        ] {
            let value = json!({"status": {"conditions": conditions}});
            let node: Node = serde_json::from_value(value).unwrap();
            assert_eq!(node.is_ready(), expected, "{node:?}");
        }
    }
}
