//! The state of controllers, for health endpoints and metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use k3s_client::WorkQueue;
use parking_lot::Mutex;

use crate::driver::Key;

/// The counters of one running controller.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) queue: WorkQueue<Key>,
    pub(crate) synced: AtomicBool,
    pub(crate) reconciled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) panicked: AtomicU64,
    pub(crate) last_error: Mutex<Option<String>>,
}

impl Live {
    pub(crate) fn new(queue: WorkQueue<Key>) -> Self {
        Self {
            queue,
            synced: AtomicBool::new(false),
            reconciled: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }
}

/// A controller's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerStatus {
    /// The controller's name.
    pub name: &'static str,
    /// Whether all its informers have synced; before that it does nothing.
    pub synced: bool,
    /// Keys in the queue.
    pub depth: usize,
    /// Reconciliations that finished.
    pub reconciled: u64,
    /// Reconciliations that failed and were retried.
    pub failed: u64,
    /// Of these, panics.
    pub panicked: u64,
    /// The newest failure.
    pub last_error: Option<String>,
}

/// The statuses of all controllers of a process. Cheap to clone; clones are the same set.
#[derive(Clone, Debug, Default)]
pub struct Statuses(Arc<Mutex<BTreeMap<&'static str, Arc<Live>>>>);

impl Statuses {
    pub(crate) fn register(&self, name: &'static str, live: Arc<Live>) {
        self.0.lock().insert(name, live);
    }

    /// Every controller's state, by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ControllerStatus> {
        let lives = self.0.lock();
        lives
            .iter()
            .map(|(name, live)| ControllerStatus {
                name,
                synced: live.synced.load(Ordering::Relaxed),
                depth: live.queue.len(),
                reconciled: live.reconciled.load(Ordering::Relaxed),
                failed: live.failed.load(Ordering::Relaxed),
                panicked: live.panicked.load(Ordering::Relaxed),
                last_error: live.last_error.lock().clone(),
            })
            .collect()
    }

    /// Whether the informers of every controller have synced.
    #[must_use]
    pub fn all_synced(&self) -> bool {
        self.0
            .lock()
            .values()
            .all(|live| live.synced.load(Ordering::Relaxed))
    }
}
