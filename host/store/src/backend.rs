//! The port to durable storage: a datastore's duties towards the store, and how it may fail.
//!
//! A backend keeps an append-only log of changes with kine's meaning: one row per write, its number
//! is the revision. It appends what the store decided and decides nothing. [`crate::contract`] is the suite
//! that every implementation passes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

use crate::model::{EventKind, Revision};

/// Durable storage of the log. All functions may be called concurrently, except that the store
/// awaits one [`Backend::append`] before it starts the next.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Whether other processes may write the same log. Then the store polls for their rows
    /// while it has nothing to write.
    fn is_shared(&self) -> bool {
        false
    }

    /// Creates or migrates the schema, checks that the data are the store's own, and reports where
    /// the log ends. Refuses data that it cannot serve faithfully, without writing anything. Waits for
    /// an append that is under way, also one whose caller has lost the connection, so that the report
    /// is final. Idempotent.
    async fn open(&self) -> Result<Opened, BackendError>;

    /// Commits `writes` durably, in order, as one transaction. Keys within a batch are unique.
    /// `head` is the newest revision the caller knows, on which it decided. If the log has moved on, the
    /// rows whose key has changed since are conflicts, and the others get the revisions that follow the
    /// newest; where that can no longer be determined (or the log is shorter than `head`), nothing is written
    /// and [`BackendError::Stale`] is returned, as a backend that is not shared always may. One outcome
    /// per write, in order.
    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError>;

    /// Changes after `request.after` and up to `request.through`, oldest first, of keys that start
    /// with `request.prefix`. [`BackendError::Compacted`] when `after` is below compaction.
    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError>;

    /// Live keys that start with `request.prefix`, as of `request.at`, in key order.
    /// [`BackendError::Compacted`] when `at` is below compaction.
    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError>;

    /// Drops rows that were overwritten or deleted up to and including `to`, and remembers `to` as the
    /// compacted revision. Never touches a live value. Idempotent; returns the compacted revision.
    async fn compact(&self, to: Revision) -> Result<Revision, BackendError>;

    /// Returns space after compaction. May do nothing.
    async fn maintain(&self) -> Result<(), BackendError>;

    /// Bytes used by the database.
    async fn size_bytes(&self) -> Result<u64, BackendError>;

    /// Reads something trivial, to check that the database answers.
    async fn health(&self) -> Result<(), BackendError>;
}

/// The ends of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The newest revision.
    pub revision: Revision,
    /// The compacted revision; history at and after it can be read.
    pub compacted: Revision,
}

/// One row to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The key.
    pub key: Arc<str>,
    /// The change.
    pub kind: EventKind,
    /// The key's creation; zero when this write creates it.
    pub create_revision: Revision,
    /// The row this one replaces; zero when this write creates the key (the backend then looks up
    /// the tombstone that it may have to follow).
    pub prev_revision: Revision,
    /// Seconds to live, 0 means no expiry.
    pub lease_secs: u32,
    /// The new value; for a delete the last one.
    pub value: Bytes,
    /// The value before; empty when this write creates the key.
    pub old_value: Bytes,
}

/// The outcome of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable, with this revision.
    Committed(Revision),
    /// Another writer was first: the key has changed since the caller's head. The other rows of the
    /// batch are not affected; a conflict takes no revision.
    Conflict,
}

/// One row read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its revision.
    pub revision: Revision,
    /// The key.
    pub key: Arc<str>,
    /// The change.
    pub kind: EventKind,
    /// The key's creation (the revision itself when this row creates it).
    pub create_revision: Revision,
    /// The row before; zero when this row creates the key.
    pub prev_revision: Revision,
    /// Seconds to live, 0 means no expiry.
    pub lease_secs: u32,
    /// The value; for a delete the last one.
    pub value: Bytes,
    /// The value before; empty when this row creates the key.
    pub old_value: Bytes,
}

/// A request for history.
#[derive(Clone, Debug)]
pub struct AfterRequest {
    /// Exclusive lower end.
    pub after: Revision,
    /// Inclusive upper end.
    pub through: Revision,
    /// Only keys with this prefix; empty is all.
    pub prefix: Arc<str>,
    /// Rows at most; at least one is returned if there is one.
    pub limit: usize,
    /// Bytes of values at most (the first row may exceed it).
    pub limit_bytes: usize,
}

/// A piece of history.
#[derive(Clone, Debug, Default)]
pub struct AfterBatch {
    /// Oldest first.
    pub changes: Vec<Change>,
    /// Everything up to here has been read: the next request's `after`.
    pub through: Revision,
}

/// A request for live keys.
#[derive(Clone, Debug)]
pub struct RangeRequest {
    /// Only keys with this prefix; empty is all.
    pub prefix: Arc<str>,
    /// Only keys greater than this one.
    pub start_after: Option<Arc<str>>,
    /// As of this revision.
    pub at: Revision,
    /// Rows at most.
    pub limit: usize,
    /// Bytes of values at most (the first row may exceed it).
    pub limit_bytes: usize,
}

/// A live key read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Arc<str>,
    /// Its value.
    pub value: Bytes,
    /// The write that made the key.
    pub create_revision: Revision,
    /// The write that made this value.
    pub mod_revision: Revision,
    /// Seconds to live, 0 means no expiry.
    pub lease_secs: u32,
}

/// A page of keys.
#[derive(Clone, Debug, Default)]
pub struct RangeBatch {
    /// In key order.
    pub records: Vec<Record>,
    /// True when keys after the last one may follow.
    pub more: bool,
}

/// How a backend fails.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackendError {
    /// It cannot be reached or is busy. Nothing was written; trying again may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// It failed at a moment where a commit may or may not have happened.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// The log does not end at the caller's head, and cannot be followed from there. Nothing was written.
    #[error("another writer moved the log on to revision {0}")]
    Stale(Revision),
    /// The history asked for is gone.
    #[error("compacted up to revision {0}")]
    Compacted(Revision),
    /// The data are of another program or cannot be served faithfully. Nothing was written.
    #[error("{0}")]
    Refused(String),
    /// The data are damaged.
    #[error("damaged: {0}")]
    Corrupt(String),
}
