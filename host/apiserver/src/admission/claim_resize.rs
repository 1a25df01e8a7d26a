//! PersistentVolumeClaimResize: a claim grows only if its class allows that.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{object, tree};
use k3s_registry::{Attributes, Operation, Result};
use serde_json::Value;

use super::listers::Listers;
use super::{Step, forbidden, is_write_of};

const NOT_BOUND: &str = "Only bound persistent volume claims can be expanded";
const NOT_EXPANDABLE: &str = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";

pub(super) struct PersistentVolumeClaimResize(Arc<Listers>);

impl PersistentVolumeClaimResize {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }

    fn can_expand(&self, claim: &Value) -> Result<bool> {
        let class = k3s_volume::class_of(claim);
        if class.is_empty() {
            return Ok(false);
        }
        let class = self.0.storage_classes.get("", class)?;
        Ok(class.is_some_and(|class| k3s_volume::Class(&class.0).can_expand()))
    }
}

fn grows(new: &Value, old: &Value) -> bool {
    match (k3s_volume::request(new), k3s_volume::request(old)) {
        (Some(new), Some(old)) => new > old,
        _ => false,
    }
}

#[async_trait]
impl Step for PersistentVolumeClaimResize {
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let (Some(new), Some(old)) = (new, old) else {
            return Ok(());
        };
        let updates = attributes.operation == Operation::Update
            && is_write_of(attributes, "", "persistentvolumeclaims");
        if !updates || !grows(new, old) {
            return Ok(());
        }
        if tree::text(old, "status.phase") != "Bound" {
            return Err(forbidden(attributes, object::name(new), NOT_BOUND));
        }
        if !self.can_expand(old)? {
            return Err(forbidden(attributes, object::name(new), NOT_EXPANDABLE));
        }
        Ok(())
    }
}
