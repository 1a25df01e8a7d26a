//! NodeRestriction: a kubelet changes its own Node and Lease, and the pods bound to it, and nothing
//! that would draw other workloads to it (`plugin/pkg/admission/noderestriction`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::object::{self, OwnerReference};
use k3s_meta::tree;
use k3s_objects::pod::MIRROR_ANNOTATION;
use k3s_registry::{Attributes, Error, Operation, Registry, Resource, Result};
use serde_json::Value;

use super::{Step, forbidden};
use crate::authz::node::{ReferenceKind, node_of, references};
use crate::authz::{self, Authorizer, Decision};

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

/// Why a node may not do what it asks.
#[derive(Debug, thiserror::Error)]
enum Denial {
    /// The rules forbid it; a sentence for the client, in upstream's words.
    #[error("{0}")]
    Refused(String),
    /// What the rules ask about cannot be read.
    #[error("cannot look up what the node asks about")]
    Lookup(#[from] Error),
}

impl Denial {
    fn into_error(self, attributes: &Attributes<'_>) -> Error {
        match self {
            Self::Refused(text) => forbidden(attributes, attributes.name, &text),
            Self::Lookup(error) => error,
        }
    }
}

type Verdict = std::result::Result<(), Denial>;

fn refuse(text: impl Into<String>) -> Verdict {
    Err(Denial::Refused(text.into()))
}

impl NodeRestriction {
    pub(super) fn new(registry: &Registry, authorizer: &Arc<Authorizer>) -> Self {
        Self {
            registry: registry.clone(),
            authorizer: authorizer.clone(),
        }
    }

    fn admit(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let Some(node) = node_of(attributes.user) else {
            return Ok(());
        };
        self.check_request(node, attributes, new, old)
            .map_err(|denial| denial.into_error(attributes))
    }

