//! StorageObjectInUseProtection: claims and volumes get a finalizer, so that they stay as long as
//! they are used; the protection controllers remove it.

use async_trait::async_trait;
use k3s_meta::{object, tree};
use k3s_registry::{Attributes, Operation, Result};
use k3s_volume::names;
use serde_json::Value;

use super::{Step, is_write_of};

pub(super) struct StorageObjectInUseProtection;

#[async_trait]
impl Step for StorageObjectInUseProtection {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        if attributes.operation != Operation::Create {
            return Ok(());
        }
        let finalizer = if is_write_of(attributes, "", "persistentvolumeclaims") {
            names::CLAIM_PROTECTION
        } else if is_write_of(attributes, "", "persistentvolumes") {
            names::VOLUME_PROTECTION
        } else {
            return Ok(());
        };
        let mut all = object::finalizers(new);
        if !all.iter().any(|present| present == finalizer) {
            all.push(finalizer.to_owned());
            tree::set(new, "metadata.finalizers", Value::from(all));
        }
        Ok(())
    }
}
