//! Finding the pod, node and container that a streaming request means.

use k3s_meta::{Status, object, tree};
use k3s_registry::Result;
use serde_json::Value;

use crate::context::Context;

/// A pod on its node.
pub(super) struct PodTarget {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: String,
    pub(super) container: String,
}

impl PodTarget {
    /// The pod of the request and the container it names.
    ///
    /// # Errors
    /// 400 without a node or with a container that is not there, in upstream's words.
    pub(super) fn find(context: &Context, container: Option<&str>) -> Result<Self> {
        let found = Self::find_bound(context, container)?;
        found.ok_or_else(|| no_node(context).into())
    }

    /// The same, and nothing for a pod that has no node yet.
    ///
    /// # Errors
    /// 400 with a container that is not there, in upstream's words.
    pub(super) fn find_bound(context: &Context, container: Option<&str>) -> Result<Option<Self>> {
        let pod = pod(context)?;
        let container = choose(&pod, container)?;
        let node = tree::text(&pod, "spec.nodeName");
        Ok((!node.is_empty()).then(|| Self {
            namespace: context.info.namespace.clone(),
            name: context.info.name.clone(),
            node: node.to_owned(),
            container,
        }))
    }
}

/// The pod of the request and its node.
pub(super) fn bound_pod(context: &Context) -> Result<(Value, String)> {
    let pod = pod(context)?;
    let node = tree::text(&pod, "spec.nodeName").to_owned();
    if node.is_empty() {
        return Err(no_node(context).into());
    }
    Ok((pod, node))
}

fn pod(context: &Context) -> Result<Value> {
    let info = &context.info;
    let pods = context.registry().resource("", "v1", "pods")?;
    let pod = context.registry().get(pods, &info.namespace, &info.name)?;
    pod.to_value()
}

fn no_node(context: &Context) -> Status {
    Status::bad_request(format!(
        "pod {} does not have a host assigned",
        context.info.name
    ))
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    tree::list(pod, &format!("spec.{list}"))
        .iter()
        .map(|c| tree::text(c, "name").to_owned())
        .collect()
}

fn choose(pod: &Value, container: Option<&str>) -> Result<String> {
    let name = object::name(pod);
    let containers = names(pod, "containers");
    let init = names(pod, "initContainers");
    if let Some(wanted) = container {
        let known = containers
            .iter()
            .chain(&init)
            .chain(&names(pod, "ephemeralContainers"))
            .any(|c| c == wanted);
        return if known {
            Ok(wanted.to_owned())
        } else {
            Err(
                Status::bad_request(format!("container {wanted} is not valid for pod {name}"))
                    .into(),
            )
        };
    }
    match containers.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Status::bad_request(format!(
            "a container name must be specified for pod {name}"
        ))
        .into()),
        many => {
            let list = many.join(" ");
            let mut text = format!(
                "a container name must be specified for pod {name}, choose one of: [{list}]"
            );
            if !init.is_empty() {
                text.push_str(&format!(
                    " or one of the init containers: [{}]",
                    init.join(" ")
                ));
            }
            Err(Status::bad_request(text).into())
        }
    }
}
