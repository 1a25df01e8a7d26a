//! PersistentVolumeClaimResize: a claim grows only if its class allows that.

use async_trait::async_trait;
use k3s_meta::{Status, object};
use k3s_registry::{Attributes, Operation, Registry, Result};
use serde_json::Value;

use super::{Step, find, is};

pub(super) struct PersistentVolumeClaimResize(Registry);

impl PersistentVolumeClaimResize {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    fn may_grow(&self, claim: &Value) -> Result<bool> {
        let class = k3s_volume::class_of(claim);
        if class.is_empty() {
            return Ok(false);
        }
        let class = find(&self.0, "storage.k8s.io", "storageclasses", "", class)?;
        Ok(class.is_some_and(|class| k3s_volume::Class(&class).can_expand()))
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
        if attributes.operation != Operation::Update
            || !is(attributes, "", "persistentvolumeclaims")
        {
            return Ok(());
        }
        let grows = match (k3s_volume::request(new), k3s_volume::request(old)) {
            (Some(new), Some(old)) => new > old,
            _ => false,
        };
        if !grows {
            return Ok(());
        }
        let refuse = |text: &str| {
            Err(Status::forbidden(&attributes.resource.gr(), object::name(new), text).into())
        };
        if object::at_str(old, &["status", "phase"]) != "Bound" {
            return refuse("Only bound persistent volume claims can be expanded");
        }
        if !self.may_grow(old)? {
            return refuse(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
            );
        }
        Ok(())
    }
}
