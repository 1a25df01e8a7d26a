//! The newest events, in memory, with absolute positions. A watcher is a cursor over it.
//!
//! Beside the log of all events there is one per bucket, the first two segments of a key
//! (`/registry/pods/`), holding the same events. A watcher of a quiet resource is therefore neither
//! woken by busy ones nor left behind by them. A prefix shorter than a bucket reads the whole log.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use k3s_base::Shrink as _;
use tokio::sync::watch;

use crate::model::{Event, Revision};

/// Events examined at a time while the caller holds the state's lock.
const SCAN_EVENTS: usize = 4096;

/// Memory that an event takes beside its value, for the ring's byte bound: itself, its entry, what is attached to it.
const EVENT_OVERHEAD_BYTES: usize = 512;
/// A value is there once for the entry and once in the frame that watchers share.
const COPIES_OF_VALUE: usize = 2;

/// Wakes the watchers of one bucket.
pub(crate) type Wake = Arc<watch::Sender<()>>;

/// Events in revision order.
struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The newest revision that is no longer here: a cursor at or after it misses nothing.
    evicted: Revision,
    wake: Wake,
}

/// The rings of all events and of each bucket. Bounded by count, bytes and time together ([`Log::expire`]); the
/// oldest events are evicted first.
pub(crate) struct Log {
    all: Ring,
    buckets: HashMap<Arc<str>, Ring>,
    bytes: usize,
    limit_events: usize,
    limit_bytes: usize,
}

/// The result of reading at a cursor.
pub(crate) enum Read {
    /// Events of the prefix, perhaps none, and the cursor after them.
    Events(Vec<Arc<Event>>, Revision),
    /// Nothing after the cursor.
    CaughtUp,
    /// The cursor is older than the ring.
    Behind,
}

impl Log {
    /// An empty log whose history up to `base` is only in the backend.
    pub(crate) fn new(base: Revision, limit_events: usize, limit_bytes: usize) -> Self {
        Self {
            all: Ring::new(base),
            buckets: HashMap::new(),
            bytes: 0,
            limit_events,
            limit_bytes,
        }
    }

    /// Adds an event and makes room. `touched` collects the watchers to wake once the lock is released.
    pub(crate) fn push(&mut self, event: &Arc<Event>, touched: &mut Vec<Wake>) {
        self.bytes += cost(event);
        self.all.push(event, touched);
        if let Some(bucket) = bucket_of(event.key()) {
            self.bucket(bucket).push(event, touched);
        }
        while self.all.events.len() > self.limit_events.max(1)
            || (self.bytes > self.limit_bytes && self.all.events.len() > 1)
        {
            self.evict();
        }
    }

    /// Evicts the events up to and including `through`, with the room that they took, and gives them to the caller
    /// to drop once the lock is released.
    #[must_use]
    pub(crate) fn expire(&mut self, through: Revision) -> Vec<Arc<Event>> {
        let count = self.all.events.partition_point(|e| e.revision <= through);
        let expired: Vec<_> = (0..count).map_while(|_| self.evict()).collect();
        self.all.events.shrink_when_sparse();
        self.buckets.retain(|_, ring| {
            ring.events.shrink_when_sparse();
            !ring.events.is_empty() || ring.wake.receiver_count() > 0
        });
        self.buckets.shrink_when_sparse();
        expired
    }

    /// A signal that fires when something below `prefix` may have changed.
    pub(crate) fn subscribe(&mut self, prefix: &str) -> watch::Receiver<()> {
        match bucket_of(prefix) {
            Some(bucket) => self.bucket(bucket).wake.subscribe(),
            None => self.all.wake.subscribe(),
        }
    }

    /// At most `max` events of `prefix` after `cursor`; `newest` is the store's revision.
    pub(crate) fn read(
        &self,
        prefix: &str,
        cursor: Revision,
        max: usize,
        newest: Revision,
    ) -> Read {
        let Some(ring) = self.ring(prefix) else {
            return match cursor {
                c if c >= newest => Read::CaughtUp,
                c if c < self.all.evicted => Read::Behind,
                _ => Read::Events(Vec::new(), newest),
            };
        };
        if cursor >= newest {
            return Read::CaughtUp;
        }
        if cursor < ring.evicted {
            Read::Behind
        } else {
            ring.read(prefix, cursor, max, newest)
        }
    }

