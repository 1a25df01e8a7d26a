//! Follows the kinds that the plugin asked for, and collects what it has not seen.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use k3s_client::{Informer, InformerEvent, Informers, Object, Resource, Subscription};
use k3s_lifecycle::Tasks;
use k3s_meta::mask::Mask;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::crds;
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
    mask: Mask,
    /// Of an optional kind from the moment on that its definition is in force.
    informer: OnceLock<Informer>,
}

impl Kind {
    /// The name of a custom kind's definition.
    fn definition(&self) -> String {
        format!("{}.{}", self.interest.plural, self.interest.group)
    }
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
    pub(crate) fn start(
        interests: Vec<Interest>,
        informers: &Informers,
        teller: &Teller,
        tasks: &Tasks,
    ) -> Self {
        let kind = |interest: Interest| Kind {
            mask: Mask::new(&interest.fields),
            informer: OnceLock::new(),
            interest,
        };
        let kinds: Vec<Kind> = interests.into_iter().map(kind).collect();
        let feed = Self(Arc::new(Shared {
            kinds,
            pending: Mutex::default(),
            wake: Notify::new(),
        }));
        for (at, kind) in feed.0.kinds.iter().enumerate() {
            let (feed, teller) = (feed.clone(), teller.clone());
            if kind.interest.optional {
                let informers = informers.clone();
                tasks.spawn_until_stopped("ingress feed", async move {
                    feed.wait_for_definition(at, &informers).await;
                    let events = feed.open(at, &informers);
                    feed.follow(at, events, teller).await;
                });
            } else {
                let events = feed.open(at, informers);
                tasks.spawn_until_stopped("ingress feed", feed.follow(at, events, teller));
            }
        }
        feed
    }

    /// Waits for the first lists of all kinds that must be there, and of those optional ones that are.
    pub(crate) async fn synced(&self, informers: &Informers) {
        let definitions = informers.all(&crds::DEFINITIONS);
        definitions.has_synced().await;
        for (at, kind) in self.0.kinds.iter().enumerate() {
            if definitions
                .get(&kind.definition())
                .is_some_and(|found| crds::is_established(found.value()))
            {
                self.open(at, informers);
            }
            if let Some(informer) = kind.informer.get() {
                informer.has_synced().await;
            }
        }
        // The followers take in what came; what they have not by now wakes the reload again.
        for (at, kind) in self.0.kinds.iter().enumerate() {
            let objects = kind.informer.get().map(Informer::list).unwrap_or_default();
            objects
                .iter()
                .for_each(|object| self.note(at, object, false));
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
                Some(json) => batch.upserts.push(Masked {
                    key: ObjectKey::from(&id),
                    json,
                }),
                None => batch.removals.push(ObjectKey::from(&id)),
            }
        }
        batch
    }

    /// The object as it is in the cluster.
    pub(crate) fn object(&self, id: &ObjectId) -> Option<Object> {
        let is = |kind: &&Kind| kind.interest.group == id.group && kind.interest.kind == id.kind;
        let kind = self.0.kinds.iter().find(is)?;
        kind.informer
            .get()?
            .get(&k3s_client::key(&id.namespace, &id.name))
    }

    fn open(&self, at: usize, informers: &Informers) -> Option<Subscription> {
        let kind = self.0.kinds.get(at)?;
        Some(
            kind.informer
                .get_or_init(|| informers.all(&resource(&kind.interest)))
                .subscribe(),
        )
    }

    /// Waits until a custom kind is served: asking before would only fail.
    async fn wait_for_definition(&self, at: usize, informers: &Informers) {
        let Some(kind) = self.0.kinds.get(at) else {
            return;
        };
        let name = kind.definition();
        let mut events = informers.all(&crds::DEFINITIONS).subscribe();
        loop {
            let event = events.next().await;
            let object = event.object();
            if object.name() == name && !event.is_deleted() && crds::is_established(object.value())
            {
                return;
            }
        }
    }

    async fn follow(self, at: usize, events: Option<Subscription>, teller: Teller) {
        let Some(mut events) = events else { return };
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
        let Some(kind) = self.0.kinds.get(at) else {
            return;
        };
        let id = id(&kind.interest, object);
        let mut pending = self.0.pending.lock();
        if deleted {
            if pending.seen.remove(&id).is_some() {
                pending.changes.insert(id, None);
            }
        } else {
            let json = kind.mask.apply(object.value());
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
