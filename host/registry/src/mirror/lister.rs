//! The objects of one resource by namespace and name, each decoded once into what its readers need.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use k3s_store::Entry;
use serde_json::Value;

use super::{Index, Mirror, any_changed};
use crate::error::{Error, Result};
use crate::registry::Registry;
use crate::resource::Resource;

/// A small read-only form of an object: what its readers ask about and no more, since it is kept
/// for every object of the kind.
pub trait Decode: Send + Sync + 'static {
    /// API group of the resource; empty for the core group.
    const GROUP: &'static str;
    /// Plural of the resource, which is read at version `v1`.
    const PLURAL: &'static str;

    /// Reads the object in its served form, defaults included.
    fn decode(object: &Value) -> Self;
}

/// Answers for objects of one kind from a [`Mirror`]: every answer has the writes that were
/// acknowledged before the question (upstream: `client-go/listers`).
pub struct Lister<T> {
    mirror: Mirror<Objects<T>>,
}

impl<T: Decode> Lister<T> {
    /// Decodes what is stored and follows it from then on in one task.
    ///
    /// # Errors
    /// When the store has stopped or the tables lack the kind.
    pub fn start(task: &'static str, registry: &Registry, tasks: &Tasks) -> Result<Self> {
        let resource = registry.resource(T::GROUP, "v1", T::PLURAL)?;
        let objects = Objects::default();
        let mirror = Mirror::start(task, registry, &[resource], objects, tasks)?;
        Ok(Self { mirror })
    }

    /// One object; the namespace is empty for cluster-scoped kinds. `None` when there is none.
    ///
    /// # Errors
    /// When the stored object cannot be decoded.
    pub fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<T>>> {
        let find = |objects: &Objects<T>| {
            let found = objects.namespaces.get(namespace)?.get(name)?;
            Some(found.clone())
        };
        self.mirror.read(find).transpose()
    }

    /// The objects of a namespace in the order of their names; the namespace is empty for
    /// cluster-scoped kinds.
    ///
    /// # Errors
    /// When one of the stored objects cannot be decoded.
    pub fn list(&self, namespace: &str) -> Result<Vec<Arc<T>>> {
        self.mirror.read(|objects| {
            let found = objects.namespaces.get(namespace);
            let found = found.into_iter().flat_map(BTreeMap::values);
            found.cloned().collect()
        })
    }

    /// One object, which may be created within `patience`; `None` when it was not.
    ///
    /// # Errors
    /// When the stored object cannot be decoded.
    pub async fn wait_for(
        &self,
        namespace: &str,
        name: &str,
        patience: Duration,
    ) -> Result<Option<Arc<T>>> {
        // Taken before the first question, so that no creation falls in between.
        let mut changes = self.mirror.changes();
        let appears = async {
            loop {
                if let Some(found) = self.get(namespace, name)? {
                    return Ok(Some(found));
                }
                if any_changed(&mut changes).await.is_err() {
                    return Ok(None);
                }
            }
        };
        tokio::time::timeout(patience, appears)
            .await
            .unwrap_or(Ok(None))
    }
}

/// The index of a [`Lister`].
struct Objects<T> {
    namespaces: HashMap<Box<str>, BTreeMap<Box<str>, Decoded<T>>>,
}

/// What cannot be decoded is kept as the error that a direct read would give.
type Decoded<T> = Result<Arc<T>>;

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self {
            namespaces: HashMap::new(),
        }
    }
}

impl<T: Decode> Index for Objects<T> {
    fn clear(&mut self, _: &Resource) {
        self.namespaces.clear();
    }

    fn upsert(&mut self, resource: &Resource, entry: &Arc<Entry>) {
        let (namespace, name) = resource.name_in_key(&entry.key);
        let decoded = resource
            .decode(entry)
            .map(|object| Arc::new(T::decode(&object)))
            .inspect_err(report);
        let objects = self.namespaces.entry(namespace.into()).or_default();
        objects.insert(name.into(), decoded);
    }

    fn remove(&mut self, resource: &Resource, entry: &Arc<Entry>) {
        let (namespace, name) = resource.name_in_key(&entry.key);
        let Some(objects) = self.namespaces.get_mut(namespace) else {
            return;
        };
        objects.remove(name);
        if objects.is_empty() {
            self.namespaces.remove(namespace);
        }
    }
}

fn report(error: &Error) {
    tracing::error!(
        error = chain(error),
        "a stored object cannot be decoded; whoever needs it is refused"
    );
}
