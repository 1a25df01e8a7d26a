//! Who owns whom, over the informers' own indexes.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_base::Shrink as _;
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
        Self {
            number,
            key: object.key().clone(),
            uid: object.uid().to_owned(),
        }
    }

    /// As text, for the queue. Keys and UIDs hold no space.
    pub(super) fn key(&self) -> Key {
        format!("{} {} {}", self.number, self.key, self.uid).into()
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            number: parts.next()?.parse().ok()?,
            key: parts.next()?.into(),
            uid: parts.next()?.to_owned(),
        })
    }
}

#[derive(Default)]
pub(super) struct Graph {
    kinds: RwLock<Vec<Resource>>,
    /// By number. The place of a kind that is not served any more is given to the next: what may still
    /// name the old one is recognised by its UID.
    informers: RwLock<Vec<Option<Informer>>>,
    by_uid: RwLock<HashMap<String, (usize, Key)>>,
}

impl Graph {
    /// Which kinds there are, also those that are not followed.
    pub(super) fn set_kinds(&self, kinds: Vec<Resource>) {
        *self.kinds.write() = kinds;
    }

    /// Adds a kind to be followed. Gives its number.
    pub(super) fn add(&self, informer: Informer) -> usize {
        let mut informers = self.informers.write();
        match informers.iter().position(Option::is_none) {
            Some(free) => {
                informers.splice(free..=free, [Some(informer)]);
                free
            }
            None => {
                informers.push(Some(informer));
                informers.len() - 1
            }
        }
    }

    /// Forgets a kind and its objects.
    pub(super) fn drop_kind(&self, number: usize) {
        if let Some(place) = self.informers.write().get_mut(number) {
            *place = None;
        }
        self.by_uid.write().retain(|_, (of, _)| *of != number);
    }

    fn informer(&self, number: usize) -> Option<Informer> {
        self.informers.read().get(number).cloned().flatten()
    }

    /// Every object that names an owner of this kind.
    pub(super) fn owned_by(&self, kind: &Resource) -> Vec<Item> {
        let is_owned = |object: &Object| {
            let owners = &object.meta().owner_references;
            owners.iter().any(|owner| is_of(owner, kind))
        };
        self.each(|informer| {
            let mut objects = informer.list();
            objects.retain(is_owned);
            objects
        })
    }

    /// Objects of all kinds, as `pick` takes them from each informer.
    fn each(&self, pick: impl Fn(&Informer) -> Vec<Object>) -> Vec<Item> {
        let informers = self.informers.read().clone();
        let mut items = Vec::new();
        for (number, informer) in informers.iter().enumerate() {
            let Some(informer) = informer else {
                continue;
            };
            for object in pick(informer) {
                items.push(Item::of(number, &object));
            }
        }
        items
    }

    pub(super) fn insert(&self, number: usize, object: &Arc<Obj>) {
        let mut by_uid = self.by_uid.write();
        if by_uid.contains_key(object.uid()) {
            return;
        }
        let uid = object.uid().to_owned();
        let key = object.key().clone();
        by_uid.insert(uid, (number, key));
    }

    pub(super) fn remove(&self, uid: &str) {
        let mut by_uid = self.by_uid.write();
        by_uid.remove(uid);
        by_uid.shrink_when_sparse();
    }

    /// The object, if the cache still has this very one.
    pub(super) fn get(&self, item: &Item) -> Option<Object> {
        self.informer(item.number)?
            .get(&item.key)
            .filter(|object| object.uid() == item.uid)
    }

    /// An object by its UID.
    pub(super) fn find(&self, uid: &str) -> Option<(Item, Object)> {
        let (number, key) = self.by_uid.read().get(uid).cloned()?;
        let item = Item {
            number,
            key,
            uid: uid.to_owned(),
        };
        let object = self.get(&item)?;
        Some((item, object))
    }

    /// The objects that name this UID as an owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Item> {
        self.each(|informer| informer.by_index(BY_OWNER, uid))
    }

    pub(super) fn resource(&self, item: &Item) -> Option<Resource> {
        self.informer(item.number)
            .map(|informer| informer.resource().clone())
    }

    /// The resource of an owner: the version may be another one than is served by preference.
    pub(super) fn resource_of(&self, owner: &OwnerReference) -> Option<Resource> {
        let kinds = self.kinds.read();
        kinds.iter().find(|kind| is_of(owner, kind)).cloned()
    }
}

fn is_of(owner: &OwnerReference, kind: &Resource) -> bool {
    let group = match owner.api_version.split_once('/') {
        Some((group, _)) => group,
        None => "",
    };
    owner.kind == kind.kind && kind.group == group
}
