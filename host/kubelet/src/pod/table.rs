//! The pods this node works on.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::handle::{PodHandle, Source};
use crate::model;

/// All of them, by uid.
#[derive(Default)]
pub(crate) struct PodTable {
    /// Entries live as long as the pod's worker.
    working: Mutex<HashMap<String, Arc<PodHandle>>>,
    /// Pods of which nothing is left here and whose object the API still has, for a finalizer.
    finished: Mutex<HashSet<String>>,
}

impl PodTable {
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<PodHandle>> {
        self.working.lock().get(uid).cloned()
    }

    /// The pod of that name. Of two (the older on its way out) the one that stays.
    pub(crate) fn by_name(&self, namespace: &str, name: &str) -> Option<Arc<PodHandle>> {
        let named = self.list().into_iter().filter(|handle| {
            let pod = handle.pod();
            handle.source != Source::Orphan
                && model::namespace(&pod) == namespace
                && model::name(&pod) == name
        });
        named.min_by_key(|handle| handle.is_deleting())
    }

    pub(crate) fn list(&self) -> Vec<Arc<PodHandle>> {
        self.working.lock().values().cloned().collect()
    }

    pub(crate) fn insert(&self, handle: Arc<PodHandle>) {
        self.working.lock().insert(handle.uid.clone(), handle);
    }

    /// The pod's worker has ended.
    pub(crate) fn remove(&self, uid: &str) {
        self.working.lock().remove(uid);
    }

    /// The pod's worker has ended, and the node's part in its deletion is done.
    pub(crate) fn finish(&self, uid: &str) {
        self.finished.lock().insert(uid.to_owned());
        self.remove(uid);
    }

    /// Whether there is nothing left to do for the pod, although it has an object.
    pub(crate) fn is_finished(&self, uid: &str) -> bool {
        self.finished.lock().contains(uid)
    }

    /// Forgets the finished pods whose object is not among these any more.
    pub(crate) fn retain_finished(&self, objects: &HashSet<&str>) {
        let mut finished = self.finished.lock();
        finished.retain(|uid| objects.contains(uid.as_str()));
    }

    /// The object of a pod was removed.
    pub(crate) fn forget_finished(&self, uid: &str) {
        self.finished.lock().remove(uid);
    }
}
