//! Deleting a namespace's content.

use k3s_client::discovery::Served;
use k3s_client::resources::PODS;
use k3s_client::{DeleteParams, ListParams, Object};
use k3s_reconcile::Error;

use super::NamespaceController;
use super::plan::Found;

impl NamespaceController {
    /// Deletes what can be deleted and returns what is left.
    pub(super) async fn empty(&self, namespace: &str) -> Result<Found, Error> {
        let (served, undiscovered) = self.client.discover().await?;
        let mut found = Found {
            undiscovered,
            ..Found::default()
        };
        let mut kinds: Vec<Served> = served
            .into_iter()
            .filter(|s| s.resource.namespaced && s.takes(&["list", "delete"]))
            .collect();
        // Pods first: what they use (policies, secrets, volumes) must outlive them.
        kinds.sort_by_key(|kind| kind.resource != PODS);
        for kind in &kinds {
            if let Err(error) = self.empty_kind(namespace, kind, &mut found).await {
                if error.is_unreachable() {
                    return Err(error.into());
                }
                found.failures.push(format!("{}: {error}", kind.resource));
            }
            if kind.resource == PODS && !found.remaining.is_empty() {
                return Ok(found);
            }
        }
        Ok(found)
    }

    async fn empty_kind(
        &self,
        namespace: &str,
        kind: &Served,
        found: &mut Found,
    ) -> k3s_client::Result<()> {
        let resource = &kind.resource;
        let all = ListParams::default();
        let before = self
            .client
            .list_all_metadata(resource, Some(namespace), &all)
            .await?;
        let mut undeleted = before.items.clone();
        undeleted.retain(|object| !object.is_deleting());
        if undeleted.is_empty() {
            note(kind, &before.items, found);
            return Ok(());
        }
        let background = DeleteParams::background();
        if kind.takes(&["deletecollection"]) {
            self.client
                .delete_collection(resource, Some(namespace), &background, &all)
                .await?;
        } else {
            for object in undeleted {
                let deleted = self
                    .client
                    .delete(resource, Some(namespace), object.name(), &background)
                    .await;
                match deleted {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let after = self
            .client
            .list_all_metadata(resource, Some(namespace), &all)
            .await?;
        note(kind, &after.items, found);
        Ok(())
    }
}

fn note(kind: &Served, left: &[Object], found: &mut Found) {
    if left.is_empty() {
        return;
    }
    let plural = &kind.resource.plural;
    let group = &kind.resource.group;
    // As upstream writes it: `pods.` for the core group.
    let name = format!("{plural}.{group}");
    found.remaining.insert(name, left.len());
    for object in left {
        for finalizer in &object.meta().finalizers {
            let holders = found.finalizers.entry(finalizer.clone()).or_default();
            *holders += 1;
        }
    }
}
