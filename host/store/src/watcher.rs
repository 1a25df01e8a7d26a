//! A cursor over the log. It owns no queue: unread events are in the ring, which all watchers share,
//! or in the backend.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use crate::backend::{AfterRequest, BackendError};
use crate::error::WatchError;
use crate::log::Read;
use crate::model::{Event, Revision};
use crate::plan;
use crate::shared::Shared;

/// Rows per read of the backend.
const HISTORY_ROWS: usize = 500;

/// Events below a prefix, in revision order, each exactly once, without gaps.
pub struct Watcher {
    shared: Arc<Shared>,
    prefix: Arc<str>,
    /// Everything up to here was handed out (or buffered).
    cursor: Revision,
    wake: watch::Receiver<()>,
    /// Rest of the last batch, for [`Watcher::next`]. At most one batch.
    buffer: VecDeque<Arc<Event>>,
}

impl Watcher {
    pub(crate) fn new(
        shared: Arc<Shared>,
        prefix: Arc<str>,
        from: Revision,
        wake: watch::Receiver<()>,
    ) -> Self {
        Self {
            shared,
            prefix,
            cursor: from,
            wake,
            buffer: VecDeque::new(),
        }
    }

    /// The next event. Cancel safe.
    pub async fn next(&mut self) -> Result<Arc<Event>, WatchError> {
        loop {
            if let Some(event) = self.buffer.pop_front() {
                return Ok(event);
            }
            self.buffer = self.read().await?.into();
        }
    }

    /// The next events, at least one, at most [`crate::StoreOptions::watch_batch`]. Cancel safe.
    pub async fn next_batch(&mut self) -> Result<Vec<Arc<Event>>, WatchError> {
        if self.buffer.is_empty() {
            self.read().await
        } else {
            Ok(self.buffer.drain(..).collect())
        }
    }

    /// The next events that memory holds, without waiting: empty when the watcher has caught up.
    /// `None` when the events after its place have left memory, so that only [`Watcher::next_batch`]
    /// or a new snapshot can continue.
    pub fn try_next_batch(&mut self) -> Option<Vec<Arc<Event>>> {
        if !self.buffer.is_empty() {
            return Some(self.buffer.drain(..).collect());
        }
        let state = self.shared.state.read();
        let mut events = Vec::new();
        // A long log of other keys is read in several steps.
        while events.is_empty() {
            let max = self.shared.options.watch_batch;
            match state
                .log
                .read(&self.prefix, self.cursor, max, state.revision)
            {
                Read::Events(found, cursor) => (events, self.cursor) = (found, cursor),
                Read::CaughtUp => break,
                Read::Behind => return None,
            }
        }
        Some(events)
    }

    /// True when every event of the prefix up to the store's newest revision was returned. Costs
    /// a lookup, so it can be asked for every request.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let state = self.shared.state.read();
        self.buffer.is_empty() && state.log.is_drained(&self.prefix, self.cursor)
    }

    /// A signal that fires when something may have happened below the prefix, without reading it.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes {
            shared: self.shared.clone(),
            wake: self.wake.clone(),
        }
    }

    /// The revision up to which every event of the prefix was returned: what a bookmark may carry.
    /// It advances with the store even while the prefix is quiet.
    #[must_use]
    pub fn progress(&self) -> Revision {
        if let Some(event) = self.buffer.front() {
            return event.revision.minus(1);
        }
        let state = self.shared.state.read();
        let drained = state.log.is_drained(&self.prefix, self.cursor);
        if drained {
            self.cursor.max(state.revision)
        } else {
            self.cursor
        }
    }

    /// The prefix watched.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn read(&mut self) -> Result<Vec<Arc<Event>>, WatchError> {
        loop {
            // Marked as seen before the read, so that events after the read wake this watcher.
            self.wake.borrow_and_update();
            let (read, closed) = {
                let state = self.shared.state.read();
                let max = self.shared.options.watch_batch;
                (
                    state
                        .log
                        .read(&self.prefix, self.cursor, max, state.revision),
                    state.closed,
                )
            };
            let events = match read {
                Read::Events(events, cursor) => {
                    self.cursor = cursor;
                    events
                }
                Read::Behind => self.history().await?,
                Read::CaughtUp if closed => return Err(WatchError::Closed),
                Read::CaughtUp => {
                    self.wake.changed().await.map_err(|_| WatchError::Closed)?;
                    continue;
                }
            };
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// Events that have left the ring.
    async fn history(&mut self) -> Result<Vec<Arc<Event>>, WatchError> {
        self.shared.counters.backend_reads.add(1);
        let request = AfterRequest {
            after: self.cursor,
            through: self.shared.revision(),
            prefix: self.prefix.clone(),
            limit: HISTORY_ROWS,
            limit_bytes: self.shared.options.read_batch_bytes,
        };
        let batch = self
            .shared
            .backend
            .after(request)
            .await
            .map_err(|error| match error {
                BackendError::Compacted(compacted) => WatchError::Compacted {
                    requested: self.cursor,
                    compacted,
                },
                other => WatchError::Backend(other),
            })?;
        if batch.through <= self.cursor {
            return Err(WatchError::Backend(BackendError::Corrupt(
                "history makes no progress".into(),
            )));
        }
        self.cursor = batch.through;
        let extract = |key: &str, value: &_| self.shared.options.extract.of(key, value);
        Ok(batch
            .changes
            .iter()
            .map(|c| plan::replayed(c, extract))
            .collect())
    }
}

/// The wake-up signal of a prefix. It is independent of its [`Watcher`], so that one task can wait
/// for events while another holds the watcher and reads them.
#[derive(Clone)]
pub struct Changes {
    shared: Arc<Shared>,
    wake: watch::Receiver<()>,
}

impl Changes {
    /// Waits until something may have happened since the last call. Cancel safe.
    ///
    /// # Errors
    /// [`WatchError::Closed`] once the store has stopped.
    pub async fn changed(&mut self) -> Result<(), WatchError> {
        if self.shared.state.read().closed {
            return Err(WatchError::Closed);
        }
        self.wake.changed().await.map_err(|_| WatchError::Closed)?;
        if self.shared.state.read().closed {
            return Err(WatchError::Closed);
        }
        Ok(())
    }
}
