//! What an informer holds: objects, indexes, subscribers, and whether it is up to date.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k3s_base::Shrink as _;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::Informer;
use super::index::{Index, IndexFn, defaults};
use super::subscription::{Feed, Subscription};
use crate::error::Error;
use crate::object::Object;
use crate::resource::Resource;

pub(super) struct Cache {
    state: RwLock<State>,
    synced: watch::Sender<bool>,
    error: RwLock<Option<Arc<Error>>>,
}

struct State {
    objects: HashMap<Arc<str>, Object>,
    indexes: HashMap<&'static str, Index>,
    feeds: Vec<Arc<Feed>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({} objects)", self.len())
    }
}

impl Cache {
    pub(super) fn new(resource: &Resource) -> Self {
        let state = State {
            objects: HashMap::new(),
            indexes: defaults(resource),
            feeds: Vec::new(),
        };
        Self {
            state: RwLock::new(state),
            synced: watch::Sender::new(false),
            error: RwLock::new(None),
        }
    }

    pub(super) async fn synced(&self) {
        // The sender lives as long as this cache, so waiting cannot fail.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(super) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    pub(super) fn last_error(&self) -> Option<Arc<Error>> {
        self.error.read().clone()
    }

    pub(super) fn set_error(&self, error: Option<Error>) {
        *self.error.write() = error.map(Arc::new);
    }

    pub(super) fn get(&self, key: &str) -> Option<Object> {
        self.state.read().objects.get(key).cloned()
    }

    pub(super) fn list(&self) -> Vec<Object> {
        self.state.read().objects.values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    pub(super) fn by_index(&self, index: &str, value: &str) -> Vec<Object> {
        let state = self.state.read();
        let Some(index) = state.indexes.get(index) else {
            return Vec::new();
        };
        index
            .keys(value)
            .filter_map(|key| state.objects.get(key).cloned())
            .collect()
    }

    pub(super) fn add_index(&self, name: &'static str, of: IndexFn) {
        let mut state = self.state.write();
        if state.indexes.contains_key(name) {
            return;
        }
        let mut index = Index::new(of);
        state.objects.values().for_each(|object| index.add(object));
        state.indexes.insert(name, index);
    }

    pub(super) fn subscribe(&self, informer: Informer) -> Subscription {
        let feed = Arc::new(Feed::default());
        let mut state = self.state.write();
        for object in state.objects.values() {
            feed.push(None, Some(object.clone()));
        }
        state.feeds.retain(|feed| Arc::strong_count(feed) > 1);
        state.feeds.push(feed.clone());
        Subscription::new(feed, informer)
    }

    /// Makes a whole list the content and notifies subscribers of the difference.
    pub(super) fn replace(&self, objects: Vec<Object>) {
        let mut state = self.state.write();
        let present: HashSet<Arc<str>> =
            objects.iter().map(|object| object.key().clone()).collect();
        let missing: Vec<Object> = state
            .objects
            .values()
            .filter(|o| !present.contains(o.key()))
            .cloned()
            .collect();
        missing.into_iter().for_each(|object| state.remove(&object));
        objects.into_iter().for_each(|object| state.put(object));
        drop(state);
        self.synced.send_replace(true);
    }

    pub(super) fn put(&self, object: Object) {
        self.state.write().put(object);
    }

    pub(super) fn remove(&self, object: &Object) {
        self.state.write().remove(object);
    }
}

impl State {
    fn put(&mut self, object: Object) {
        let old = self.objects.insert(object.key().clone(), object.clone());
        if old.as_ref().is_some_and(|old| {
            !old.resource_version().is_empty()
                && old.resource_version() == object.resource_version()
        }) {
            return;
        }
        for index in self.indexes.values_mut() {
            if let Some(old) = &old {
                index.remove(old);
            }
            index.add(&object);
        }
        self.notify(old, Some(object));
    }

    fn remove(&mut self, last: &Object) {
        let Some(old) = self.objects.remove(last.key()) else {
            return;
        };
        self.objects.shrink_when_sparse();
        for index in self.indexes.values_mut() {
            index.remove(&old);
        }
        self.notify(Some(old), None);
    }

    fn notify(&mut self, old: Option<Object>, new: Option<Object>) {
        // A feed that only this list still holds has no subscriber any more.
        self.feeds.retain(|feed| Arc::strong_count(feed) > 1);
        for feed in &self.feeds {
            feed.push(old.clone(), new.clone());
        }
    }
}
