//! The Node authorizer: a kubelet may read what the pods bound to it need, and write what is its own
//! (`plugin/pkg/auth/authorizer/node`).

mod graph;
mod rules;

use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use k3s_meta::{FieldSelector, UserInfo, tree};
use k3s_registry::mirror::Mirror;
use k3s_registry::{Registry, Result};

use super::{Attributes, Decision};
use graph::Graph;
pub(crate) use graph::{ReferenceKind, references};

const NODES_GROUP: &str = "system:nodes";
const NODE_PREFIX: &str = "system:node:";

/// The node that a user is; `None` for all other users.
pub(crate) fn node_of(user: &UserInfo) -> Option<&str> {
    let name = user
        .name
        .strip_prefix(NODE_PREFIX)
        .filter(|name| !name.is_empty())?;
    user.in_group(NODES_GROUP).then_some(name)
}

/// The authorizer over the graph of pods and what they refer to.
pub(crate) struct NodeAuthorizer {
    graph: Mirror<Graph>,
    registry: Registry,
}

impl NodeAuthorizer {
    pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        let pods = registry.resource("", "v1", "pods")?;
        let graph = Graph::default();
        let graph = Mirror::start("node graph mirror", registry, &[pods], graph, tasks)?;
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
            ("", "secrets") => self.referred(node, asked, ReferenceKind::Secret),
            ("", "configmaps") => self.referred(node, asked, ReferenceKind::ConfigMap),
            ("", "persistentvolumeclaims")
                if asked.subresource.is_empty() || asked.verb == "get" =>
            {
                self.referred(node, asked, ReferenceKind::Claim)
            }
            ("", "persistentvolumes") => self.volume(node, asked),
            ("", "serviceaccounts") => self.service_account(node, asked),
            ("", "pods") => self.pods(node, asked),
            ("", "nodes") => own_node(node, asked),
            ("coordination.k8s.io", "leases") => lease(node, asked),
            ("storage.k8s.io", "csinodes") => csi_node(node, asked),
            _ if rules::allows(asked) => Decision::Allow,
            _ => Decision::Deny(String::new()),
        })
    }

    /// Whether a pod of the node refers to the object.
    pub(crate) fn refers(
        &self,
        node: &str,
        kind: ReferenceKind,
        namespace: &str,
        name: &str,
    ) -> bool {
        let refers = |graph: &Graph| graph.refers(node, kind, namespace, name);
        self.graph.peek(refers)
    }

    fn referred(&self, node: &str, asked: &Attributes<'_>, kind: ReferenceKind) -> Decision {
        if !matches!(asked.verb, "get" | "list" | "watch") || !asked.subresource.is_empty() {
            return deny("can only read resources of this type");
        }
        if asked.name.is_empty() {
            return deny("No Object name found");
        }
        self.decide(node, kind, asked.namespace, asked.name)
    }

    fn decide(&self, node: &str, kind: ReferenceKind, namespace: &str, name: &str) -> Decision {
        if self.refers(node, kind, namespace, name) {
            return Decision::Allow;
        }
        no_relationship(node)
    }

    /// A volume is needed when a claim that is bound to it is.
    fn volume(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        if asked.verb != "get" || !asked.subresource.is_empty() {
            return deny("can only get resources of this type");
        }
        match self.claim_of_volume(asked.name) {
            Ok((namespace, name)) => self.decide(node, ReferenceKind::Claim, &namespace, &name),
            Err(error) => {
                tracing::debug!(
                    error = chain(&error),
                    volume = asked.name,
                    "no claim of the volume is known"
                );
                no_relationship(node)
            }
        }
    }

    /// Namespace and name of the claim that a volume is bound to, empty for none.
    fn claim_of_volume(&self, name: &str) -> Result<(String, String)> {
        let volumes = self.registry.resource("", "v1", "persistentvolumes")?;
        let volume = self.registry.get(volumes, "", name)?.to_value()?;
        let claim = |field| tree::text(&volume, &format!("spec.claimRef.{field}")).to_owned();
        Ok((claim("namespace"), claim("name")))
    }

    /// Reads of pods must be for the node's own; NodeRestriction checks writes.
    fn pods(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        match (asked.verb, asked.subresource) {
            ("list" | "watch", "") if selects_node(asked, node) => Decision::Allow,
            ("get" | "list" | "watch", "") if !asked.name.is_empty() => self.bound_pod(node, asked),
            ("list" | "watch", "") => {
                deny("can only list/watch pods with spec.nodeName field selector")
            }
            ("create" | "delete", "") | ("update" | "patch", "status") | ("create", "eviction") => {
                Decision::Allow
            }
            _ => deny(""),
        }
    }

    fn bound_pod(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        let Ok(pods) = self.registry.resource("", "v1", "pods") else {
            return no_relationship(node);
        };
        let key = pods.key(asked.namespace, asked.name);
        // Asked with every acknowledged write: a kubelet reads a pod as soon as it knows of the binding.
        if self.graph.read(|graph| graph.runs(node, &key)) {
            return Decision::Allow;
        }
        no_relationship(node)
    }

    fn service_account(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        match (asked.verb, asked.subresource) {
            ("create", "token") => self.decide(
                node,
                ReferenceKind::ServiceAccount,
                asked.namespace,
                asked.name,
            ),
            ("get" | "list" | "watch", "") if !asked.name.is_empty() => self.decide(
                node,
                ReferenceKind::ServiceAccount,
                asked.namespace,
                asked.name,
            ),
            _ => deny("can only create tokens for individual service accounts"),
        }
    }
}

fn no_relationship(node: &str) -> Decision {
    deny(&format!(
        "no relationship found between node '{node}' and this object"
    ))
}

fn deny(reason: &str) -> Decision {
    Decision::Deny(reason.to_owned())
}

/// Whether a list or watch selects pods of the node alone.
fn selects_node(asked: &Attributes<'_>, node: &str) -> bool {
    let selector = asked
        .field_selector
        .and_then(|text| FieldSelector::parse(text).ok());
    selector.is_some_and(|selector| selector.exact_match("spec.nodeName") == Some(node))
}

fn own_node(node: &str, asked: &Attributes<'_>) -> Decision {
    match (asked.verb, asked.subresource) {
        ("create", "") => Decision::Allow,
        ("get" | "list" | "watch", "") if asked.name == node => Decision::Allow,
        ("update" | "patch", "" | "status") => Decision::Allow,
        ("get" | "list" | "watch", "") => {
            let what = match asked.name {
                "" => "all nodes".to_owned(),
                name => format!("'{name}'"),
            };
            deny(&format!(
                "node '{node}' cannot read {what}, only its own Node object"
            ))
        }
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
