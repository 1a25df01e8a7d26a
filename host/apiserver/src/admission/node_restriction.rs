//! NodeRestriction: a kubelet changes its own Node and Lease, and the pods bound to it, and nothing
//! that would draw other workloads to it (`plugin/pkg/admission/noderestriction`).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{Status, object};
use k3s_registry::{Attributes, Operation, Registry, Result};
use serde_json::Value;

use super::{Step, find};
use crate::authz::Authorizer;
use crate::authz::node::{Refers, node_of};

const MIRROR: &str = "kubernetes.io/config.mirror";
const RESTRICTED_PREFIX: &str = "node-restriction.kubernetes.io/";
/// Labels of `kubernetes.io` and `k8s.io` that a kubelet may set on its node.
const OWN_LABELS: [&str; 13] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.kubernetes.io/region",
    "failure-domain.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
const OWN_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io/", "node.kubernetes.io/"];

pub(super) struct NodeRestriction {
    registry: Registry,
    authorizer: Arc<Authorizer>,
}

type Verdict = std::result::Result<(), String>;

impl NodeRestriction {
    pub(super) fn new(registry: &Registry, authorizer: &Arc<Authorizer>) -> Self {
        Self {
            registry: registry.clone(),
            authorizer: authorizer.clone(),
        }
    }

