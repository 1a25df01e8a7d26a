//! The one task that writes: gathers queued writes into a batch, commits it, applies, acknowledges.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k3s_lifecycle::CancellationToken;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::backend::{Append, Outcome};
use crate::follow::Follower;
use crate::shared::Shared;
use crate::{
    Attachment, BackendError, Committed, Entry, EventKind, Revision, Write, WriteError, plan,
    resync,
};

/// How often a write is decided anew because another server wrote the same key in between, for writes that
/// do not name the revision they replace. Other keys have no part in that. A writer that meets this
/// bound (some seconds) is told to try again.
const TRIES: u32 = 1000;

/// How long writers wait to learn what became of a commit that was lost, before they are told that nobody
/// knows. Below what clients and the API server wait for an answer.
const UNSURE: Duration = Duration::from_secs(10);

/// A write on its way.
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) attachment: Attachment,
    pub(crate) reply: oneshot::Sender<Result<Committed, WriteError>>,
    /// How often its key was changed by others before it got there.
    pub(crate) tries: u32,
}

/// A request whose row is in the batch.
pub(crate) struct Waiter {
    request: Request,
    previous: Option<Arc<Entry>>,
}

/// Rows to commit together and who waits for them, in the same order. Keys are unique within a
/// batch, so that rows do not depend on each other's outcome.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Append>,
    pub(crate) waiters: Vec<Waiter>,
}

/// How memory stands to the rows that this store has committed behind those of others.
enum Caught {
    /// It has what comes before them.
    Before,
    /// It has them as well.
    Beyond,
    /// The store was told to stop.
    Stopped,
}

pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Request>,
    /// Received but not yet in a batch, in order. Bounded by `batch_writes`: nothing is received
    /// while it is full.
    pending: VecDeque<Request>,
    follower: Follower,
}

