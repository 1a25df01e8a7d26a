//! The sequencer is the only task that writes to the backend: it batches queued writes, commits each
//! batch as one transaction, applies the rows to memory and answers the writers. Other servers may
//! write the same log, so after each commit memory must receive the foreign rows first
//! ([`Sequencer::catch_up`]), then our own, and writes whose key another server changed are evaluated
//! again. If the outcome of a commit is unknown, the sequencer reads the log until it knows
//! ([`Sequencer::recover`]), and refuses new writes meanwhile.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_lifecycle::CancellationToken;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::backend::{Append, BackendError, Outcome};
use crate::error::WriteError;
use crate::model::{Committed, Entry, Event, EventKind, Revision};
use crate::poll_timer::PollTimer;
use crate::shared::Shared;
use crate::writer::Request;
use crate::{plan, resync};

/// How often a write is evaluated again because another server wrote the same key in between. Only
/// writes that do not name the revision they replace get that far, and changes of other keys do not
/// count. A writer that reaches this bound (some seconds) is told to try again.
const MAX_EVALUATIONS: u32 = 1000;

/// How long writers wait for the outcome of a lost commit before they are told that it is unknown.
/// Below the time that clients and the API server wait for an answer.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// A request whose row is in the batch, and the entry that the row replaces.
struct Waiter {
    request: Request,
    previous: Option<Arc<Entry>>,
}

/// Rows to commit together and their writers, in the same order. Keys are unique within a batch, so
/// that rows do not depend on each other's outcome.
#[derive(Default)]
struct Batch {
    rows: Vec<Append>,
    waiters: Vec<Waiter>,
}

/// Whether the in-memory state already contains the rows we just committed after another server's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// It contains the rows before ours; ours are still to be applied.
    HasPredecessors,
    /// It was read again from the backend and contains ours as well.
    HasOurRows,
}

pub(crate) struct Sequencer {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Request>,
    /// Received but not yet in a batch, in order. Bounded by `batch_writes`: the queue is not read
    /// while it is full.
    pending: VecDeque<Request>,
    poll_timer: PollTimer,
}

