//! DefaultStorageClass: a claim that says nothing about its class gets the default one. One that
//! names the empty class wants none.

use async_trait::async_trait;
use k3s_meta::object;
use k3s_registry::{Attributes, ListRequest, Object, Operation, Registry, Result};
use serde_json::Value;

use super::{Step, is};

pub(super) struct DefaultStorageClass(Registry);

impl DefaultStorageClass {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }
}

#[async_trait]
impl Step for DefaultStorageClass {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        claim: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        let concerns = attributes.operation == Operation::Create
            && is(attributes, "", "persistentvolumeclaims");
        if !concerns || k3s_volume::has_class(claim) {
            return Ok(());
        }
        let classes = self.0.resource("storage.k8s.io", "v1", "storageclasses")?;
        let entries = self.0.list(classes, &ListRequest::all("")).await?.entries;
        let all: Vec<Value> = entries
            .into_iter()
            .map(|entry| Object::stored(classes, entry).to_value())
            .collect::<Result<_>>()?;
        if let Some(class) = k3s_volume::default_class(&all) {
            object::set(
                claim,
                &["spec", "storageClassName"],
                object::name(class).into(),
            );
        }
        Ok(())
    }
}
