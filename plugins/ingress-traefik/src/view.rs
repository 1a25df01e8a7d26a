//! The cluster and the operator's settings, as one decision sees them.

use std::cell::RefCell;

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::{Cluster, Key, Kind};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::outcome::Warnings;

/// What a decision may look up. The SDK records the lookups.
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    pub(crate) cluster: &'a Cluster<'a>,
    /// What the author should know of objects that were looked up.
    pub(crate) warnings: RefCell<Warnings>,
}

impl View<'_> {
    /// An object; none if it does not exist.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<Result<T, Sentence>> {
        self.cluster.get_key(key)
    }

    /// Whether an object exists.
    pub(crate) fn exists(&self, key: &Key) -> bool {
        self.cluster.exists_key(key)
    }

    /// The keys of all objects of a kind.
    pub(crate) fn keys(&self, kind: &'static Kind) -> Vec<Key> {
        self.cluster.keys(kind)
    }

    /// Reports something that is served in another way than its author may expect.
    pub(crate) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// What the decision costs so far, in bytes.
    pub(crate) fn work(&self) -> usize {
        self.cluster.work()
    }

    /// Copies parts of the decision that come to this many bytes; false once that is too much.
    pub(crate) fn may_copy(&self, bytes: usize) -> bool {
        self.cluster.charge(bytes)
    }

    /// All readable objects of a kind.
    pub(crate) fn list<T: DeserializeOwned>(&self, kind: &'static Kind) -> Vec<T> {
        self.cluster.list(kind)
    }
}
