//! Orphaning: dependents lose the reference before the owner is deleted, never after.

use k3s_client::Obj;
use k3s_reconcile::Error;

use super::graph::Item;
use super::{GarbageCollector, ORPHAN};

impl GarbageCollector {
    pub(super) async fn orphan_dependents(&self, item: &Item, owner: &Obj) -> Result<(), Error> {
        for dependent in self.graph.dependents(&item.uid) {
            let Some(resource) = self.graph.resource(&dependent) else {
                continue;
            };
            let Some(cached) = self.graph.get(&dependent) else {
                continue;
            };
            match self.client.get(&resource, cached.ns(), cached.name()).await {
                Ok(live) if live.uid() == dependent.uid => {
                    self.drop_owners(&resource, &live, &[item.uid.as_str()])
                        .await?
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.drop_finalizer(item, owner, ORPHAN).await
    }
}
