//! Follows the kinds that the plugin asked for, and collects what it has not seen.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use k3s_client::{Informer, InformerEvent, Informers, Object, Resource, Subscription};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::mask;
use super::tell::Teller;
use crate::compiler::Batch;
use crate::model::{Interest, Object as Masked, ObjectId, ObjectKey};

/// The cluster as the plugin sees it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed(Arc<Shared>);

struct Shared {
    kinds: Vec<Kind>,
    pending: Mutex<Pending>,
    wake: Notify,
}

struct Kind {
    interest: Interest,
    informer: Informer,
}

/// Bounded by the number of objects.
#[derive(Default)]
struct Pending {
    /// Masked JSON of what is new, nothing for what is gone.
    changes: BTreeMap<ObjectId, Option<Vec<u8>>>,
    /// Hashes of what the plugin has seen.
    seen: HashMap<ObjectId, u64>,
}

impl Feed {
    /// Starts to follow.
    pub(crate) fn start(interests: Vec<Interest>, informers: &Informers, teller: &Teller, tasks: &Tasks) -> Self {
        let kind = |interest: Interest| Kind { informer: informers.all(&resource(&interest)), interest };
        let kinds: Vec<Kind> = interests.into_iter().map(kind).collect();
        let feed = Self(Arc::new(Shared { kinds, pending: Mutex::default(), wake: Notify::new() }));
        for (at, kind) in feed.0.kinds.iter().enumerate() {
            let (feed, events, teller) = (feed.clone(), kind.informer.subscribe(), teller.clone());
            tasks.spawn_until_stopped("ingress feed", feed.follow(at, events, teller));
        }
        feed
    }

    /// Waits for the first lists of all kinds that must be there.
    pub(crate) async fn synced(&self) {
        for kind in self.0.kinds.iter().filter(|kind| !kind.interest.optional) {
            kind.informer.has_synced().await;
        }
        // The followers take in what came; what they have not by now wakes the reload again.
        for (at, kind) in self.0.kinds.iter().enumerate() {
            kind.informer.list().iter().for_each(|object| self.note(at, object, false));
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
    pub(crate) fn take(&self) -> Batch {
        let mut batch = Batch::default();
        for (id, change) in std::mem::take(&mut self.0.pending.lock().changes) {
            match change {
                Some(json) => batch.upserts.push(Masked { key: ObjectKey::from(&id), json }),
                None => batch.removals.push(ObjectKey::from(&id)),
            }
        }
        batch
    }

    /// The object as it is in the cluster.
    pub(crate) fn object(&self, id: &ObjectId) -> Option<Object> {
        let is = |kind: &&Kind| kind.interest.group == id.group && kind.interest.kind == id.kind;
        let kind = self.0.kinds.iter().find(is)?;
        kind.informer.get(&k3s_client::key(&id.namespace, &id.name))
    }

    async fn follow(self, at: usize, mut events: Subscription, teller: Teller) {
        loop {
            let event = events.next().await;
            let object = event.object();
            self.note(at, object, event.is_deleted());
            if let (InformerEvent::Updated { .. }, Some(kind)) = (&event, self.0.kinds.get(at)) {
                // Somebody may have changed what only we write.
                teller.look_at(&id(&kind.interest, object));
            }
        }
    }

    fn note(&self, at: usize, object: &Object, deleted: bool) {
        let Some(kind) = self.0.kinds.get(at) else { return };
        let id = id(&kind.interest, object);
        let mut pending = self.0.pending.lock();
        if deleted {
            if pending.seen.remove(&id).is_some() {
                pending.changes.insert(id, None);
            }
        } else {
            let json = mask::apply(object.value(), &kind.interest.fields);
            let mut hasher = DefaultHasher::new();
            json.hash(&mut hasher);
            let hash = hasher.finish();
            if pending.seen.insert(id.clone(), hash) == Some(hash) {
                return;
            }
            pending.changes.insert(id, Some(json));
        }
        drop(pending);
        self.0.wake.notify_one();
    }
}

fn id(interest: &Interest, object: &Object) -> ObjectId {
    ObjectId {
        group: interest.group.clone(),
        kind: interest.kind.clone(),
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
    }
}

fn resource(interest: &Interest) -> Resource {
    Resource {
        group: interest.group.clone().into(),
        version: interest.version.clone().into(),
        plural: interest.plural.clone().into(),
        kind: interest.kind.clone().into(),
        namespaced: interest.namespaced,
    }
}