impl Sequencer {
    pub(crate) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Request>) -> Self {
        let follower = Follower::new(shared.backend.is_shared());
        Self {
            shared,
            queue,
            pending: VecDeque::new(),
            follower,
        }
    }

    /// Runs until told to stop; the batch under way is finished, the rest is told that the store is
    /// closed.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        while self.gather(&stopping).await {
            let batch = self.compose();
            if !batch.rows.is_empty() {
                self.commit(batch, &stopping).await;
            }
        }
        self.shared.close();
        self.queue.close();
        self.refuse_queued(&WriteError::Closed);
    }

    /// Waits for at least one write and takes what else is queued, or looks at what others wrote;
    /// false to stop.
    async fn gather(&mut self, stopping: &CancellationToken) -> bool {
        if stopping.is_cancelled() {
            return false;
        }
        let room = self
            .shared
            .options
            .batch_writes
            .saturating_sub(self.pending.len());
        if !self.pending.is_empty() {
            for _ in 0..room {
                let Ok(request) = self.queue.try_recv() else {
                    break;
                };
                self.pending.push_back(request);
            }
            return true;
        }
        let mut received = Vec::new();
        tokio::select! {
            n = self.queue.recv_many(&mut received, room.max(1)) => {
                self.pending.extend(received);
                n > 0
            }
            () = self.follower.due() => {
                self.look(stopping).await;
                true
            }
            () = stopping.cancelled() => false,
        }
    }

    /// Applies what other writers wrote. A failure is left to the next look: who writes meanwhile is
    /// told.
    async fn look(&mut self, stopping: &CancellationToken) {
        let found = match resync::look(&self.shared).await {
            Ok(found) => found,
            Err(BackendError::Compacted(_)) => self.resync(stopping).await.is_some(),
            Err(error) => {
                debug!(%error, "cannot look for rows of other writers");
                false
            }
        };
        self.follower.looked(found);
    }

    /// Decides what is pending against memory. A second write of a key waits for the next batch.
    fn compose(&mut self) -> Batch {
        let mut batch = Batch::default();
        let mut keys = HashSet::new();
        let mut later = VecDeque::new();
        let mut bytes = 0;
        let state = self.shared.state.read();
        for request in self.pending.drain(..) {
            if request.reply.is_closed() {
                continue;
            }
            if bytes > self.shared.options.batch_bytes || keys.contains(&request.write.key) {
                keys.insert(request.write.key.clone());
                later.push_back(request);
                continue;
            }
            let previous = state.keys.get(&request.write.key).cloned();
            match plan::decide(&request.write, previous.as_ref()) {
                Ok(row) => {
                    bytes += row.key.len() + row.value.len() + row.old_value.len();
                    keys.insert(row.key.clone());
                    batch.rows.push(row);
                    batch.waiters.push(Waiter { request, previous });
                }
                Err(error) => {
                    self.shared.counters.conflicts.add(1);
                    let _ = request.reply.send(Err(error));
                }
            }
        }
        drop(state);
        self.pending = later;
        batch
    }

    async fn commit(&mut self, batch: Batch, stopping: &CancellationToken) {
        let head = self.shared.revision();
        let rows: Arc<[Append]> = batch.rows.into();
        let result = self.shared.backend.append(head, rows.clone()).await;
        match result.and_then(|outcomes| in_sequence(head, rows.len(), &outcomes)) {
            Ok(placed) => {
                self.settle(head, &rows, batch.waiters, &placed, stopping)
                    .await
            }
            Err(BackendError::Stale(newest)) => {
                let caught = self.catch_up(Some(newest.plus(1)), stopping).await;
                self.decide_again(batch.waiters, &caught);
            }
            Err(error) => {
                self.shared.counters.failed_commits.add(1);
                self.recover(head, &rows, batch.waiters, error, stopping)
                    .await;
            }
        }
    }

    /// After a commit: makes its rows visible, behind those that others have written before them; writes
    /// whose key was among those are decided anew. `placed` says which revision each row got.
    async fn settle(
        &mut self,
        head: Revision,
        rows: &[Append],
        waiters: Vec<Waiter>,
        placed: &[Option<Revision>],
        stopping: &CancellationToken,
    ) {
        let first = placed.iter().flatten().next().copied();
        let follows = first == Some(head.plus(1));
        let mut caught = if follows {
            Caught::Before
        } else {
            self.catch_up(first, stopping).await
        };
        let (mut done, mut again) = (Vec::with_capacity(rows.len()), Vec::new());
        for ((row, waiter), revision) in rows.iter().zip(waiters).zip(placed) {
            match revision {
                Some(revision) => done.push((row, waiter, *revision)),
                None => again.push(waiter),
            }
        }
        match caught {
            Caught::Stopped => refuse(
                done.into_iter().map(|(_, waiter, _)| waiter),
                &WriteError::Closed,
            ),
            Caught::Before | Caught::Beyond => {
                self.acknowledge(done, matches!(caught, Caught::Before))
            }
        }
        if follows && !again.is_empty() {
            // Nothing was in between, so what stands against them is still to be found.
            caught = self.catch_up(None, stopping).await;
        }
        self.decide_again(again, &caught);
    }

    /// Answers committed writes; `apply` if memory does not have them yet.
    fn acknowledge(&self, done: Vec<(&Append, Waiter, Revision)>, apply: bool) {
        let mut events = Vec::with_capacity(done.len());
        let mut replies = Vec::with_capacity(done.len());
        for (row, waiter, revision) in done {
            let Waiter { request, previous } = waiter;
            let event = plan::committed(row, revision, previous.clone(), request.attachment);
            let entry = (row.kind != EventKind::Delete).then(|| event.entry.clone());
            replies.push((
                request.reply,
                Committed {
                    revision,
                    entry,
                    previous,
                },
            ));
            events.push(event);
        }
        let Some(newest) = events.last().map(|event| event.revision) else {
            return;
        };
        if apply {
            self.shared.apply(&events, newest);
        }
        self.shared.counters.commits.add(1);
        self.shared.counters.writes.add(replies.len() as u64);
        for (reply, committed) in replies {
            let _ = reply.send(Ok(committed));
        }
    }

    /// Others have written: reads that up to `end`, exclusive, or as far as there is something.
    async fn catch_up(&mut self, end: Option<Revision>, stopping: &CancellationToken) -> Caught {
        self.follower.looked(true);
        let read = match end {
            Some(end) => resync::read_to(&self.shared, end.minus(1)).await.map(drop),
            None => resync::look_on(&self.shared).await,
        };
        let Err(error) = read else {
            return Caught::Before;
        };
        debug!(%error, "cannot read what others wrote");
        if self.resync(stopping).await.is_some() {
            Caught::Beyond
        } else {
            Caught::Stopped
        }
    }

    /// Puts writes back, so that each is held against the new state by itself.
    fn decide_again(&mut self, waiters: Vec<Waiter>, caught: &Caught) {
        if let Caught::Stopped = caught {
            return refuse(waiters.into_iter(), &WriteError::Closed);
        }
        for waiter in waiters.into_iter().rev() {
            let mut request = waiter.request;
            request.tries += 1;
            if request.tries > TRIES {
                let error = BackendError::Stale(self.shared.revision());
                let _ = request.reply.send(Err(WriteError::Unavailable(error)));
            } else {
                self.pending.push_front(request);
            }
        }
    }

    /// After a failed commit: if nothing was written the writers are told so at once; otherwise the
    /// backend is read until it says what happened, which may be long after the writers have gone.
    async fn recover(
        &mut self,
        head: Revision,
        rows: &[Append],
        waiters: Vec<Waiter>,
        error: BackendError,
        stopping: &CancellationToken,
    ) {
        warn!(%error, writes = rows.len(), "the datastore did not commit a batch");
        let unsure = matches!(error, BackendError::OutcomeUnknown(_));
        let found = match unsure {
            false => Some(Vec::new()),
            true => match tokio::time::timeout(UNSURE, self.resync(stopping)).await {
                Ok(found) => found,
                Err(_) => {
                    refuse(waiters.into_iter(), &WriteError::Unavailable(error));
                    self.resync(stopping).await;
                    return;
                }
            },
        };
        let is_shared = self.shared.backend.is_shared();
        for (row, waiter) in rows.iter().zip(waiters) {
            let done = found
                .as_ref()
                .and_then(|f| f.iter().find(|e| resync::is_same(row, e, head)));
            let result = match (done, &found) {
                // Two servers that delete the same thing write the same row: this one may be the other's.
                (Some(_), _) if is_shared && row.kind == EventKind::Delete => {
                    Err(WriteError::Unavailable(error.clone()))
                }
                (Some(event), _) => Ok(Committed {
                    revision: event.revision,
                    entry: (row.kind != EventKind::Delete).then(|| event.entry.clone()),
                    previous: waiter.previous,
                }),
                (None, Some(_)) => Err(WriteError::Unavailable(not_written(&error))),
                (None, None) => Err(WriteError::Closed),
            };
            let _ = waiter.request.reply.send(result);
        }
    }

    /// Reads on from the backend until that works; meanwhile queued writes are refused, as nobody
    /// can decide them. None when told to stop first.
    async fn resync(&mut self, stopping: &CancellationToken) -> Option<Vec<Arc<crate::Event>>> {
        self.shared.counters.resyncs.add(1);
        let mut tries = 0;
        loop {
            let read = match resync::read_on(&self.shared).await {
                Err(BackendError::Compacted(to)) => {
                    warn!(compacted = %to, "others compacted what was not read yet; reading everything anew");
                    resync::reload(&self.shared).await.map(|()| Vec::new())
                }
                read => read,
            };
            match read {
                Ok(events) => return Some(events),
                Err(error) => {
                    warn!(%error, "cannot read the datastore after a failed commit; will try again");
                    self.refuse_queued(&WriteError::Unavailable(not_written(&error)));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(resync::BACKOFF.delay(tries)) => tries += 1,
                () = stopping.cancelled() => return None,
            }
        }
    }

    fn refuse_queued(&mut self, error: &WriteError) {
        for request in self.pending.drain(..) {
            let _ = request.reply.send(Err(error.clone()));
        }
        while let Ok(request) = self.queue.try_recv() {
            let _ = request.reply.send(Err(error.clone()));
        }
    }
}

