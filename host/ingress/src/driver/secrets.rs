//! The Secrets that routes name, and no others: each is watched by its name while it is named.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_base::Secret as Redacted;
use k3s_client::{Informer, Informers, Obj, Scope, resources};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::model::NamespacedName;

/// A Secret's contents. Cheap to clone; never printed.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    kind: Arc<str>,
    data: Arc<HashMap<String, Redacted<Vec<u8>>>>,
}

/// What is known of a Secret.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// It is being read; [`Secrets::changed`] reports it afterwards.
    Unknown,
    Missing,
    Found(Contents),
}

/// The Secrets in use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<Shared>);

struct Shared {
    informers: Informers,
    tasks: Tasks,
    watched: Mutex<HashMap<NamespacedName, Watched>>,
    changed: Mutex<BTreeSet<NamespacedName>>,
    wake: Notify,
}

struct Watched {
    informer: Informer,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Secrets {
    pub(crate) fn new(informers: Informers, tasks: &Tasks) -> Self {
        let (watched, changed) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared {
            informers,
            tasks: tasks.clone(),
            watched,
            changed,
            wake: Notify::new(),
        }))
    }

    /// A Secret as it is now. The first question starts to watch it.
    pub(crate) fn get(&self, name: &NamespacedName) -> Lookup {
        let mut watched = self.0.watched.lock();
        let entry = watched
            .entry(name.clone())
            .or_insert_with(|| self.watch(name));
        match entry.informer.get(&name.to_string()) {
            Some(object) => Lookup::Found(Contents::read(&object)),
            None if entry.informer.is_synced() => Lookup::Missing,
            None => Lookup::Unknown,
        }
    }

    /// Stops to watch what is not in `used`.
    pub(crate) fn retain(&self, used: &BTreeSet<NamespacedName>) {
        self.0.watched.lock().retain(|name, _| used.contains(name));
    }

    /// Waits for changes and gives the names of what changed. Dropping the future loses nothing.
    pub(crate) async fn changed(&self) -> BTreeSet<NamespacedName> {
        loop {
            let changed = std::mem::take(&mut *self.0.changed.lock());
            if !changed.is_empty() {
                return changed;
            }
            self.0.wake.notified().await;
        }
    }

    fn watch(&self, name: &NamespacedName) -> Watched {
        let scope =
            Scope::fields(format!("metadata.name={}", name.name)).in_namespace(&name.namespace);
        let informer = self.0.informers.of(&resources::SECRETS, scope);
        let (shared, name, mut events) =
            (Arc::downgrade(&self.0), name.clone(), informer.subscribe());
        let follow = async move {
            events.informer().has_synced().await;
            loop {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                shared.changed.lock().insert(name.clone());
                shared.wake.notify_one();
                drop(shared);
                events.next().await;
            }
        };
        let task = self
            .0
            .tasks
            .spawn_until_stopped("ingress secret", follow)
            .abort_handle();
        Watched { informer, task }
    }
}

impl Contents {
    fn read(object: &Obj) -> Self {
        let value = object.value();
        let data = value
            .get("data")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let decode = |(key, text): (&String, &Value)| {
            let bytes = STANDARD.decode(text.as_str()?).ok()?;
            Some((key.clone(), Redacted::new(bytes)))
        };
        let kind = value
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Self {
            kind: kind.into(),
            data: Arc::new(data.filter_map(decode).collect()),
        }
    }

    /// An entry of `data`.
    pub(crate) fn get(&self, key: &str) -> Option<&Redacted<Vec<u8>>> {
        self.data.get(key)
    }

    /// `type`.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }
}
