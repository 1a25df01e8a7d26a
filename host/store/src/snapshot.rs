//! The whole state as of one revision, unchanged while writes continue.

use std::sync::Arc;

use crate::keyspace::Keyspace;
use crate::model::{Entry, Revision};

/// A consistent view of all keys. Taking one costs a reference count. While it is held, each part
/// that is written has to be copied once, so drop it when the page is made.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) keys: Keyspace,
    pub(crate) revision: Revision,
}

impl Snapshot {
    /// The revision it shows.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// One key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.keys.get(key)
    }

    /// Entries whose key starts with `prefix` and is greater than `start_after`, in key order.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start_after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        self.keys.range(prefix, start_after)
    }

    /// How many entries [`Snapshot::range`] yields, without iterating over them.
    #[must_use]
    pub fn count(&self, prefix: &str, start_after: Option<&str>) -> usize {
        self.keys.count(prefix, start_after)
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True when there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.len() == 0
    }
}
