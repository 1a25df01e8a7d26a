//! One task per pod: syncs, and sleeps until there is a reason to sync again. It alone touches the
//! pod's containers, so nothing is started twice.
//!
//! When the process stops, workers leave their pods running: the next process adopts them.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Backoff, BackoffPolicy, Random};
use k3s_lifecycle::Tasks;
use tokio::sync::{Notify, watch};

use super::handle::Desired;
use super::sync::{Next, PodSync};

/// Nothing happened for this long: sync anyway, in case an event was lost.
const SAFETY_RELIST: Duration = Duration::from_secs(90);
/// Between failed syncs.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.0,
};

/// See the module.
pub(crate) struct PodWorker {
    sync: PodSync,
    desired: watch::Receiver<Desired>,
    relist: Arc<Notify>,
    retry: Backoff,
    random: Random,
    tasks: Tasks,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing of the pod is left on the node.
    PodRemoved,
    /// The process stops; the pod runs on.
    Stopping,
}

impl PodWorker {
    pub(crate) fn new(
        sync: PodSync,
        desired: watch::Receiver<Desired>,
        relist: Arc<Notify>,
        random: Random,
        tasks: Tasks,
    ) -> Self {
        Self {
            sync,
            desired,
            relist,
            retry: RETRY.start(),
            random,
            tasks,
        }
    }

    /// Works until nothing of the pod is left or the process stops.
    pub(crate) async fn run(mut self) -> Ended {
        let stopping = self.tasks.stopping();
        loop {
            let next = tokio::select! {
                next = self.sync_once() => next,
                () = stopping.cancelled() => return Ended::Stopping,
            };
            let limit = match next {
                Sleep::No => continue,
                Sleep::AtMost(limit) => limit,
                Sleep::ForGood => return Ended::PodRemoved,
            };
            tokio::select! {
                () = self.woken(limit) => {}
                () = stopping.cancelled() => return Ended::Stopping,
            }
        }
    }

    /// Syncs once and returns how long to sleep after it.
    async fn sync_once(&mut self) -> Sleep {
        match self.sync.sync_once().await {
            Ok(next) => {
                self.retry.reset();
                match next {
                    Next::Again => Sleep::No,
                    Next::Wait => Sleep::AtMost(SAFETY_RELIST),
                    Next::Finished => Sleep::ForGood,
                }
            }
            Err(error) => {
                let pod = self.desired.borrow().pod.clone();
                self.sync.report(&pod, &error);
                Sleep::AtMost(self.retry.next_delay(&self.random))
            }
        }
    }

    /// Resolves when something changes, a timer of the pod is due, or after `limit`.
    async fn woken(&mut self, limit: Duration) {
        let due = self.sync.next_due();
        let limit = due.map_or(limit, |due| due.min(limit));
        tokio::select! {
            () = tokio::time::sleep(limit) => {}
            () = self.relist.notified() => {}
            () = self.sync.changed() => {}
        }
    }
}

/// What follows a sync.
enum Sleep {
    No,
    AtMost(Duration),
    ForGood,
}