/// What is known once the log has been read, or where nothing was handed in.
fn not_written(error: &BackendError) -> BackendError {
    match error {
        BackendError::OutcomeUnknown(why) => BackendError::Unavailable(why.clone()),
        other => other.clone(),
    }
}

fn refuse(waiters: impl Iterator<Item = Waiter>, error: &WriteError) {
    for waiter in waiters {
        let _ = waiter.request.reply.send(Err(error.clone()));
    }
}

/// The revision of each row that was committed. They follow each other, after `head`; a backend that
/// reports anything else is wrong, and what it holds must be read before going on.
fn in_sequence(
    head: Revision,
    rows: usize,
    outcomes: &[Outcome],
) -> Result<Vec<Option<Revision>>, BackendError> {
    let revision = |outcome: &Outcome| {
        if let Outcome::Committed(revision) = outcome {
            Some(*revision)
        } else {
            None
        }
    };
    let placed: Vec<_> = outcomes.iter().map(revision).collect();
    let first = placed.iter().flatten().next().copied().unwrap_or_default();
    let follow = placed
        .iter()
        .flatten()
        .zip(0..)
        .all(|(revision, n)| *revision > head && *revision == first.plus(n));
    if placed.len() == rows && follow {
        return Ok(placed);
    }
    Err(BackendError::OutcomeUnknown(
        "the rows did not get revisions that follow the log".to_owned(),
    ))
}
