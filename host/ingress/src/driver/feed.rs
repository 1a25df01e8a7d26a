//! Follows the kinds that the plugin asked for, and collects what changed since its last call.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k3s_client::{Informer, InformerEvent, Informers, Object, Subscription};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::crds;
use super::kinds::{Kind, Kinds};
use super::status::StatusReporter;
use crate::compiler::Batch;
use crate::model::ObjectKey;

/// The objects that the plugin gets. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Shared>);

struct Shared {
    kinds: Kinds,
    reporter: StatusReporter,
    pending: Mutex<Pending>,
    wake: Notify,
}

/// Bounded by the number of objects.
#[derive(Default)]
struct Pending {
    /// None for what was deleted.
    changes: BTreeMap<ObjectKey, Option<Object>>,
    /// The resource version of each object that was noted: the first lists are read twice.
    noted: HashMap<ObjectKey, String>,
}

impl Feed {
    /// Starts to follow.
    pub(crate) fn start(
        kinds: Kinds,
        reporter: StatusReporter,
        informers: &Informers,
        tasks: &Tasks,
    ) -> Self {
        let feed = Self(Arc::new(Shared {
            kinds,
            reporter,
            pending: Mutex::default(),
            wake: Notify::new(),
        }));
        for at in 0..feed.0.kinds.len() {
            let (feed, informers) = (feed.clone(), informers.clone());
            tasks.spawn_until_stopped("ingress feed", feed.run(at, informers));
        }
        feed
    }

    async fn run(self, at: usize, informers: Informers) {
        let Some(kind) = self.0.kinds.get(at) else {
            return;
        };
        if kind.interest.optional {
            kind.wait_for_definition(&informers).await;
        }
        self.follow(kind, kind.open(&informers)).await;
    }

    /// Waits for the first lists of all kinds that must be there, and of those optional ones that are.
    pub(crate) async fn synced(&self, informers: &Informers) {
        let definitions = informers.all(&crds::DEFINITIONS);
        definitions.has_synced().await;
        for kind in self.0.kinds.iter() {
            let definition = definitions.get(&kind.definition());
            let is_served = definition.is_some_and(|found| crds::is_established(found.value()));
            if is_served || !kind.interest.optional {
                kind.open(informers);
            }
            if let Some(informer) = kind.informer() {
                informer.has_synced().await;
            }
        }
        // The followers may lag behind: what they have not noted by now would miss the first table.
        for kind in self.0.kinds.iter() {
            let objects = kind.informer().map(Informer::list).unwrap_or_default();
            for object in objects {
                self.note(kind, &object);
            }
        }
    }

    /// Waits until there is something new. Dropping the future loses nothing.
    pub(crate) async fn changed(&self) {
        loop {
            if !self.0.pending.lock().changes.is_empty() {
                return;
            }
            self.0.wake.notified().await;
        }
    }

    /// All that is new.
    pub(crate) fn take_batch(&self) -> Batch {
        let mut batch = Batch::default();
        let changes = std::mem::take(&mut self.0.pending.lock().changes);
        for (key, change) in changes {
            match change {
                Some(object) => batch.upserts.push((key, object)),
                None => batch.removals.push(key),
            }
        }
        batch
    }

    async fn follow(&self, kind: &Kind, mut events: Subscription) {
        loop {
            let event = events.next().await;
            let object = event.object();
            if event.is_deleted() {
                self.note_deleted(kind, object);
                continue;
            }
            self.note(kind, object);
            if let InformerEvent::Updated { .. } = &event {
                // Another client may have changed the status that only this one writes.
                self.0.reporter.requeue(&kind.key_of(object));
            }
        }
    }

    fn note(&self, kind: &Kind, object: &Object) {
        let (key, version) = (kind.key_of(object), object.resource_version());
        let mut pending = self.0.pending.lock();
        if pending
            .noted
            .get(&key)
            .is_some_and(|noted| noted == version)
        {
            return;
        }
        pending.noted.insert(key.clone(), version.to_owned());
        pending.changes.insert(key, Some(object.clone()));
        drop(pending);
        self.0.wake.notify_one();
    }

    fn note_deleted(&self, kind: &Kind, object: &Object) {
        let key = kind.key_of(object);
        let mut pending = self.0.pending.lock();
        if pending.noted.remove(&key).is_some() {
            pending.changes.insert(key, None);
            drop(pending);
            self.0.wake.notify_one();
        }
    }
}
