//! The objects, who uses whom, and what must be decided anew.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::key::{Key, Kind};
use crate::wit::{Change, Object, ObjectKey, Outcome};
use crate::{crd, ingress};

/// Everything the plugin was given, as bytes: most objects are looked at once per change.
pub(crate) struct State {
    config: Config,
    objects: BTreeMap<Key, Vec<u8>>,
    /// Objects that routes follow from and that must be looked at.
    dirty: BTreeSet<Key>,
    /// Objects of which something was made known, with what each of them looked up.
    decided: BTreeMap<Key, BTreeSet<Key>>,
    /// Looked up, also in vain, by whom.
    users: BTreeMap<Key, BTreeSet<Key>>,
}

/// The objects as one decision sees them. It remembers what was looked up.
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    objects: &'a BTreeMap<Key, Vec<u8>>,
    used: RefCell<BTreeSet<Key>>,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            objects: BTreeMap::new(),
            dirty: BTreeSet::new(),
            decided: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    pub(crate) fn upsert(&mut self, object: Object) {
        let Some(key) = Key::read(&object.key) else {
            return;
        };
        self.touch(&key);
        self.objects.insert(key, object.json);
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        let Some(key) = Key::read(key) else { return };
        if self.objects.remove(&key).is_some() {
            self.touch(&key);
        }
    }

    /// Marks an object and those that looked it up.
    fn touch(&mut self, key: &Key) {
        if key.kind.is_routed() {
            self.dirty.insert(key.clone());
        }
        for looked_up in [key.clone(), any(key.kind)] {
            self.dirty
                .extend(self.users.get(&looked_up).into_iter().flatten().cloned());
        }
    }

    /// Decides on at most `max` objects.
    pub(crate) fn compile(&mut self, max: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < max
            && let Some(key) = self.dirty.pop_first()
        {
            changes.extend(self.decide(key));
        }
        changes
    }

    fn decide(&mut self, key: Key) -> Option<Change> {
        let view = View {
            config: &self.config,
            objects: &self.objects,
            used: RefCell::default(),
        };
        let outcome = if self.objects.contains_key(&key) {
            outcome(&view, &key)
        } else {
            None
        };
        let used = view.used.into_inner();
        // An object that is not ours is looked at again when what decided that changes.
        for gone in self.decided.remove(&key).iter().flatten() {
            if let Some(users) = self.users.get_mut(gone) {
                users.remove(&key);
            }
        }
        used.iter().for_each(|other| {
            self.users
                .entry(other.clone())
                .or_default()
                .insert(key.clone());
        });
        let change = match outcome {
            Some(outcome) => Change::Put(outcome),
            None => Change::Gone(key.to_wit()),
        };
        if self.objects.contains_key(&key) {
            self.decided.insert(key, used);
        }
        Some(change)
    }
}

fn outcome(view: &View<'_>, key: &Key) -> Option<Outcome> {
    match key.kind {
        Kind::Ingress => ingress::compile(view, key),
        Kind::IngressRoute => crd::route::compile(view, key),
        Kind::IngressRouteTcp => crd::compile_tcp(view, key),
        // Routes follow from those that name them.
        _ => None,
    }
}

/// Stands for all objects of a kind, for those who list them.
fn any(kind: Kind) -> Key {
    Key::new(kind, "*", "*")
}

impl View<'_> {
    /// An object; none where it does not exist.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<Result<T, String>> {
        self.used.borrow_mut().insert(key.clone());
        self.objects
            .get(key)
            .map(|json| serde_json::from_slice(json).map_err(|error| error.to_string()))
    }

    /// Whether an object is there.
    pub(crate) fn exists(&self, key: &Key) -> bool {
        self.used.borrow_mut().insert(key.clone());
        self.objects.contains_key(key)
    }

    /// All objects of a kind.
    pub(crate) fn keys(&self, kind: Kind) -> Vec<Key> {
        self.used.borrow_mut().insert(any(kind));
        self.objects
            .keys()
            .filter(|key| key.kind == kind)
            .cloned()
            .collect()
    }

    /// All readable objects of a kind.
    pub(crate) fn list<T: DeserializeOwned>(&self, kind: Kind) -> Vec<(Key, T)> {
        self.used.borrow_mut().insert(any(kind));
        let of_kind = self.objects.iter().filter(|(key, _)| key.kind == kind);
        of_kind
            .filter_map(|(key, json)| Some((key.clone(), serde_json::from_slice(json).ok()?)))
            .collect()
    }
}
