//! The pods this node works on.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::handle::{PodHandle, Source};
use crate::model;

/// All of them, by uid. Entries live as long as the pod's worker.
#[derive(Default)]
pub(crate) struct PodTable(Mutex<HashMap<String, Arc<PodHandle>>>);

impl PodTable {
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<PodHandle>> {
        self.0.lock().get(uid).cloned()
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
        self.0.lock().values().cloned().collect()
    }

    pub(crate) fn insert(&self, handle: Arc<PodHandle>) {
        self.0.lock().insert(handle.uid.clone(), handle);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}