    /// True when every event after `cursor` below `prefix` was handed out or does not exist.
    pub(crate) fn is_drained(&self, prefix: &str, cursor: Revision) -> bool {
        let oldest = self.all.evicted;
        self.ring(prefix).map_or(cursor >= oldest, |t| {
            cursor >= t.evicted && t.after(cursor).all(|e| !e.key().starts_with(prefix))
        })
    }

    /// All events of `prefix` after `at`, newest first; none when some of them are gone.
    pub(crate) fn since(&self, prefix: &str, at: Revision) -> Option<Vec<Arc<Event>>> {
        let Some(ring) = self.ring(prefix) else {
            return (at >= self.all.evicted).then(Vec::new);
        };
        (at >= ring.evicted).then(|| {
            ring.after(at)
                .rev()
                .filter(|e| e.key().starts_with(prefix))
                .cloned()
                .collect()
        })
    }

    /// Drops every event: history up to `base` is only in the backend.
    pub(crate) fn reset(&mut self, base: Revision) {
        self.bytes = 0;
        for ring in self.buckets.values_mut().chain([&mut self.all]) {
            ring.events.clear();
            ring.evicted = base;
        }
    }

    /// The signals of all watchers.
    pub(crate) fn all_watchers(&self) -> Vec<Wake> {
        self.buckets
            .values()
            .chain([&self.all])
            .map(|t| t.wake.clone())
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.events.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn ring(&self, prefix: &str) -> Option<&Ring> {
        match bucket_of(prefix) {
            Some(bucket) => self.buckets.get(bucket),
            None => Some(&self.all),
        }
    }

    fn bucket(&mut self, bucket: &str) -> &mut Ring {
        // A bucket seen for the first time (or again) has lost nothing newer than the whole log has.
        let evicted = self.all.evicted;
        self.buckets
            .entry(bucket.into())
            .or_insert_with(|| Ring::new(evicted))
    }

    fn evict(&mut self) -> Option<Arc<Event>> {
        let event = self.all.pop()?;
        self.bytes = self.bytes.saturating_sub(cost(&event));
        if let Some(bucket) = bucket_of(event.key())
            && let Some(ring) = self.buckets.get_mut(bucket)
        {
            ring.pop();
            if ring.events.is_empty() && ring.wake.receiver_count() == 0 {
                self.buckets.remove(bucket);
            }
        }
        Some(event)
    }
}

impl Ring {
    fn new(evicted: Revision) -> Self {
        Self {
            events: VecDeque::new(),
            evicted,
            wake: Arc::new(watch::Sender::new(())),
        }
    }

    fn push(&mut self, event: &Arc<Event>, touched: &mut Vec<Wake>) {
        self.events.push_back(event.clone());
        if self.wake.receiver_count() > 0 && !touched.iter().any(|w| Arc::ptr_eq(w, &self.wake)) {
            touched.push(self.wake.clone());
        }
    }

    fn pop(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.evicted = event.revision;
        Some(event)
    }

    fn after(
        &self,
        cursor: Revision,
    ) -> impl DoubleEndedIterator<Item = &Arc<Event>> + ExactSizeIterator {
        self.events
            .range(self.events.partition_point(|e| e.revision <= cursor)..)
    }

