//! Who owns whom, over the informers' own indexes.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_client::informer::BY_OWNER;
use k3s_client::{Informer, Obj, Object, Resource};
use k3s_meta::OwnerReference;
use k3s_reconcile::Key;
use parking_lot::RwLock;

/// One object: which informer has it, its key there, and which of the objects of that name it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) number: usize,
    pub(super) key: Key,
    pub(super) uid: String,
}

impl Item {
    pub(super) fn of(number: usize, object: &Obj) -> Self {
        Self { number, key: object.key().clone(), uid: object.uid().to_owned() }
    }

    /// As text, for the queue. Keys and UIDs hold no space.
    pub(super) fn key(&self) -> Key {
        format!("{} {} {}", self.number, self.key, self.uid).into()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self { number: parts.next()?.parse().ok()?, key: parts.next()?.into(), uid: parts.next()?.to_owned() })
    }
}

pub(super) struct Graph {
    kinds: Vec<Resource>,
    informers: Vec<Informer>,
    by_uid: RwLock<HashMap<String, (usize, Key)>>,
}

impl Graph {
    pub(super) fn new(kinds: Vec<Resource>, informers: Vec<Informer>) -> Self {
        Self { kinds, informers, by_uid: RwLock::default() }
    }

    pub(super) fn insert(&self, number: usize, object: &Arc<Obj>) {
        let mut by_uid = self.by_uid.write();
        if !by_uid.contains_key(object.uid()) {
            by_uid.insert(object.uid().to_owned(), (number, object.key().clone()));
        }
    }

    pub(super) fn remove(&self, uid: &str) {
        self.by_uid.write().remove(uid);
    }

    /// The object, if the cache still has this very one.
    pub(super) fn get(&self, item: &Item) -> Option<Object> {
        self.informers.get(item.number)?.get(&item.key).filter(|object| object.uid() == item.uid)
    }

    /// An object by its UID.
    pub(super) fn find(&self, uid: &str) -> Option<(Item, Object)> {
        let (number, key) = self.by_uid.read().get(uid).cloned()?;
        let item = Item { number, key, uid: uid.to_owned() };
        let object = self.get(&item)?;
        Some((item, object))
    }

    /// The objects that name this UID as an owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Item> {
        let per_kind = self.informers.iter().enumerate();
        per_kind
            .flat_map(|(number, informer)| {
                informer.by_index(BY_OWNER, uid).into_iter().map(move |o| Item::of(number, &o))
            })
            .collect()
    }

    pub(super) fn resource(&self, item: &Item) -> Option<&Resource> {
        self.informers.get(item.number).map(Informer::resource)
    }

    /// The resource of an owner: the version may be another one than is served by preference.
    pub(super) fn resource_of(&self, owner: &OwnerReference) -> Option<&Resource> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        self.kinds.iter().find(|resource| resource.group == group && resource.kind == owner.kind)
    }
}