    fn check_request(
        &self,
        node: &str,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Verdict {
        let kind = attributes.resource.kind;
        match (kind.group, kind.plural, attributes.subresource) {
            ("", "pods", "") => check_pod(node, attributes, new, old),
            ("", "pods", "status") => check_pod_status(node, new, old),
            ("", "pods", "eviction") => self.check_eviction(node, attributes),
            ("", "pods", other) => refuse(format!(
                "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
            )),
            ("", "nodes", _) => check_node(node, attributes, new, old),
            ("", "serviceaccounts", "token") => match new {
                Some(request) => self.check_token(node, attributes, request),
                None => Ok(()),
            },
            ("coordination.k8s.io", "leases", _) => check_lease(node, attributes),
            ("storage.k8s.io", "csinodes", _) => check_name(node, attributes, "CSINode"),
            _ => Ok(()),
        }
    }

    fn check_eviction(&self, node: &str, attributes: &Attributes<'_>) -> Verdict {
        let pod = self.find_pod(attributes.namespace, attributes.name)?;
        match pod {
            Some(pod) if !is_bound_to(&pod, node) => refuse(format!(
                "node {node} can only evict pods with spec.nodeName set to itself"
            )),
            _ => Ok(()),
        }
    }

    /// Tokens are for pods of the node, and bound to them.
    fn check_token(&self, node: &str, attributes: &Attributes<'_>, request: &Value) -> Verdict {
        let reference = |key| tree::text(request, &format!("spec.boundObjectRef.{key}"));
        let (pod_name, pod_uid) = (reference("name"), reference("uid"));
        if reference("kind") != "Pod" || pod_name.is_empty() {
            return refuse("node requested token not bound to a pod");
        }
        if pod_uid.is_empty() {
            return refuse("node requested token with a pod binding without a uid");
        }
        let Some(pod) = self.find_pod(attributes.namespace, pod_name)? else {
            return refuse(format!("pod {pod_name:?} not found"));
        };
        if object::uid(&pod) != pod_uid {
            return refuse(
                "the UID in the bound object reference does not match the UID in record",
            );
        }
        if !is_bound_to(&pod, node) {
            return refuse("node requested token bound to a pod scheduled on a different node");
        }
        let (namespace, account) = (attributes.namespace, attributes.name);
        let runs_as =
            self.authorizer
                .node
                .refers(node, ReferenceKind::ServiceAccount, namespace, account);
        if !runs_as {
            return refuse(format!(
                "no pod of node {node:?} runs as this service account"
            ));
        }
        self.check_audience(attributes, request, &pod)
    }

    /// A token is for an audience that the pod asks for (KEP-4412, `ServiceAccountNodeAudienceRestriction`), or
    /// one that the node was granted.
    fn check_audience(&self, attributes: &Attributes<'_>, request: &Value, pod: &Value) -> Verdict {
        let audience = match tree::list(request, "spec.audiences") {
            [] => "",
            [one] => one.as_str().unwrap_or_default(),
            _ => return refuse("node may only request 0 or 1 audiences"),
        };
        if self.asks_for_audience(pod, audience)? {
            return Ok(());
        }
        let user = attributes.user;
        let granted = authz::Attributes {
            user,
            verb: "request-serviceaccounts-token-audience",
            namespace: attributes.namespace,
            group: "",
            resource: audience,
            subresource: "",
            name: attributes.name,
            path: "",
            is_resource: true,
            field_selector: None,
        };
        if self.authorizer.authorize(&granted) == Decision::Allow {
            return Ok(());
        }
        refuse(format!(
            "audience {audience:?} not found in pod spec volume, {} is not authorized to request tokens for this audience",
            user.name
        ))
    }

    /// Whether a volume of the pod needs a token for the audience.
    fn asks_for_audience(&self, pod: &Value, audience: &str) -> Result<bool> {
        for volume in tree::list(pod, "spec.volumes") {
            let sources = tree::list(volume, "projected.sources").iter();
            let mut tokens = sources.filter_map(|source| tree::get(source, "serviceAccountToken"));
            if tokens.any(|token| tree::text(token, "audience") == audience) {
                return Ok(true);
            }
            let Some(driver) = self.driver_of(pod, volume)? else {
                continue;
            };
            let mut wanted = tree::list(&driver, "spec.tokenRequests").iter();
            if wanted.any(|token| tree::text(token, "audience") == audience) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The CSI driver of a volume: named by the pod, or by what its claim is bound to.
    fn driver_of(&self, pod: &Value, volume: &Value) -> Result<Option<Value>> {
        let mut name = tree::text(volume, "csi.driver").to_owned();
        let claim = match tree::text(volume, "persistentVolumeClaim.claimName") {
            "" if tree::has(volume, "ephemeral") => {
                format!("{}-{}", object::name(pod), tree::text(volume, "name"))
            }
            claim => claim.to_owned(),
        };
        if !claim.is_empty() {
            let claims = self.registry.resource("", "v1", "persistentvolumeclaims")?;
            let claim = self.find(claims, object::namespace(pod), &claim)?;
            let bound = claim.map(|claim| tree::text(&claim, "spec.volumeName").to_owned());
            let volumes = self.registry.resource("", "v1", "persistentvolumes")?;
            let bound = self.find(volumes, "", &bound.unwrap_or_default())?;
            name = bound
                .map(|volume| tree::text(&volume, "spec.csi.driver").to_owned())
                .unwrap_or_default();
        }
        let drivers = self
            .registry
            .resource("storage.k8s.io", "v1", "csidrivers")?;
        self.find(drivers, "", &name)
    }

    fn find_pod(&self, namespace: &str, name: &str) -> Result<Option<Value>> {
        let pods = self.registry.resource("", "v1", "pods")?;
        self.find(pods, namespace, name)
    }

    fn find(&self, resource: &Arc<Resource>, namespace: &str, name: &str) -> Result<Option<Value>> {
        match self.registry.get(resource, namespace, name) {
            Ok(object) => object.to_value().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_bound_to(pod: &Value, node: &str) -> bool {
    tree::text(pod, "spec.nodeName") == node
}

fn check_pod(
    node: &str,
    attributes: &Attributes<'_>,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Verdict {
    match (attributes.operation, new, old) {
        (Operation::Create, Some(pod), _) => check_mirror_pod(node, pod),
        (Operation::Delete, _, Some(pod)) if is_bound_to(pod, node) => Ok(()),
        (Operation::Delete, ..) => refuse(format!(
            "node {node:?} can only delete pods with spec.nodeName set to itself"
        )),
        _ => refuse(format!(
            "unexpected operation {:?}",
            attributes.operation.as_str()
        )),
    }
}

fn check_mirror_pod(node: &str, pod: &Value) -> Verdict {
    if object::annotation(pod, MIRROR_ANNOTATION).is_none() {
        return refuse(format!(
            "pod does not have {MIRROR_ANNOTATION:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if !is_bound_to(pod, node) {
        return refuse(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    let owners = object::owner_references(pod);
    if owners.len() > 1 {
        return refuse(format!(
            "node {node:?} can only create pods with a single owner reference set to itself"
        ));
    }
    let is_own = |owner: &OwnerReference| {
        owner.kind == "Node" && owner.name == node && owner.api_version == "v1"
    };
    if !owners.iter().all(is_own) {
        return refuse(format!(
            "node {node:?} can only create pods with an owner reference set to itself"
        ));
    }
    check_mirror_references(node, pod)
}

/// A static pod uses no object of the API, so its mirror names none.
fn check_mirror_references(node: &str, pod: &Value) -> Verdict {
    let references = references(pod);
    let names = [
        (ReferenceKind::ServiceAccount, "a service account"),
        (ReferenceKind::Secret, "secrets"),
        (ReferenceKind::ConfigMap, "configmaps"),
        (ReferenceKind::Claim, "persistentvolumeclaims"),
    ];
    for (kind, name) in names {
        if references.iter().any(|(found, _)| *found == kind) {
            return refuse(format!(
                "node {node:?} can not create pods that reference {name}"
            ));
        }
    }
    let mut volumes = tree::list(pod, "spec.volumes").iter();
    if volumes.any(|volume| tree::has(volume, "projected")) {
        return refuse(format!(
            "node {node:?} can not create pods that reference projected volumes"
        ));
    }
    Ok(())
}

fn check_pod_status(node: &str, new: Option<&Value>, old: Option<&Value>) -> Verdict {
    let (Some(new), Some(old)) = (new, old) else {
        return Ok(());
    };
    if !is_bound_to(old, node) {
        return refuse(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if object::labels(new) != object::labels(old) {
        return refuse(format!(
            "node {node:?} cannot update labels through pod status"
        ));
    }
    Ok(())
}

fn check_node(
    node: &str,
    attributes: &Attributes<'_>,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Verdict {
    let name = new.map_or(attributes.name, object::name);
    if name != node || attributes.operation == Operation::Delete {
        let shown = if name.is_empty() {
            attributes.name
        } else {
            name
        };
        return refuse(format!(
            "node {node:?} is not allowed to modify node {shown:?}"
        ));
    }
    let Some(new) = new else { return Ok(()) };
    check_node_labels(new, old)?;
    let Some(old) = old else { return Ok(()) };
    let taints = |node| tree::get(node, "spec.taints");
    if taints(new) != taints(old) {
        return refuse(format!("node {node:?} is not allowed to modify taints"));
    }
    if object::owner_references(old) != object::owner_references(new) {
        return refuse(format!(
            "node {node:?} is not allowed to modify ownerReferences"
        ));
    }
    Ok(())
}

fn check_node_labels(new: &Value, old: Option<&Value>) -> Verdict {
    let before = old.map(object::labels).unwrap_or_default();
    let labels = changed(&object::labels(new), &before);
    let forbidden: Vec<String> = labels.into_iter().filter(|label| !may_set(label)).collect();
    if forbidden.is_empty() {
        return Ok(());
    }
    let verb = if old.is_some() {
        "modify"
    } else {
        "set the following"
    };
    refuse(format!(
        "is not allowed to {verb} labels: {}",
        forbidden.join(", ")
    ))
}

fn changed(new: &BTreeMap<String, String>, old: &BTreeMap<String, String>) -> Vec<String> {
    let keys: BTreeSet<&String> = new.keys().chain(old.keys()).collect();
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

fn check_lease(node: &str, attributes: &Attributes<'_>) -> Verdict {
    if attributes.namespace != "kube-node-lease" {
        return refuse("can only access leases in the \"kube-node-lease\" system namespace");
    }
    check_name(node, attributes, "lease")
}

fn check_name(node: &str, attributes: &Attributes<'_>, what: &str) -> Verdict {
    if attributes.name.is_empty() || attributes.name == node {
        return Ok(());
    }
    refuse(format!(
        "can only access {what} with the same name as the requesting node"
    ))
}

#[async_trait]
impl Step for NodeRestriction {
    /// Changes nothing: what a node may not create is refused before it is validated, as upstream does.
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<()> {
        if attributes.operation == Operation::Create {
            self.admit(attributes, Some(new), old)
        } else {
            Ok(())
        }
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        self.admit(attributes, new, old)
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
