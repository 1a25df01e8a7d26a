//! Objects that several informers hold once.
//!
//! Each component of the server's process has informers of its own, under its own identity, and
//! many follow the same Services, Nodes and Pods. What they receive is the same text, so they can
//! hold the same object, with one set of parsed views.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use k3s_base::Shrink as _;
use parking_lot::Mutex;

use crate::object::{Obj, Object};

/// Entries beyond those alive at the last sweep that lead to the next: a sweep costs as much as it
/// has entries, so it must not come with each insertion.
const SWEEP_AFTER: usize = 1024;

/// The newest object of each UID that some informer holds.
#[derive(Debug, Default)]
pub(crate) struct SharedObjects(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_uid: HashMap<Arc<str>, Weak<Obj>>,
    /// Entries at which those of dropped objects are removed.
    sweep_at: usize,
}

impl SharedObjects {
    /// The object that is known already with exactly this text, or `object` itself.
    pub(crate) fn share(&self, object: Object) -> Object {
        if object.uid().is_empty() {
            return object;
        }
        let mut known = self.0.lock();
        if let Some(entry) = known.by_uid.get_mut(object.uid()) {
            // Other versions of the API and metadata alone differ in text.
            if let Some(same) = entry.upgrade().filter(|same| same.raw() == object.raw()) {
                return same;
            }
            *entry = Arc::downgrade(&object);
            return object;
        }
        known.insert(&object);
        object
    }

    /// The object was deleted. An informer that is behind may share it once more, and deletes it then too.
    pub(crate) fn forget(&self, uid: &str) {
        let mut known = self.0.lock();
        known.by_uid.remove(uid);
        known.by_uid.shrink_when_sparse();
    }
}

impl Known {
    fn insert(&mut self, object: &Object) {
        if self.by_uid.len() >= self.sweep_at {
            self.by_uid.retain(|_, object| object.strong_count() > 0);
            self.by_uid.shrink_when_sparse();
            self.sweep_at = self.by_uid.len() + SWEEP_AFTER;
        }
        let uid = Arc::from(object.uid());
        self.by_uid.insert(uid, Arc::downgrade(object));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(uid: &str, version: &str) -> Object {
        let metadata = json!({"name": "a", "uid": uid, "resourceVersion": version});
        Obj::from_value(json!({"kind": "Pod", "metadata": metadata})).unwrap()
    }

    #[test]
    fn equal_objects_are_one() {
        let shared = SharedObjects::default();
        let first = shared.share(object("u", "1"));
        assert!(Arc::ptr_eq(&first, &shared.share(object("u", "1"))));
        let second = shared.share(object("u", "2"));
        assert_eq!(second.resource_version(), "2");
        assert!(!Arc::ptr_eq(&first, &shared.share(object("u", "1"))));
    }

    #[test]
    fn deleted_objects_are_forgotten_at_once() {
        let shared = SharedObjects::default();
        let held: Vec<Object> = (0..500)
            .map(|n| shared.share(object(&n.to_string(), "1")))
            .collect();
        for object in &held {
            shared.forget(object.uid());
        }
        let known = shared.0.lock();
        assert!(known.by_uid.is_empty() && known.by_uid.capacity() < 100);
    }

    #[test]
    fn dropped_objects_are_forgotten() {
        let shared = SharedObjects::default();
        for n in 0..5 * SWEEP_AFTER {
            drop(shared.share(object(&n.to_string(), "1")));
        }
        assert!(shared.0.lock().by_uid.len() <= SWEEP_AFTER + 1);
    }
}