    fn judge(
        &self,
        node: &str,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<Verdict> {
        let kind = attributes.resource.kind;
        Ok(match (kind.group, kind.plural, attributes.subresource) {
            ("", "pods", "") => self.pod(node, attributes, new, old),
            ("", "pods", "status") => pod_status(node, new, old),
            ("", "pods", "eviction") => self.eviction(node, attributes)?,
            ("", "pods", sub) => Err(format!(
                "unexpected pod subresource {sub:?}, only 'status' and 'eviction' are allowed"
            )),
            ("", "nodes", _) => node_object(node, attributes, new, old),
            ("", "serviceaccounts", "token") => self.token(node, attributes, new)?,
            ("coordination.k8s.io", "leases", _) => lease(node, attributes),
            ("storage.k8s.io", "csinodes", _) => named_as_node(node, attributes, "CSINode"),
            _ => Ok(()),
        })
    }

    fn pod(
        &self,
        node: &str,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Verdict {
        match (attributes.operation, new, old) {
            (Operation::Create, Some(pod), _) => mirror_pod(node, pod),
            (Operation::Delete, _, Some(pod)) if bound_to(pod, node) => Ok(()),
            (Operation::Delete, ..) => Err(format!(
                "node {node:?} can only delete pods with spec.nodeName set to itself"
            )),
            _ => Err(format!(
                "unexpected operation {:?}",
                attributes.operation.as_str()
            )),
        }
    }

    fn eviction(&self, node: &str, attributes: &Attributes<'_>) -> Result<Verdict> {
        let pod = find(
            &self.registry,
            "",
            "pods",
            attributes.namespace,
            attributes.name,
        )?;
        Ok(match pod {
            Some(pod) if !bound_to(&pod, node) => Err(format!(
                "node {node} can only evict pods with spec.nodeName set to itself"
            )),
            _ => Ok(()),
        })
    }

    /// Tokens are for pods of the node, and bound to them.
    fn token(
        &self,
        node: &str,
        attributes: &Attributes<'_>,
        request: Option<&Value>,
    ) -> Result<Verdict> {
        let Some(request) = request else {
            return Ok(Ok(()));
        };
        let reference = |key| object::at_str(request, &["spec", "boundObjectRef", key]);
        if reference("kind") != "Pod" || reference("name").is_empty() {
            return Ok(Err("node requested token not bound to a pod".to_owned()));
        }
        if reference("uid").is_empty() {
            return Ok(Err(
                "node requested token with a pod binding without a uid".to_owned()
            ));
        }
        let pod = find(
            &self.registry,
            "",
            "pods",
            attributes.namespace,
            reference("name"),
        )?;
        Ok(match pod {
            None => Err(format!("pod {:?} not found", reference("name"))),
            Some(pod) if object::uid(&pod) != reference("uid") => Err(
                "the UID in the bound object reference does not match the UID in record".to_owned(),
            ),
            Some(pod) if !bound_to(&pod, node) => {
                Err("node requested token bound to a pod scheduled on a different node".to_owned())
            }
            Some(_)
                if !self.authorizer.node.refers(
                    node,
                    Refers::ServiceAccount,
                    attributes.namespace,
                    attributes.name,
                ) =>
            {
                Err(format!(
                    "no pod of node {node:?} runs as this service account"
                ))
            }
            Some(_) => Ok(()),
        })
    }
}

fn bound_to(pod: &Value, node: &str) -> bool {
    object::at_str(pod, &["spec", "nodeName"]) == node
}

fn mirror_pod(node: &str, pod: &Value) -> Verdict {
    if object::annotation(pod, MIRROR).is_none() {
        return Err(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if !bound_to(pod, node) {
        return Err(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    let owners = object::owner_references(pod);
    if owners.len() > 1 {
        return Err(format!(
            "node {node:?} can only create pods with a single owner reference set to itself"
        ));
    }
    match owners.first() {
        Some(owner) if owner.kind != "Node" || owner.name != node || owner.api_version != "v1" => {
            Err(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            ))
        }
        _ => Ok(()),
    }
}

fn pod_status(node: &str, new: Option<&Value>, old: Option<&Value>) -> Verdict {
    let (Some(new), Some(old)) = (new, old) else {
        return Ok(());
    };
    if !bound_to(old, node) {
        return Err(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if object::labels(new) != object::labels(old) {
        return Err(format!(
            "node {node:?} cannot update labels through pod status"
        ));
    }
    Ok(())
}

fn node_object(
    node: &str,
    attributes: &Attributes<'_>,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Verdict {
    let name = new.map_or(attributes.name, object::name);
    if name != node || attributes.operation == Operation::Delete {
        return Err(format!(
            "node {node:?} is not allowed to modify node {:?}",
            if name.is_empty() {
                attributes.name
            } else {
                name
            }
        ));
    }
    let Some(new) = new else { return Ok(()) };
    let labels = changed(
        &object::labels(new),
        &old.map(object::labels).unwrap_or_default(),
    );
    let forbidden: Vec<String> = labels.into_iter().filter(|label| !may_set(label)).collect();
    if !forbidden.is_empty() {
        let verb = if old.is_some() {
            "modify"
        } else {
            "set the following"
        };
        return Err(format!(
            "is not allowed to {verb} labels: {}",
            forbidden.join(", ")
        ));
    }
    if let Some(old) = old
        && object::at(new, &["spec", "taints"]).filter(|v| !v.is_null())
            != object::at(old, &["spec", "taints"]).filter(|v| !v.is_null())
    {
        return Err(format!("node {node:?} is not allowed to modify taints"));
    }
    if old.is_none_or(|old| object::owner_references(old) == object::owner_references(new)) {
        return Ok(());
    }
    Err(format!(
        "node {node:?} is not allowed to modify ownerReferences"
    ))
}

fn changed(new: &BTreeMap<String, String>, old: &BTreeMap<String, String>) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    keys.into_iter()
        .filter(|key| new.get(*key) != old.get(*key))
        .cloned()
        .collect()
}

fn may_set(label: &str) -> bool {
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    if label.starts_with(RESTRICTED_PREFIX) || domain.ends_with(".node-restriction.kubernetes.io") {
        return false;
    }
    let reserved = ["kubernetes.io", "k8s.io"]
        .iter()
        .any(|d| domain == *d || domain.ends_with(&format!(".{d}")));
    let own_domain = OWN_PREFIXES.iter().any(|prefix| {
        let own = prefix.trim_end_matches('/');
        domain == own || domain.ends_with(&format!(".{own}"))
    });
    !reserved || own_domain || OWN_LABELS.contains(&label)
}

fn lease(node: &str, attributes: &Attributes<'_>) -> Verdict {
    if attributes.namespace != "kube-node-lease" {
        return Err(
            "can only access leases in the \"kube-node-lease\" system namespace".to_owned(),
        );
    }
    named_as_node(node, attributes, "lease")
}

fn named_as_node(node: &str, attributes: &Attributes<'_>, what: &str) -> Verdict {
    if attributes.name.is_empty() || attributes.name == node {
        return Ok(());
    }
    Err(format!(
        "can only access {what} with the same name as the requesting node"
    ))
}

#[async_trait]
impl Step for NodeRestriction {
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let Some(node) = node_of(attributes.user) else {
            return Ok(());
        };
        self.judge(node, attributes, new, old)?.map_err(|text| {
            Status::forbidden(&attributes.resource.gr(), attributes.name, &text).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_a_kubelet_may_set() {
        for own in [
            "kubernetes.io/hostname",
            "node.kubernetes.io/instance-type",
            "k3s.cattle.io/x",
            "a",
            "x.kubelet.kubernetes.io/y",
        ] {
            assert!(may_set(own), "{own}");
        }
        for other in [
            "node-restriction.kubernetes.io/x",
            "node-role.kubernetes.io/control-plane",
            "foo.k8s.io/x",
        ] {
            assert!(!may_set(other), "{other}");
        }
    }
}
