//! The store's settings, and with them every bound it keeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::Attachment;

/// Makes the attachment of an entry from its key and value; runs once per write, outside all locks,
/// and once per entry at start. It must not fail: the attachment says that a value cannot be read.
#[derive(Clone)]
pub struct Extract(Arc<Make>);

type Make = dyn Fn(&str, &Bytes) -> Attachment + Send + Sync;

impl Extract {
    /// Wraps a function.
    pub fn new(extract: impl Fn(&str, &Bytes) -> Attachment + Send + Sync + 'static) -> Self {
        Self(Arc::new(extract))
    }

    pub(crate) fn of(&self, key: &str, value: &Bytes) -> Attachment {
        (self.0)(key, value)
    }
}

impl Default for Extract {
    /// Attaches nothing.
    fn default() -> Self {
        let nothing: Attachment = Arc::new(());
        Self::new(move |_, _| nothing.clone())
    }
}

impl fmt::Debug for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extract")
    }
}

/// Settings and bounds of a [`crate::Store`].
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Makes attachments.
    pub extract: Extract,
    /// Writes waiting for the sequencer. At the bound a writer waits, which is the back-pressure
    /// that a slow disk needs; an abandoned wait costs nothing.
    pub queue_writes: usize,
    /// Writes in one commit: large enough that a commit's fixed cost (a disk flush) vanishes, small
    /// enough that applying a batch holds the state lock for well under a millisecond.
    pub batch_writes: usize,
    /// Bytes in one commit, so that a batch fits a datastore plugin's 4 MiB list limit with the
    /// old values beside the new. A single write above it makes a batch of its own.
    pub batch_bytes: usize,
    /// Size of one value; larger is refused. The API server takes bodies up to 3 MiB, kine up to
    /// 2 MiB, etcd 1.5 MiB.
    pub value_limit_bytes: usize,
    /// Size of one key; larger is refused. Kine's MySQL column has 630 characters.
    pub key_limit_bytes: usize,
    /// Events kept in memory. A watcher further behind reads from the backend.
    pub ring_events: usize,
    /// Bytes that the events in memory may keep alive: values, what is attached to them, and frames that watchers share.
    pub ring_bytes: usize,
    /// How often events leave memory that were there at the look before, so that one stays for one to two intervals;
    /// none is never. Short beside the 75 s of upstream's watch cache (`eventFreshDuration`), because it costs a late
    /// watcher no new list: the datastore has the events until they are compacted.
    pub ring_interval: Option<Duration>,
    /// Events that one [`crate::Watcher::next_batch`] returns at most.
    pub watch_batch: usize,
    /// How often to compact up to what was the newest revision one interval ago; none is never.
    pub compact_interval: Option<Duration>,
    /// Newest revisions that compaction never touches.
    pub compact_retain: u64,
    /// Bytes per batch when reading from the backend (load, ranges, history).
    pub read_batch_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            extract: Extract::default(),
            queue_writes: 4096,
            batch_writes: 512,
            batch_bytes: 1 << 20,
            value_limit_bytes: 2 << 20,
            key_limit_bytes: 630,
            ring_events: 16_384,
            ring_bytes: 16 << 20,
            ring_interval: Some(Duration::from_secs(20)),
            watch_batch: 256,
            compact_interval: Some(Duration::from_secs(300)),
            compact_retain: 1000,
            read_batch_bytes: 1 << 20,
        }
    }
}
