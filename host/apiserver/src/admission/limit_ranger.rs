//! LimitRanger, container defaults only: a container without requests or limits gets those of the
//! namespace's LimitRanges. Minima, maxima and ratios are not checked, which writers of a LimitRange
//! are told.

use async_trait::async_trait;
use k3s_meta::object;
use k3s_registry::{Attributes, ListRequest, Object, Operation, Registry, Result};
use serde_json::{Map, Value};

use super::{Step, is};

pub(super) struct LimitRanger(Registry);

impl LimitRanger {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    /// Default limits and requests of containers, of all ranges of the namespace.
    async fn defaults(&self, namespace: &str) -> Result<(Map<String, Value>, Map<String, Value>)> {
        let ranges = self.0.resource("", "v1", "limitranges")?;
        let (mut limits, mut requests) = (Map::new(), Map::new());
        for entry in self.0.list(ranges, &ListRequest::all(namespace)).await?.entries {
            let range = Object::stored(ranges, entry).to_value()?;
            for item in object::at_list(&range, &["spec", "limits"]) {
                if object::at_str(item, &["type"]) == "Container" {
                    add(&mut limits, item.get("default"));
                    add(&mut requests, item.get("defaultRequest"));
                }
            }
        }
        Ok((limits, requests))
    }
}

fn add(to: &mut Map<String, Value>, from: Option<&Value>) {
    for (name, quantity) in from.and_then(Value::as_object).into_iter().flatten() {
        to.entry(name.clone()).or_insert_with(|| quantity.clone());
    }
}

fn fill(container: &mut Value, field: &str, defaults: &Map<String, Value>) {
    if defaults.is_empty() {
        return;
    }
    if let Some(map) = object::map_mut(container, &["resources", field]) {
        for (name, quantity) in defaults {
            map.entry(name.clone()).or_insert_with(|| quantity.clone());
        }
    }
}

#[async_trait]
impl Step for LimitRanger {
    async fn mutate(&self, attributes: &Attributes<'_>, pod: &mut Value, _: Option<&Value>) -> Result<()> {
        if attributes.operation != Operation::Create || !is(attributes, "", "pods") {
            return Ok(());
        }
        let (limits, requests) = self.defaults(attributes.namespace).await?;
        if limits.is_empty() && requests.is_empty() {
            return Ok(());
        }
        for list in ["initContainers", "containers"] {
            let containers = pod.get_mut("spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                fill(container, "requests", &requests);
                fill(container, "limits", &limits);
            }
        }
        Ok(())
    }
}
