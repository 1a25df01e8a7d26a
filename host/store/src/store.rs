//! The store's public interface.

use std::sync::Arc;

use k3s_base::Clock;
use k3s_lifecycle::Tasks;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};

use crate::ager;
use crate::backend::{Backend, BackendError, Opened};
use crate::compactor;
use crate::error::{ListError, OpenError, WatchError, WriteError};
use crate::keyspace::Keyspace;
use crate::lease::{self, Leases};
use crate::list::{self, ListOptions, ListPage};
use crate::log::Log;
use crate::model::{Committed, Entry, Revision, Write};
use crate::options::StoreOptions;
use crate::sequencer::Sequencer;
use crate::shared::{Shared, State};
use crate::snapshot::Snapshot;
use crate::stats::{Counters, Stats};
use crate::watcher::Watcher;
use crate::writer::{Request, Writer};

/// The store. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Writer,
}

impl Store {
    /// Opens `backend`, loads its current state and starts the store's tasks in a child of `tasks`.
    ///
    /// # Errors
    /// When the backend refuses its data, cannot be read, or contradicts itself.
    pub async fn open(
        backend: Arc<dyn Backend>,
        options: StoreOptions,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, OpenError> {
        let opened = backend.open().await?;
        let shared = Arc::new(empty(backend, options, clock, opened));
        load(&shared, opened).await?;
        let (writer, requests) = Writer::new(shared.clone());
        let store = Self { shared, writer };
        store.start(requests, &tasks.child("store"));
        Ok(store)
    }

    fn start(&self, requests: mpsc::Receiver<Request>, tasks: &Tasks) {
        let shared = &self.shared;
        tasks.spawn(
            "sequencer",
            Sequencer::new(shared.clone(), requests).run(tasks.stopping()),
        );
        tasks.spawn(
            "leases",
            lease::run(self.writer.clone(), shared.clone(), tasks.stopping()),
        );
        if let Some(interval) = shared.options.ring_interval {
            tasks.spawn(
                "ager",
                ager::run(shared.clone(), interval, tasks.stopping()),
            );
        }
        if let Some(interval) = shared.options.compact_interval {
            tasks.spawn(
                "compactor",
                compactor::run(shared.clone(), interval, tasks.stopping()),
            );
        }
    }

    /// The current entry of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.shared.state.read().keys.get(key).cloned()
    }

    /// Writes durably if the precondition holds. Dropping the future before it is done leaves open
    /// whether the write happens.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] shows the current entry; see [`WriteError`] for the others.
    pub async fn write(&self, write: Write) -> Result<Committed, WriteError> {
        self.writer.write(write).await
    }

    /// Entries whose key starts with `prefix`, in key order, as of one revision.
    ///
    /// # Errors
    /// When the revision asked for is compacted, in the future, or only in a backend that fails.
    pub async fn list(&self, prefix: &str, options: ListOptions) -> Result<ListPage, ListError> {
        list::list(&self.shared, prefix, &options).await
    }

    /// The whole state as it is now, for callers that filter or stream.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.shared.state.read();
        Snapshot {
            keys: state.keys.clone(),
            revision: state.revision,
        }
    }

    /// Events after `from` of keys that start with `prefix`. A `from` beyond the newest revision
    /// waits for it.
    ///
    /// # Errors
    /// [`WatchError::Compacted`] when events after `from` are gone.
    pub fn watch(&self, prefix: &str, from: Revision) -> Result<Watcher, WatchError> {
        let mut state = self.shared.state.write();
        if state.closed {
            return Err(WatchError::Closed);
        }
        if from < state.compacted {
            return Err(WatchError::Compacted {
                requested: from,
                compacted: state.compacted,
            });
        }
        let wake = state.log.subscribe(prefix);
        Ok(Watcher::new(self.shared.clone(), prefix.into(), from, wake))
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.shared.revision()
    }

    /// The compacted revision: the oldest that lists and watches may ask for.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.shared.state.read().compacted
    }

    /// How many keys start with `prefix`, without iterating over them.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.shared.state.read().keys.count(prefix, None)
    }

    /// Compacts now, up to `target` but never the newest `retain` revisions. Returns the compacted
    /// revision.
    ///
    /// # Errors
    /// When the backend fails; the part that was already compacted stays compacted.
    pub async fn compact(&self, target: Revision, retain: u64) -> Result<Revision, BackendError> {
        compactor::compact(&self.shared, target, retain).await
    }

    /// Bytes used by the database.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn size_bytes(&self) -> Result<u64, BackendError> {
        self.shared.backend.size_bytes().await
    }

    /// Whether the backend answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn health(&self) -> Result<(), BackendError> {
        self.shared.backend.health().await
    }

    /// Counters, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let c = &self.shared.counters;
        let state = self.shared.state.read();
        Stats {
            commits: c.commits.get(),
            writes: c.writes.get(),
            conflicts: c.conflicts.get(),
            failed_commits: c.failed_commits.get(),
            resyncs: c.resyncs.get(),
            expired: c.expired.get(),
            compactions: c.compactions.get(),
            backend_reads: c.backend_reads.get(),
            queued: self.writer.queued() as u64,
            keys: state.keys.len() as u64,
            ring_events: state.log.len() as u64,
            ring_bytes: state.log.bytes() as u64,
        }
    }
}

fn empty(backend: Arc<dyn Backend>, options: StoreOptions, clock: Clock, opened: Opened) -> Shared {
    let log = Log::new(opened.revision, options.ring_events, options.ring_bytes);
    let Opened {
        revision,
        compacted,
    } = opened;
    Shared {
        state: RwLock::new(State {
            keys: Keyspace::default(),
            log,
            revision,
            compacted,
            closed: false,
        }),
        leases: Mutex::new(Leases::default()),
        lease_schedule_changed: Notify::new(),
        log_grew: Notify::new(),
        backend,
        options,
        clock,
        counters: Counters::default(),
    }
}

/// Reads the current state in batches. No other task holds `shared` yet.
async fn load(shared: &Shared, opened: Opened) -> Result<(), OpenError> {
    let now = shared.clock.elapsed();
    let mut start_after: Option<Arc<str>> = None;
    loop {
        let batch = shared
            .backend
            .range(list::request(
                shared,
                "",
                start_after.clone(),
                opened.revision,
            ))
            .await?;
        let last = batch.records.last().map(|r| r.key.clone());
        if batch.more && (last.is_none() || last <= start_after) {
            return Err(OpenError::Inconsistent(
                "reading the keys in order makes no progress".to_owned(),
            ));
        }
        for record in batch.records {
            let entry = list::entry_of(shared, record);
            if entry.lease_secs > 0 {
                shared.leases.lock().grant(&entry, now);
            }
            shared.state.write().keys.insert(entry);
        }
        if !batch.more {
            return Ok(());
        }
        start_after = last;
    }
}
