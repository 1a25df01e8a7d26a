//! One resource followed from the store: a snapshot, then every change after it.

use std::sync::Arc;

use k3s_store::{Changes, Entry, Event, Store, Watcher};

use crate::error::Result;
use crate::registry::Registry;
use crate::resource::Resource;

/// What has happened to a resource since the last update.
pub enum Update {
    /// The whole state. Changes were missed, so everything known before is to be replaced.
    Replaced(Vec<Arc<Entry>>),
    /// Changes in the order of their revisions, at least one.
    Changed(Vec<Arc<Event>>),
}

/// A cursor over one resource that starts over when the log has moved on past it
/// (upstream: `client-go/tools/cache/reflector.go`).
///
/// The store holds the current state in memory, so starting over costs no round trip to the
/// datastore, and history that has left memory is never read back.
pub struct Reflector {
    store: Store,
    resource: Arc<Resource>,
    watcher: Watcher,
    changes: Changes,
}

impl Reflector {
    /// The present state, and a reflector of what follows it.
    ///
    /// # Errors
    /// When the store has stopped.
    pub fn start(
        registry: &Registry,
        resource: &Arc<Resource>,
    ) -> Result<(Vec<Arc<Entry>>, Reflector)> {
        let store = registry.store().clone();
        let (entries, watcher) = list_and_watch(&store, resource)?;
        let reflector = Self {
            store,
            resource: resource.clone(),
            changes: watcher.changes(),
            watcher,
        };
        Ok((entries, reflector))
    }

    /// The next update; `None` once the store has stopped. Cancel safe.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            if let Some(update) = self.try_next() {
                return Some(update);
            }
            self.changes.changed().await.ok()?;
        }
    }

    /// The next update, without waiting; `None` when there is none, also once the store has
    /// stopped.
    pub fn try_next(&mut self) -> Option<Update> {
        let Some(events) = self.watcher.try_next_batch() else {
            return self.start_over();
        };
        (!events.is_empty()).then_some(Update::Changed(events))
    }

    /// The resource that is followed.
    #[must_use]
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// True when every change up to the store's newest revision was returned.
    pub(super) fn is_caught_up(&self) -> bool {
        self.watcher.is_caught_up()
    }

    /// Signals changes; it stays valid when the reflector starts over.
    pub(super) fn changes(&self) -> Changes {
        self.changes.clone()
    }

    fn start_over(&mut self) -> Option<Update> {
        tracing::info!(resource = %self.resource.gr(), "the log has moved on; reading the state again");
        let (entries, watcher) = list_and_watch(&self.store, &self.resource).ok()?;
        self.watcher = watcher;
        Some(Update::Replaced(entries))
    }
}

fn list_and_watch(store: &Store, resource: &Resource) -> Result<(Vec<Arc<Entry>>, Watcher)> {
    let snapshot = store.snapshot();
    let entries = snapshot.range(&resource.prefix, None).cloned().collect();
    let watcher = store.watch(&resource.prefix, snapshot.revision())?;
    Ok((entries, watcher))
}