    fn read(&self, prefix: &str, cursor: Revision, max: usize, newest: Revision) -> Read {
        let mut events = Vec::new();
        let mut cursor = cursor;
        let mut rest = self.after(cursor);
        for event in rest.by_ref().take(SCAN_EVENTS) {
            cursor = event.revision;
            if event.key().starts_with(prefix) {
                events.push(event.clone());
                if events.len() >= max {
                    break;
                }
            }
        }
        let end = rest.len() == 0;
        Read::Events(events, if end { newest } else { cursor })
    }
}

fn cost(event: &Event) -> usize {
    COPIES_OF_VALUE * event.entry.value.len() + event.key().len() + EVENT_OVERHEAD_BYTES
}

/// `/registry/pods/` of `/registry/pods/default/a`; none when there are fewer than three slashes.
fn bucket_of(key: &str) -> Option<&str> {
    let (third, _) = key.bytes().enumerate().filter(|(_, b)| *b == b'/').nth(2)?;
    if key.starts_with('/') {
        key.get(..=third)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::{Entry, EventKind};

    fn event(key: &str, revision: u64) -> Arc<Event> {
        let entry = Arc::new(Entry {
            key: key.into(),
            value: Bytes::from_static(b"v"),
            create_revision: Revision(revision),
            mod_revision: Revision(revision),
            lease_secs: 0,
            attachment: Arc::new(()),
        });
        Arc::new(Event::new(
            Revision(revision),
            EventKind::Put { created: true },
            entry,
            None,
        ))
    }

    fn revisions(read: Read) -> Option<Vec<u64>> {
        match read {
            Read::Events(events, _) => Some(events.iter().map(|e| e.revision.0).collect()),
            Read::CaughtUp => Some(vec![]),
            Read::Behind => None,
        }
    }

    #[test]
    fn a_bucket_is_two_segments() {
        assert_eq!(
            bucket_of("/registry/pods/default/a"),
            Some("/registry/pods/")
        );
        assert_eq!(bucket_of("/registry/pods/"), Some("/registry/pods/"));
        assert_eq!(bucket_of("/registry/health"), None);
        assert_eq!(bucket_of(""), None);
    }

    #[test]
    fn a_quiet_bucket_is_not_left_behind() {
        let mut log = Log::new(Revision(1), 3, 1 << 20);
        let mut touched = Vec::new();
        for i in 2..20 {
            log.push(&event("/r/busy/x", i), &mut touched);
        }
        let newest = Revision(19);
        assert_eq!(
            revisions(log.read("/r/busy/", Revision(16), 10, newest)),
            Some(vec![17, 18, 19])
        );
        assert_eq!(
            revisions(log.read("/r/busy/", Revision(15), 10, newest)),
            None
        );
        let _quiet = log.subscribe("/r/quiet/");
        assert_eq!(
            revisions(log.read("/r/quiet/", Revision(15), 10, newest)),
            None,
            "unseen: as old as the log"
        );
        assert_eq!(
            revisions(log.read("/r/quiet/", Revision(16), 10, newest)),
            Some(vec![])
        );
        for i in 20..40 {
            log.push(&event("/r/busy/x", i), &mut touched);
        }
        assert_eq!(
            revisions(log.read("/r/quiet/", Revision(16), 10, Revision(39))),
            Some(vec![])
        );
        assert_eq!(
            revisions(log.read("/r/", Revision(36), 2, Revision(39))),
            Some(vec![37, 38])
        );
    }

    #[test]
    fn events_that_expire_leave_every_ring_and_no_watcher_of_later_ones_behind() {
        let mut log = Log::new(Revision(1), 10_000, 1 << 30);
        let mut touched = Vec::new();
        let _watched = log.subscribe("/r/a/");
        for i in 2..1002 {
            let bucket = if i % 2 == 0 { "a" } else { "b" };
            log.push(&event(&format!("/r/{bucket}/x"), i), &mut touched);
        }
        let newest = Revision(1001);
        let (room, bytes) = (log.all.events.capacity(), log.bytes);
        assert_eq!(log.expire(Revision(999)).len(), 998);
        assert_eq!(log.len(), 2);
        assert!(log.bytes < bytes / 400 && log.all.events.capacity() < room / 8);
        for (prefix, from, seen) in [
            ("/r/a/", 998, Some(vec![1000])),
            ("/r/a/", 997, None),
            ("/r/b/", 999, Some(vec![1001])),
            ("/r/", 999, Some(vec![1000, 1001])),
            ("/r/", 998, None),
        ] {
            let read = log.read(prefix, Revision(from), 10, newest);
            assert_eq!(revisions(read), seen, "{prefix} from {from}");
        }
        assert!(log.is_drained("/r/a/", Revision(1000)));
        assert_eq!(log.expire(newest).len(), 2);
        assert_eq!((log.len(), log.bytes), (0, 0));
        assert_eq!(log.buckets.len(), 1, "the one that is watched");
        assert!(log.is_drained("/r/a/", Revision(1000)));
        assert!(log.expire(newest).is_empty());
    }

    #[test]
    fn bytes_bound_the_ring_too() {
        let mut log = Log::new(Revision(0), 1000, 3 * EVENT_OVERHEAD_BYTES);
        let mut touched = Vec::new();
        for i in 1..10 {
            log.push(&event("/a", i), &mut touched);
        }
        assert_eq!(log.len(), 2);
    }
}
