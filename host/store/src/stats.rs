//! Counters of the store's operations, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A reading of the store's counters since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches committed.
    pub commits: u64,
    /// Writes committed.
    pub writes: u64,
    /// Writes refused because their precondition did not hold.
    pub conflicts: u64,
    /// Batches that the backend did not commit.
    pub failed_commits: u64,
    /// Times the store read the backend again because an outcome was unknown or other servers had written.
    pub resyncs: u64,
    /// Keys removed because their lease ran out.
    pub expired: u64,
    /// Compactions that moved the compacted revision.
    pub compactions: u64,
    /// Reads of history that memory could not answer.
    pub backend_reads: u64,
    /// Writes waiting for the sequencer now.
    pub queued: u64,
    /// Live keys now.
    pub keys: u64,
    /// Events in memory now.
    pub ring_events: u64,
    /// Bytes that they keep alive, by the estimate that bounds them.
    pub ring_bytes: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) commits: Counter,
    pub(crate) writes: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) failed_commits: Counter,
    pub(crate) resyncs: Counter,
    pub(crate) expired: Counter,
    pub(crate) compactions: Counter,
    pub(crate) backend_reads: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
