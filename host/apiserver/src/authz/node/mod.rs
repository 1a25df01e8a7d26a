//! The Node authorizer: a kubelet may read what the pods bound to it need, and write what is its own
//! (`plugin/pkg/auth/authorizer/node`).

mod graph;
mod rules;

use std::sync::Arc;

use k3s_lifecycle::Tasks;
use k3s_meta::{FieldSelector, UserInfo};
use k3s_registry::Registry;
use parking_lot::RwLock;

use super::{Attributes, Decision};
use crate::Result;
use graph::Graph;
pub(crate) use graph::Refers;

const NODES_GROUP: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

/// The node a user is; `None` for everybody else.
pub(crate) fn node_of(user: &UserInfo) -> Option<&str> {
    let name = user
        .name
        .strip_prefix(NODE_PREFIX)
        .filter(|name| !name.is_empty())?;
    user.in_group(NODES_GROUP).then_some(name)
}

/// The authorizer over the graph of pods and what they refer to.
pub(crate) struct NodeAuthorizer {
    graph: Arc<RwLock<Graph>>,
    registry: Registry,
}

impl NodeAuthorizer {
    pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        let graph = graph::start(registry, tasks)?;
        Ok(Self {
            graph,
            registry: registry.clone(),
        })
    }

    /// Decides on a request of a node; `None` for requests of others.
    pub(crate) fn authorize(&self, asked: &Attributes<'_>) -> Option<Decision> {
        let node = node_of(asked.user)?;
        if !asked.is_resource {
            return Some(Decision::Deny(String::new()));
        }
        Some(match (asked.group, asked.resource) {
            ("", "secrets") => self.referred(node, asked, Refers::Secret),
            ("", "configmaps") => self.referred(node, asked, Refers::ConfigMap),
            ("", "persistentvolumeclaims")
                if asked.subresource.is_empty() || asked.verb == "get" =>
            {
                self.referred(node, asked, Refers::Claim)
            }
            ("", "persistentvolumes") => self.volume(node, asked),
            ("", "serviceaccounts") => self.service_account(node, asked),
            ("", "pods") => pods(node, asked),
            ("", "nodes") => own_node(node, asked),
            ("coordination.k8s.io", "leases") => lease(node, asked),
            ("storage.k8s.io", "csinodes") => csi_node(node, asked),
            _ if rules::allows(asked) => Decision::Allow,
            _ => Decision::Deny(String::new()),
        })
    }

    /// Whether a pod of the node refers to the object.
    pub(crate) fn refers(&self, node: &str, what: Refers, namespace: &str, name: &str) -> bool {
        self.graph.read().refers(node, what, namespace, name)
    }

    fn referred(&self, node: &str, asked: &Attributes<'_>, what: Refers) -> Decision {
        if !matches!(asked.verb, "get" | "list" | "watch") || !asked.subresource.is_empty() {
            return deny("can only read resources of this type");
        }
        if asked.name.is_empty() {
            return deny("No Object name found");
        }
        self.decide(node, what, asked.namespace, asked.name)
    }

    fn decide(&self, node: &str, what: Refers, namespace: &str, name: &str) -> Decision {
        if self.refers(node, what, namespace, name) {
            return Decision::Allow;
        }
        deny(&format!(
            "no relationship found between node '{node}' and this object"
        ))
    }

    /// A volume is needed when a claim that is bound to it is.
    fn volume(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        if asked.verb != "get" || !asked.subresource.is_empty() {
            return deny("can only get resources of this type");
        }
        let claim = self
            .registry
            .resource("", "v1", "persistentvolumes")
            .ok()
            .and_then(|volumes| {
                let volume = self
                    .registry
                    .get(volumes, "", asked.name)
                    .ok()?
                    .to_value()
                    .ok()?;
                let text =
                    |key| k3s_meta::object::at_str(&volume, &["spec", "claimRef", key]).to_owned();
                Some((text("namespace"), text("name")))
            });
        match claim {
            Some((namespace, name)) => self.decide(node, Refers::Claim, &namespace, &name),
            None => deny(&format!(
                "no relationship found between node '{node}' and this object"
            )),
        }
    }

    fn service_account(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        match (asked.verb, asked.subresource) {
            ("create", "token") => {
                self.decide(node, Refers::ServiceAccount, asked.namespace, asked.name)
            }
            ("get" | "list" | "watch", "") if !asked.name.is_empty() => {
                self.decide(node, Refers::ServiceAccount, asked.namespace, asked.name)
            }
            _ => deny("can only create tokens for individual service accounts"),
        }
    }
}

fn deny(reason: &str) -> Decision {
    Decision::Deny(reason.to_owned())
}

/// Reads of pods must be for the node's own; NodeRestriction looks at writes.
fn pods(node: &str, asked: &Attributes<'_>) -> Decision {
    match (asked.verb, asked.subresource) {
        ("list" | "watch", "") => {
            let selector = asked
                .field_selector
                .and_then(|text| FieldSelector::parse(text).ok());
            let own = selector
                .is_some_and(|selector| selector.exact_match("spec.nodeName") == Some(node));
            if own {
                Decision::Allow
            } else {
                deny("can only list/watch pods with spec.nodeName field selector")
            }
        }
        ("get" | "create" | "delete", "")
        | ("update" | "patch", "status")
        | ("create", "eviction") => Decision::Allow,
        _ => deny(""),
    }
}

fn own_node(node: &str, asked: &Attributes<'_>) -> Decision {
    match (asked.verb, asked.subresource) {
        ("create", "") => Decision::Allow,
        ("get" | "list" | "watch", "") if asked.name == node => Decision::Allow,
        ("update" | "patch", "" | "status") => Decision::Allow,
        ("get" | "list" | "watch", "") => deny(&format!(
            "node '{node}' cannot read all nodes, only its own Node object"
        )),
        _ => deny(""),
    }
}

fn lease(node: &str, asked: &Attributes<'_>) -> Decision {
    if asked.namespace != "kube-node-lease" {
        return deny(&format!(
            "can only access leases in the {:?} system namespace",
            "kube-node-lease"
        ));
    }
    match asked.verb {
        "create" => Decision::Allow,
        "get" | "update" | "patch" | "delete" if asked.name == node => Decision::Allow,
        _ => deny("can only access node lease with the same name as the requesting node"),
    }
}

fn csi_node(node: &str, asked: &Attributes<'_>) -> Decision {
    match asked.verb {
        "create" => Decision::Allow,
        "get" | "update" | "patch" | "delete" if asked.name == node => Decision::Allow,
        _ => deny("can only access CSINode with the same name as the requesting node"),
    }
}
