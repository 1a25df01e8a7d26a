//! The store: a log with memory.
//!
//! Current state and the newest events are held in memory; a [`Backend`] keeps them durable. One
//! sequencer receives queued writes, checks their preconditions against memory, assigns revisions and
//! commits the whole batch as one backend transaction (group commit: the next batch forms while one
//! commits). Only then is the batch applied, published and acknowledged. So:
//!
//! - an acknowledged write is durable, and visible to every later read ([`Store::get`],
//!   [`Store::list`], [`Store::snapshot`]) in this process;
//! - revisions grow by one per committed write and never go back;
//! - a failed commit fails exactly the writes of its batch, with an error that may be retried, and
//!   leaves memory as it was; if the outcome is unknown, the store reads the backend again first.
//!
//! Reads never wait for a commit and writes never wait for a reader: a LIST works on a snapshot that
//! costs one reference count. A [`Watcher`] is a cursor over one shared log and holds no queue of
//! its own; one behind the ring reads from the backend, one behind compaction gets
//! [`WatchError::Compacted`]. The store polls only if the backend is shared with other processes: then
//! an idle store polls for their rows, and after a batch that met a longer log, the writes whose key
//! changed in the meantime are evaluated again.
//!
//! The store never sees an object's schema. [`StoreOptions::extract`] makes whatever the caller wants to
//! keep beside the bytes (labels, selectable fields, encoded frames), once per write.
//!
//! Tasks: `sequencer`, `leases`, `ager`, `compactor`, all in the child group `store` of the [`Tasks`] given.
//!
//! Bounds: [`StoreOptions`] lists every queue, batch, ring and value limit and what happens there.
//!
//! [`Tasks`]: k3s_lifecycle::Tasks
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod ager;
pub mod backend;
mod compactor;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod error;
mod keyspace;
mod lease;
mod list;
mod log;
mod memory;
mod model;
mod options;
mod plan;
mod poll_timer;
mod resync;
mod sequencer;
mod shared;
mod snapshot;
mod stats;
mod store;
pub mod transfer;
mod watcher;
mod writer;

pub use backend::{Backend, BackendError};
pub use error::{ListError, OpenError, WatchError, WriteError};
pub use list::{ListOptions, ListPage};
pub use memory::MemoryBackend;
pub use model::{
    Attachment, Committed, Entry, Event, EventKind, Op, Precondition, Revision, Write,
};
pub use options::{Extract, StoreOptions};
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use store::Store;
pub use watcher::{Changes, Watcher};
