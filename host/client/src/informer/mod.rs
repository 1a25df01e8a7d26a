//! Shared informers: one list+watch per resource and scope, however many components read it.
//!
//! An [`Informer`] is a live, indexed copy of a collection. Its reflector runs while at least one
//! handle exists. Subscribers get every change merged per object: the queue of a slow subscriber
//! holds at most one entry per object, so nothing overflows and nothing is lost; it sees fewer,
//! later states instead.

mod cache;
mod index;
mod reflector;
mod shared;
mod subscription;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use k3s_base::{Clock, Random};
use k3s_lifecycle::{CancellationToken, Tasks};
use parking_lot::Mutex;

use crate::client::Client;
use crate::error::Error;
use crate::object::Object;
use crate::resource::Resource;

pub use index::{BY_NAMESPACE, BY_NODE, BY_OWNER, IndexFn};
pub use subscription::{InformerEvent, Subscription};

use cache::Cache;
pub(crate) use shared::SharedObjects;

/// Which part of a collection an informer follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// One namespace; `None` for all.
    pub namespace: Option<String>,
    /// Label selector in its text form.
    pub label_selector: Option<String>,
    /// Field selector in its text form.
    pub field_selector: Option<String>,
    /// Keep metadata only.
    pub metadata_only: bool,
}

impl Scope {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// What a field selector picks.
    #[must_use]
    pub fn fields(selector: impl Into<String>) -> Self {
        Self {
            field_selector: Some(selector.into()),
            ..Self::default()
        }
    }

    /// What a label selector picks.
    #[must_use]
    pub fn labels(selector: impl Into<String>) -> Self {
        Self {
            label_selector: Some(selector.into()),
            ..Self::default()
        }
    }

    /// Everything, but only its metadata.
    #[must_use]
    pub fn metadata() -> Self {
        Self {
            metadata_only: true,
            ..Self::default()
        }
    }

    /// The same within one namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

/// The informers of one identity. Cheap to clone; clones share informers.
#[derive(Clone, Debug)]
pub struct Informers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    clock: Clock,
    random: Random,
    tasks: Tasks,
    live: Mutex<HashMap<(Resource, Scope), Weak<Handle>>>,
}

/// A live copy of a collection. Cheap to clone; the reflector stops with the last clone.
#[derive(Clone, Debug)]
pub struct Informer(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    resource: Resource,
    cache: Arc<Cache>,
    stop: CancellationToken,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Informers {
    /// Informers that read through `client`.
    #[must_use]
    pub fn new(client: Client, clock: Clock, random: Random, tasks: &Tasks) -> Self {
        let tasks = tasks.child("informers");
        Self(Arc::new(Shared {
            client,
            clock,
            random,
            tasks,
            live: Mutex::new(HashMap::new()),
        }))
    }

    /// The informer of a resource and scope, started at the first call. Returns at once: see
    /// [`Informer::has_synced`].
    #[must_use]
    pub fn of(&self, resource: &Resource, scope: Scope) -> Informer {
        let mut live = self.0.live.lock();
        live.retain(|_, handle| handle.strong_count() > 0);
        let id = (resource.clone(), scope);
        if let Some(handle) = live.get(&id).and_then(Weak::upgrade) {
            return Informer(handle);
        }
        let handle = Arc::new(self.start(&id.0, &id.1));
        live.insert(id, Arc::downgrade(&handle));
        Informer(handle)
    }

    /// The informer of a whole collection.
    #[must_use]
    pub fn all(&self, resource: &Resource) -> Informer {
        self.of(resource, Scope::all())
    }

    fn start(&self, resource: &Resource, scope: &Scope) -> Handle {
        let cache = Arc::new(Cache::new(resource));
        let stop = self.0.tasks.stopping().child_token();
        let reflector = reflector::Reflector {
            client: self.0.client.clone(),
            clock: self.0.clock.clone(),
            random: self.0.random.clone(),
            resource: resource.clone(),
            scope: scope.clone(),
            cache: cache.clone(),
        };
        let stopped = stop.clone();
        self.0.tasks.spawn("reflector", async move {
            tokio::select! {
                () = reflector.run() => {}
                () = stopped.cancelled() => {}
            }
        });
        Handle {
            resource: resource.clone(),
            cache,
            stop,
        }
    }
}

impl Informer {
    /// What this informer follows.
    #[must_use]
    pub fn resource(&self) -> &Resource {
        &self.0.resource
    }

    /// Waits until the first list is in. A list that fails is retried with back-off without
    /// end; [`Informer::last_error`] says why.
    pub async fn has_synced(&self) {
        self.0.cache.synced().await;
    }

    /// Whether the first list is in.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.0.cache.is_synced()
    }

    /// Why the reflector is not connected, if it is not.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<Error>> {
        self.0.cache.last_error()
    }

    /// The object with this key (`namespace/name`, or `name`).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Object> {
        self.0.cache.get(key)
    }

    /// All objects, in no order.
    #[must_use]
    pub fn list(&self) -> Vec<Object> {
        self.0.cache.list()
    }

    /// The number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.cache.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects filed under `value` in an index: [`BY_NAMESPACE`], [`BY_OWNER`] (uid),
    /// [`BY_NODE`] or one added by [`Informer::add_index`]. Nothing for an unknown index.
    #[must_use]
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Object> {
        self.0.cache.by_index(index, value)
    }

    /// The objects of a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Object> {
        self.by_index(BY_NAMESPACE, namespace)
    }

    /// Files objects under the values that `of` gives, from now on and for those already here. A
    /// second index of the same name is ignored.
    pub fn add_index(&self, name: &'static str, of: IndexFn) {
        self.0.cache.add_index(name, of);
    }

    /// Changes from now on, after one [`InformerEvent::Added`] per object that is already here.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.0.cache.subscribe(self.clone())
    }
}