impl Sequencer {
    pub(crate) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Request>) -> Self {
        let poll_timer = PollTimer::new(shared.backend.is_shared());
        Self {
            shared,
            queue,
            pending: VecDeque::new(),
            poll_timer,
        }
    }

    /// Runs until told to stop. It finishes the current batch and refuses the other writes with
    /// [`WriteError::Closed`].
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

    /// Waits for at least one write and receives whatever else is queued, or polls for rows of other
    /// servers; false to stop.
    async fn gather(&mut self, stopping: &CancellationToken) -> bool {
        if stopping.is_cancelled() {
            return false;
        }
        let limit = self.shared.options.batch_writes;
        let room = limit.saturating_sub(self.pending.len());
        if !self.pending.is_empty() {
            self.receive_queued(room);
            return true;
        }
        let mut received = Vec::new();
        tokio::select! {
            n = self.queue.recv_many(&mut received, room.max(1)) => {
                self.pending.extend(received);
                n > 0
            }
            () = self.poll_timer.due() => {
                self.poll_others(stopping).await;
                true
            }
            () = stopping.cancelled() => false,
        }
    }

    /// Moves up to `room` queued writes to `pending` without waiting.
    fn receive_queued(&mut self, room: usize) {
        for _ in 0..room {
            let Ok(request) = self.queue.try_recv() else {
                return;
            };
            self.pending.push_back(request);
        }
    }

    /// Applies one page of rows written by other servers. A failure is left to the next poll; a write
    /// that arrives meanwhile reports it.
    async fn poll_others(&mut self, stopping: &CancellationToken) {
        let found = match resync::poll_once(&self.shared).await {
            Ok(found) => found,
            Err(BackendError::Compacted(_)) => self.resync(stopping).await.is_some(),
            Err(error) => {
                debug!(
                    error = chain(&error),
                    "cannot poll for rows of other servers"
                );
                false
            }
        };
        self.poll_timer.record_poll(found);
    }

    /// Evaluates pending writes against memory and puts their rows in a batch. A second write of a
    /// key waits for the next batch.
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
                // Its key now waits too, so that a later write of it keeps its place behind this one.
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

    /// Commits a batch and handles its outcome: published, stale, or failed.
    async fn commit(&mut self, batch: Batch, stopping: &CancellationToken) {
        let head = self.shared.revision();
        let rows: Arc<[Append]> = batch.rows.into();
        let result = self.shared.backend.append(head, rows.clone()).await;
        match result.and_then(|outcomes| committed_revisions(head, rows.len(), &outcomes)) {
            Ok(revisions) => {
                self.publish(head, &rows, batch.waiters, &revisions, stopping)
                    .await;
            }
            Err(BackendError::Stale(newest)) => {
                let memory = self.catch_up(Some(newest), stopping).await;
                self.requeue(batch.waiters, memory);
            }
            Err(error) => {
                self.shared.counters.failed_commits.add(1);
                self.recover(head, &rows, batch.waiters, error, stopping)
                    .await;
            }
        }
    }

    /// Makes the rows of a commit visible, after the rows that other servers committed before them.
    /// `revisions` has one item per row; the writes without one met a changed key and are evaluated
    /// again.
    async fn publish(
        &mut self,
        head: Revision,
        rows: &[Append],
        waiters: Vec<Waiter>,
        revisions: &[Option<Revision>],
        stopping: &CancellationToken,
    ) {
        let first = revisions.iter().flatten().next().copied();
        let follows_head = first == Some(head.plus(1));
        let mut memory = if follows_head {
            Some(Memory::HasPredecessors)
        } else {
            let through = first.map(|first| first.minus(1));
            self.catch_up(through, stopping).await
        };
        let (mut committed, mut conflicting) = (Vec::with_capacity(rows.len()), Vec::new());
        for ((row, waiter), revision) in rows.iter().zip(waiters).zip(revisions) {
            match revision {
                Some(revision) => committed.push((row, waiter, *revision)),
                None => conflicting.push(waiter),
            }
        }
        match memory {
            Some(memory) => self.acknowledge(committed, memory),
            None => refuse(
                committed.into_iter().map(|(_, waiter, _)| waiter),
                &WriteError::Closed,
            ),
        }
        if follows_head && !conflicting.is_empty() {
            // No foreign row came before ours, so those that the conflicts are with came after.
            memory = self.catch_up(None, stopping).await;
        }
        self.requeue(conflicting, memory);
    }

    /// Answers committed writes, and applies their rows to memory if it does not have them yet.
    fn acknowledge(&self, committed: Vec<(&Append, Waiter, Revision)>, memory: Memory) {
        let mut events = Vec::with_capacity(committed.len());
        let mut replies = Vec::with_capacity(committed.len());
        for (row, waiter, revision) in committed {
            let Waiter { request, previous } = waiter;
            let event = plan::committed(row, revision, previous.clone(), request.attachment);
            let answer = answer_to(row, &event, previous);
            replies.push((request.reply, answer));
            events.push(event);
        }
        let Some(newest) = events.last().map(|event| event.revision) else {
            return;
        };
        if memory == Memory::HasPredecessors {
            self.shared.apply(&events, newest);
        }
        self.shared.counters.commits.add(1);
        self.shared.counters.writes.add(replies.len() as u64);
        for (reply, answer) in replies {
            let _ = reply.send(Ok(answer));
        }
    }

    /// Applies the rows that other servers wrote: through `through`, or all there are. If they cannot
    /// be read, everything is read again, which includes rows that we committed after them. None when
    /// the store stops first.
    async fn catch_up(
        &mut self,
        through: Option<Revision>,
        stopping: &CancellationToken,
    ) -> Option<Memory> {
        self.poll_timer.record_poll(true);
        let read = match through {
            Some(through) => resync::read_through(&self.shared, through).await.map(drop),
            None => resync::poll_until_current(&self.shared).await,
        };
        let Err(error) = read else {
            return Some(Memory::HasPredecessors);
        };
        debug!(
            error = chain(&error),
            "cannot read the rows of other servers"
        );
        let events = self.resync(stopping).await;
        events.map(|_| Memory::HasOurRows)
    }

    /// Puts writes back at the front of `pending`, so that each is evaluated against the new state;
    /// refuses them if the store stopped before it had that state.
    fn requeue(&mut self, waiters: Vec<Waiter>, memory: Option<Memory>) {
        if memory.is_none() {
            return refuse(waiters.into_iter(), &WriteError::Closed);
        }
        for waiter in waiters.into_iter().rev() {
            let mut request = waiter.request;
            request.tries += 1;
            if request.tries > MAX_EVALUATIONS {
                let error = BackendError::Stale(self.shared.revision());
                let _ = request.reply.send(Err(WriteError::Unavailable(error)));
            } else {
                self.pending.push_front(request);
            }
        }
    }

    /// Handles a failed commit. If certainly nothing was written, the writers are told at once.
    /// Otherwise the log is read until it shows the outcome, and writers that wait too long are told
    /// that the outcome is unknown.
    async fn recover(
        &mut self,
        head: Revision,
        rows: &[Append],
        waiters: Vec<Waiter>,
        error: BackendError,
        stopping: &CancellationToken,
    ) {
        warn!(
            error = chain(&error),
            writes = rows.len(),
            "the datastore did not commit a batch"
        );
        let found = if matches!(error, BackendError::OutcomeUnknown(_)) {
            let Ok(found) = tokio::time::timeout(OUTCOME_TIMEOUT, self.resync(stopping)).await
            else {
                refuse(waiters.into_iter(), &WriteError::Unavailable(error));
                self.resync(stopping).await;
                return;
            };
            found
        } else {
            Some(Vec::new())
        };
        for (row, waiter) in rows.iter().zip(waiters) {
            let result = match &found {
                Some(events) => {
                    let event = events.iter().find(|e| resync::is_same(row, e, head));
                    self.answer_recovered(row, event, waiter.previous, &error)
                }
                None => Err(WriteError::Closed),
            };
            let _ = waiter.request.reply.send(result);
        }
    }

    /// The answer to a write of a failed commit, given the event that the log shows for its row.
    fn answer_recovered(
        &self,
        row: &Append,
        event: Option<&Arc<Event>>,
        previous: Option<Arc<Entry>>,
        error: &BackendError,
    ) -> Result<Committed, WriteError> {
        match event {
            // Two servers that delete the same key write the same row: the event may be the other's.
            Some(_) if self.shared.backend.is_shared() && row.kind == EventKind::Delete => {
                Err(WriteError::Unavailable(error.clone()))
            }
            Some(event) => Ok(answer_to(row, event, previous)),
            None => Err(WriteError::Unavailable(not_written(error))),
        }
    }

    /// Reads the backend until memory is current again. Meanwhile queued writes are refused, because
    /// their preconditions cannot be checked. Returns the events found; none when told to stop first.
    async fn resync(&mut self, stopping: &CancellationToken) -> Option<Vec<Arc<Event>>> {
        self.shared.counters.resyncs.add(1);
        let mut tries = 0;
        loop {
            match resync::read_or_reload(&self.shared).await {
                Ok(events) => return Some(events),
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        "cannot read the datastore after a failed commit; retrying"
                    );
                    self.refuse_queued(&WriteError::Unavailable(not_written(&error)));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(resync::BACKOFF.delay(tries)) => tries += 1,
                () = stopping.cancelled() => return None,
            }
        }
    }

    /// Answers everything that is not yet in a batch with `error`.
    fn refuse_queued(&mut self, error: &WriteError) {
        for request in self.pending.drain(..) {
            let _ = request.reply.send(Err(error.clone()));
        }
        while let Ok(request) = self.queue.try_recv() {
            let _ = request.reply.send(Err(error.clone()));
        }
    }
}

