//! PodResizeValidator: a pod is not resized to more than its node has, and not on nodes that cannot resize
//! (`plugin/pkg/admission/podresize`). What does not fit beside other pods is the kubelet's to defer.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::status::{Cause, CauseType};
use k3s_meta::{Status, object, tree};
use k3s_objects::{PodSpec, ResourceList};
use k3s_registry::{Attributes, Error, Result};
use serde_json::Value;

use super::listers::{Listers, Node};
use super::{Step, forbidden, is_resize};

const NODE_CAPACITY: &str = "NodeCapacity";
const UNSUPPORTED_PLATFORM: &str = "UnsupportedPlatform";

pub(super) struct PodResizeValidator(Arc<Listers>);

impl PodResizeValidator {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }
}

/// Why a node cannot give a pod what it asks for: the cause in one word, and a sentence.
fn refusal(
    node_name: &str,
    node: &Node,
    requests: &ResourceList,
) -> Option<(&'static str, String)> {
    if !matches!(node.os.as_str(), "" | "linux") {
        let os = &node.os;
        let text =
            format!("pod resize is only supported on linux nodes, node {node_name:?} is {os:?}");
        return Some((UNSUPPORTED_PLATFORM, text));
    }
    let amounts = |name: &str| (requests.amount(name), node.allocatable.amount(name));
    let mut short = Vec::new();
    let (wanted, allocatable) = amounts("cpu");
    if wanted > allocatable {
        let [wanted, allocatable] = [wanted, allocatable].map(|amount| amount.milli());
        short.push(format!(
            "cpu, requested: {wanted}, allocatable: {allocatable}"
        ));
    }
    let (wanted, allocatable) = amounts("memory");
    if wanted > allocatable {
        let [wanted, allocatable] = [wanted, allocatable].map(|amount| amount.value());
        short.push(format!(
            "memory, requested: {wanted}, allocatable: {allocatable}"
        ));
    }
    let short = Some(short.join("; ")).filter(|short| !short.is_empty())?;
    let text = format!("node didn't have enough allocatable resources: {short}");
    Some((NODE_CAPACITY, text))
}

fn refused(attributes: &Attributes<'_>, name: &str, cause: &'static str, text: &str) -> Error {
    let mut status = Status::forbidden(&attributes.resource.gr(), name, text);
    if let Some(details) = &mut status.details {
        details.causes.push(Cause {
            reason: CauseType(cause.into()),
            ..Cause::default()
        });
    }
    status.into()
}

#[async_trait]
impl Step for PodResizeValidator {
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let (Some(new), Some(old)) = (new, old) else {
            return Ok(());
        };
        let node_name = tree::text(new, "spec.nodeName");
        let [spec, before] = [new, old].map(|pod| tree::get(pod, "spec"));
        let is_bound = !node_name.is_empty();
        let Some(spec) = spec.filter(|_| is_resize(attributes) && is_bound && spec != before)
        else {
            return Ok(());
        };
        let name = object::name(new);
        let Some(node) = self.0.nodes.get("", node_name)? else {
            let text = format!("node {node_name:?} not found");
            return Err(forbidden(attributes, name, &text));
        };
        let requests = PodSpec::resources_from_value(spec).requests();
        match refusal(node_name, &node, &requests) {
            None => Ok(()),
            Some((cause, text)) => Err(refused(attributes, name, cause, &text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use k3s_registry::mirror::Decode;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_gets_no_more_than_its_node_has() {
        let on = |os: &str| {
            Node::decode(&json!({"metadata": {"labels": {"kubernetes.io/os": os}},
                "status": {"allocatable": {"cpu": "2", "memory": "1Gi"}}}))
        };
        for (os, requests, expected) in [
            ("linux", json!({"cpu": "2", "memory": "1Gi"}), None),
            (
                "linux",
                json!({"cpu": "2500m"}),
                Some(
                    "node didn't have enough allocatable resources: cpu, requested: 2500, allocatable: 2000",
                ),
            ),
            (
                "linux",
                json!({"cpu": "3", "memory": "2Gi"}),
                Some(
                    "node didn't have enough allocatable resources: cpu, requested: 3000, allocatable: 2000; \
                     memory, requested: 2147483648, allocatable: 1073741824",
                ),
            ),
            (
                "windows",
                json!({}),
                Some("pod resize is only supported on linux nodes, node \"n\" is \"windows\""),
            ),
        ] {
            let found = refusal("n", &on(os), &ResourceList::from_value(&requests));
            assert_eq!(found.map(|(_, text)| text).as_deref(), expected);
        }
    }
}
