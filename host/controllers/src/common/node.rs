//! Whether a Pod template fits a node: selector, required node affinity, taints.

use std::sync::LazyLock;

use k3s_client::Obj;
use k3s_objects::{Node, PodSpec, Toleration, toleration};

static EMPTY: LazyLock<Node> = LazyLock::new(Node::default);

/// The view of a Node; one that cannot be read counts as an empty Node.
pub(crate) fn of(object: &Obj) -> &Node {
    object.typed::<Node>().unwrap_or_else(|error| {
        tracing::warn!(node = object.name(), error = %error.chain(), "cannot read a node");
        &EMPTY
    })
}

/// Whether `nodeSelector` and the required node affinity of a Pod spec allow the node.
pub(crate) fn selected(spec: &PodSpec, node: &Obj) -> bool {
    spec.matches_node(node.name(), &node.meta().labels)
}

/// Whether every taint of one of these effects is tolerated.
pub(crate) fn tolerates(tolerations: &[Toleration], node: &Obj, effects: &[&str]) -> bool {
    let taints = &of(node).spec.taints;
    toleration::untolerated(taints, tolerations, effects)
        .next()
        .is_none()
}
