//! RuntimeClass: a pod takes over what its class costs and where it can run
//! (`plugin/pkg/admission/runtimeclass`).

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{object, tree};
use k3s_objects::{ResourceList, toleration};
use k3s_registry::{Attributes, Operation, Result};
use serde_json::Value;

use super::listers::{self, Listers};
use super::{Step, forbidden, is_write_of};

const OTHER_OVERHEAD: &str =
    "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
const NO_OVERHEAD: &str =
    "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

pub(super) struct RuntimeClass(Arc<Listers>);

impl RuntimeClass {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }

    fn class_of(
        &self,
        attributes: &Attributes<'_>,
        pod: &Value,
    ) -> Result<Option<Arc<listers::RuntimeClass>>> {
        let name = tree::text(pod, "spec.runtimeClassName");
        if name.is_empty() {
            return Ok(None);
        }
        let class = self.0.runtime_classes.get("", name)?;
        if class.is_none() {
            let text = format!("pod rejected: RuntimeClass \"{name}\" not found");
            return Err(forbidden(attributes, object::name(pod), &text));
        }
        Ok(class)
    }
}

fn concerns(attributes: &Attributes<'_>) -> bool {
    attributes.operation == Operation::Create && is_write_of(attributes, "", "pods")
}

/// Whether the pod states exactly what the class costs.
fn has_overhead(pod: &Value, class: &listers::RuntimeClass) -> bool {
    let stated = tree::get(pod, "spec.overhead").unwrap_or(&Value::Null);
    let list = |list: &Value| ResourceList::from_value(list);
    let defined = class.overhead.clone().unwrap_or_default();
    list(stated) == list(&Value::Object(defined))
}

fn set_overhead(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    class: &listers::RuntimeClass,
) -> Result<()> {
    let Some(overhead) = &class.overhead else {
        return Ok(());
    };
    let is_stated = !tree::map(pod, "spec.overhead").is_empty();
    if is_stated && !has_overhead(pod, class) {
        return Err(forbidden(attributes, object::name(pod), OTHER_OVERHEAD));
    }
    if !overhead.is_empty() {
        tree::set(pod, "spec.overhead", overhead.clone());
    }
    Ok(())
}

fn set_scheduling(
    attributes: &Attributes<'_>,
    pod: &mut Value,
    class: &listers::RuntimeClass,
) -> Result<()> {
    let mut selector = tree::map(pod, "spec.nodeSelector").clone();
    for (key, wanted) in &class.node_selector {
        if let Some(stated) = selector.get(key).filter(|stated| *stated != wanted) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let text = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                text(wanted),
                text(stated)
            );
            return Err(forbidden(attributes, object::name(pod), &text));
        }
        selector.insert(key.clone(), wanted.clone());
    }
    if !class.node_selector.is_empty() {
        tree::set(pod, "spec.nodeSelector", selector);
    }
    if !class.tolerations.is_empty() {
        let stated = tree::list(pod, "spec.tolerations");
        let merged = toleration::merge(stated, &class.tolerations);
        tree::set(pod, "spec.tolerations", merged);
    }
    Ok(())
}

#[async_trait]
impl Step for RuntimeClass {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        if !concerns(attributes) {
            return Ok(());
        }
        let Some(class) = self.class_of(attributes, new)? else {
            return Ok(());
        };
        set_overhead(attributes, new, &class)?;
        set_scheduling(attributes, new, &class)
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<()> {
        let Some(pod) = new.filter(|_| concerns(attributes)) else {
            return Ok(());
        };
        let class = self.class_of(attributes, pod)?;
        let class = class.filter(|class| class.overhead.is_some());
        let refusal = match class {
            Some(class) if has_overhead(pod, &class) => return Ok(()),
            Some(_) => OTHER_OVERHEAD,
            None if tree::get(pod, "spec.overhead").is_none() => return Ok(()),
            None => NO_OVERHEAD,
        };
        Err(forbidden(attributes, object::name(pod), refusal))
    }
}
