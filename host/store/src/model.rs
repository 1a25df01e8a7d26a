//! The store's vocabulary: entries, events, writes and their revisions.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

/// A position in the log: the number of the write that made it. 0 is before the first write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first write.
    pub const ZERO: Self = Self(0);

    /// The revision `n` writes later.
    #[must_use]
    pub fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// The revision `n` writes earlier, not below zero.
    #[must_use]
    pub(crate) fn minus(self, n: u64) -> Self {
        Self(self.0.saturating_sub(n))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value that the caller keeps beside an entry's bytes; see [`crate::StoreOptions::extract`].
pub type Attachment = Arc<dyn Any + Send + Sync>;

/// One key's value as of `mod_revision`.
#[derive(Clone)]
pub struct Entry {
    /// The whole key, as it is stored.
    pub key: Arc<str>,
    /// The bytes, untouched.
    pub value: Bytes,
    /// The write that made the key (again, after a delete).
    pub create_revision: Revision,
    /// The write that made this value.
    pub mod_revision: Revision,
    /// Seconds that the key lives after this write; 0 means no expiry.
    pub lease_secs: u32,
    /// What [`crate::StoreOptions::extract`] made of key and value.
    pub attachment: Attachment,
}

impl Entry {
    /// The attachment as the type that the extractor makes.
    #[must_use]
    pub fn attached<T: 'static>(&self) -> Option<&T> {
        self.attachment.downcast_ref()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value_bytes", &self.value.len())
            .field("create_revision", &self.create_revision.0)
            .field("mod_revision", &self.mod_revision.0)
            .finish_non_exhaustive()
    }
}

/// A condition on a key's current state without which a write does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The key must not exist.
    Absent,
    /// The key must exist with exactly this `mod_revision`.
    Revision(Revision),
    /// The key must exist.
    Exists,
    /// Nothing. (A delete still needs the key to exist.)
    Any,
}

/// The operation of a write.
#[derive(Clone, Debug)]
pub enum Op {
    /// Sets the value. `ttl` is rounded up to whole seconds, as leases are stored in seconds.
    Put {
        /// The new bytes.
        value: Bytes,
        /// How long the key lives unless it is written again; none means no expiry.
        ttl: Option<Duration>,
    },
    /// Removes the key.
    Delete,
}

/// One conditional write.
#[derive(Clone, Debug)]
pub struct Write {
    /// The key.
    pub key: Arc<str>,
    /// The condition under which it happens.
    pub precondition: Precondition,
    /// The operation.
    pub op: Op,
}

impl Write {
    /// Sets `key` to `value`, without lease.
    pub fn put(
        key: impl Into<Arc<str>>,
        precondition: Precondition,
        value: impl Into<Bytes>,
    ) -> Self {
        Self {
            key: key.into(),
            precondition,
            op: Op::Put {
                value: value.into(),
                ttl: None,
            },
        }
    }

    /// Removes `key`.
    pub fn delete(key: impl Into<Arc<str>>, precondition: Precondition) -> Self {
        Self {
            key: key.into(),
            precondition,
            op: Op::Delete,
        }
    }

    /// The same put with a lease of `ttl`; a delete is unchanged.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        if let Op::Put { ttl: slot, .. } = &mut self.op {
            *slot = Some(ttl);
        }
        self
    }
}

/// An acknowledged write.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its revision.
    pub revision: Revision,
    /// The entry it made; none for a delete.
    pub entry: Option<Arc<Entry>>,
    /// The entry it replaced or removed.
    pub previous: Option<Arc<Entry>>,
}

/// The change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The key got a value.
    Put {
        /// True when the key did not exist before.
        created: bool,
    },
    /// The key was removed.
    Delete,
}

/// One committed write, shared by all watchers.
pub struct Event {
    /// The write's revision. For a delete this is newer than the entry's own.
    pub revision: Revision,
    /// Whether the key was set or removed.
    pub kind: EventKind,
    /// The new entry; for a delete the last one.
    pub entry: Arc<Entry>,
    /// The entry before; none for a creation.
    pub previous: Option<Arc<Entry>>,
    memo: OnceLock<Attachment>,
}

impl Event {
    pub(crate) fn new(
        revision: Revision,
        kind: EventKind,
        entry: Arc<Entry>,
        previous: Option<Arc<Entry>>,
    ) -> Self {
        Self {
            revision,
            kind,
            entry,
            previous,
            memo: OnceLock::new(),
        }
    }

    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.entry.key
    }

    /// A value computed once per event and shared by all its watchers, such as its encoded frames.
    pub fn memo(&self, make: impl FnOnce() -> Attachment) -> &Attachment {
        self.memo.get_or_init(make)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("revision", &self.revision.0)
            .field("kind", &self.kind)
            .field("key", &self.entry.key)
            .finish_non_exhaustive()
    }
}
