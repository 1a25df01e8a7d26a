//! The cluster and the operator's settings, as one decision sees them.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::{Cluster, Key, Kind};
use serde::de::DeserializeOwned;

use crate::config::Config;

/// What a decision may look up. The SDK records the lookups.
pub(crate) struct View<'a> {
    pub(crate) config: &'a Config,
    pub(crate) cluster: &'a Cluster<'a>,
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

    /// All readable objects of a kind.
    pub(crate) fn list<T: DeserializeOwned>(&self, kind: &'static Kind) -> Vec<T> {
        self.cluster.list(kind)
    }
}