/// The answer to the writer of `row`, which was committed as `event`.
fn answer_to(row: &Append, event: &Event, previous: Option<Arc<Entry>>) -> Committed {
    Committed {
        revision: event.revision,
        entry: (row.kind != EventKind::Delete).then(|| event.entry.clone()),
        previous,
    }
}

/// The error once it is certain that the write did not happen: the log was read and does not show it,
/// or it was never handed to the backend.
fn not_written(error: &BackendError) -> BackendError {
    match error {
        BackendError::OutcomeUnknown(why) => BackendError::Unavailable(why.clone()),
        other => other.clone(),
    }
}

/// Answers every writer with the same error.
fn refuse(waiters: impl Iterator<Item = Waiter>, error: &WriteError) {
    for waiter in waiters {
        let _ = waiter.request.reply.send(Err(error.clone()));
    }
}

/// The revision of each row; none for a conflict. Revisions must be consecutive and above `head`: a
/// backend that reports anything else is wrong, and its log must be read before the store continues.
fn committed_revisions(
    head: Revision,
    rows: usize,
    outcomes: &[Outcome],
) -> Result<Vec<Option<Revision>>, BackendError> {
    let revisions: Vec<Option<Revision>> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Committed(revision) => Some(*revision),
            Outcome::Conflict => None,
        })
        .collect();
    let first = revisions.iter().flatten().next().copied();
    let first = first.unwrap_or_default();
    let mut numbered = revisions.iter().flatten().zip(0..);
    let consecutive = numbered.all(|(revision, n)| *revision > head && *revision == first.plus(n));
    if revisions.len() == rows && consecutive {
        return Ok(revisions);
    }
    Err(BackendError::OutcomeUnknown(
        "the datastore did not give the rows consecutive revisions".into(),
    ))
}
