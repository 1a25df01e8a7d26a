//! How many requests run at once.
//!
//! Above the bound a request waits for its turn, first come first served, and is refused with 429 when
//! its turn does not come in time or too many wait already. Long-running requests do not count:
//! watches would fill any bound by doing nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k3s_meta::Status;
use k3s_registry::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// `--max-requests-inflight`.
const READING: usize = 400;
/// `--max-mutating-requests-inflight`; as many again as fit one datastore batch twice over.
const MUTATING: usize = 1024;
/// Requests that may wait; each holds a few kilobytes.
const WAITING: usize = 10_000;
/// Clients have timed out by then.
const WAIT: Duration = Duration::from_secs(15);

pub(crate) struct Inflight {
    reading: Arc<Semaphore>,
    mutating: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Inflight {
    fn default() -> Self {
        Self {
            reading: Arc::new(Semaphore::new(READING)),
            mutating: Arc::new(Semaphore::new(MUTATING)),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Inflight {
    /// Waits for a place among the running requests; dropping it gives the place back.
    pub(crate) async fn enter(&self, mutating: bool) -> Result<OwnedSemaphorePermit> {
        let room = if mutating {
            &self.mutating
        } else {
            &self.reading
        };
        if let Ok(permit) = room.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Waiting::new(&self.waiting);
        if waiting.position >= WAITING {
            return Err(full());
        }
        match tokio::time::timeout(WAIT, room.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(full()),
        }
    }
}

fn full() -> Error {
    Status::too_many_requests("Too many requests, please try again later.", 1).into()
}

/// Counts one waiting request, also when it is dropped half way.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    position: usize,
}

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self {
            count,
            position: count.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
