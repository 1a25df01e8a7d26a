//! Orphaning: dependents lose the reference before the owner is deleted, never after.

use k3s_client::Obj;
use k3s_reconcile::Error;

use super::graph::Item;
use super::{GarbageCollector, ORPHAN};

impl GarbageCollector {
    pub(super) async fn orphan_dependents(&self, item: &Item, owner: &Obj) -> Result<(), Error> {
        let uids = [item.uid.as_str()];
        for dependent in self.graph.dependents(&item.uid) {
            let Some(resource) = self.graph.resource(&dependent) else {
                continue;
            };
            let Some(cached) = self.graph.get(&dependent) else {
                continue;
            };
            let Some(live) = self.live(&resource, &cached).await? else {
                continue;
            };
            if live.uid() == dependent.uid {
                self.drop_owners(&resource, &live, &uids).await?;
            }
        }
        self.drop_finalizer(item, owner, ORPHAN).await
    }
}
