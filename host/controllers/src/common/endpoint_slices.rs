//! Slices of one manager: which object each belongs to, and how planned changes are made.

use std::sync::Arc;

use k3s_client::resources::ENDPOINT_SLICES;
use k3s_client::{
    Client, DeleteParams, Expectations, Informer, InformerEvent, Obj, Object, key, split_key,
    uid_is,
};
use k3s_objects::endpoint_slice::{MANAGED_BY_LABEL, SERVICE_NAME_LABEL};
use k3s_reconcile::{Error, Key};
use serde_json::Value;

/// One write of a plan.
#[derive(Debug)]
pub(crate) enum Action {
    Create(Value),
    Update(Value),
    Delete(Object),
}

/// Writes the slices that `manager` keeps, and knows which of its writes are yet to be seen.
#[derive(Clone)]
pub(crate) struct ManagedSlices {
    client: Client,
    slices: Informer,
    expectations: Arc<Expectations>,
    manager: &'static str,
}

impl ManagedSlices {
    /// `index` is [`service_keys`] of the manager.
    pub(crate) fn new(
        client: Client,
        slices: &Informer,
        expectations: Expectations,
        manager: &'static str,
        index: fn(&Obj) -> Vec<String>,
    ) -> Self {
        slices.add_index(manager, index);
        Self {
            client,
            slices: slices.clone(),
            expectations: Arc::new(expectations),
            manager,
        }
    }

    /// The slices of the Service with this key.
    pub(crate) fn of(&self, key: &Key) -> Vec<Object> {
        self.slices.by_index(self.manager, key)
    }

    /// Whether all writes made before have been seen. Those on their way bring the key back.
    pub(crate) fn seen(&self, key: &Key) -> bool {
        self.expectations.satisfied(key)
    }

    /// For an object that is deleted.
    pub(crate) fn forget(&self, key: &Key) {
        self.expectations.forget(key);
    }

    /// The keys that a change of a slice concerns. Slices that come to the manager, or leave it, count too.
    pub(crate) fn changed(&self, event: &InformerEvent) -> Vec<Key> {
        let now = owner(event.object(), self.manager);
        if let InformerEvent::Updated { old, .. } = event {
            let before = owner(old, self.manager).filter(|before| Some(before) != now.as_ref());
            return before.into_iter().chain(now).collect();
        }
        match (event, now.as_ref()) {
            (InformerEvent::Added(_), Some(key)) => self.expectations.creation_observed(key),
            (InformerEvent::Deleted(slice), Some(key)) => {
                self.expectations.deletion_observed(key, slice.uid());
            }
            _ => {}
        }
        now.into_iter().collect()
    }

    /// Makes the changes to the slices of `key` in order, up to the first that fails.
    pub(crate) async fn apply(&self, key: &Key, actions: Vec<Action>) -> Result<(), Error> {
        let mut creations = 0;
        let mut deletions = Vec::new();
        for action in &actions {
            match action {
                Action::Create(_) => creations += 1,
                Action::Delete(slice) => deletions.push(slice.uid().to_owned()),
                Action::Update(_) => {}
            }
        }
        if creations > 0 || !deletions.is_empty() {
            self.expectations.expect(key, creations, deletions);
        }
        let mut result = Ok(());
        for action in actions {
            if result.is_ok() {
                result = self.perform(key, &action).await;
            }
            // After a failure the rest is not done, and no event of it will come.
            if result.is_err() {
                match &action {
                    Action::Create(_) => self.expectations.creation_observed(key),
                    Action::Delete(slice) => self.expectations.deletion_observed(key, slice.uid()),
                    Action::Update(_) => {}
                }
            }
        }
        result
    }

    async fn perform(&self, key: &Key, action: &Action) -> Result<(), Error> {
        let namespace = Some(split_key(key).0);
        match action {
            Action::Create(body) => {
                let created = self.client.create(&ENDPOINT_SLICES, namespace, body).await;
                match created {
                    Err(error) if error.is_namespace_terminating() => {
                        self.expectations.creation_observed(key);
                    }
                    created => {
                        created?;
                    }
                }
            }
            Action::Update(body) => {
                self.client
                    .update(&ENDPOINT_SLICES, namespace, body)
                    .await?;
            }
            Action::Delete(slice) => {
                let params = DeleteParams::default().preconditions(uid_is(slice.uid()));
                let deleted = self
                    .client
                    .delete(&ENDPOINT_SLICES, namespace, slice.name(), &params)
                    .await;
                match deleted {
                    Err(error) if error.is_not_found() => {
                        self.expectations.deletion_observed(key, slice.uid());
                    }
                    deleted => {
                        deleted?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The index of slices by the key of their Service, where `manager` keeps them.
pub(crate) fn service_keys(slice: &Obj, manager: &str) -> Vec<String> {
    let owner = owner(slice, manager);
    owner.iter().map(ToString::to_string).collect()
}

/// The key of the Service to which a slice of `manager` belongs.
fn owner(slice: &Obj, manager: &str) -> Option<Key> {
    if slice.label(MANAGED_BY_LABEL) != Some(manager) {
        return None;
    }
    let name = slice.label(SERVICE_NAME_LABEL)?;
    (!name.is_empty()).then(|| key(slice.namespace(), name))
}
