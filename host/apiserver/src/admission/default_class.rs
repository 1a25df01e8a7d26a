//! DefaultStorageClass: a claim that says nothing about its class gets the default one. One that
//! names the empty class wants none.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{object, tree};
use k3s_registry::{Attributes, Operation, Result};
use serde_json::Value;

use super::listers::Listers;
use super::{Step, is_write_of};

pub(super) struct DefaultStorageClass(Arc<Listers>);

impl DefaultStorageClass {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
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
        let creates = attributes.operation == Operation::Create
            && is_write_of(attributes, "", "persistentvolumeclaims");
        if !creates || k3s_volume::has_class(claim) {
            return Ok(());
        }
        let classes = self.0.storage_classes.list("")?;
        let objects = classes.iter().map(|class| &class.0);
        if let Some(class) = k3s_volume::default_class(objects) {
            let name = object::name(class);
            tree::set(claim, "spec.storageClassName", name);
        }
        Ok(())
    }
}
