//! Tracked tasks and named stop signals: the only way to spawn in this workspace.
//!
//! A [`Tasks`] is one component's set of tasks. Every task spawned through it is counted, sees one
//! cancellation token, and is waited for when the component stops; whatever is still running at the
//! deadline is aborted and named in the log. Groups nest: stopping a parent cancels its children
//! first. A task that panics is logged by name and trips the group's `failed` token, so that a
//! composition can decide to stop.

mod sleep;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use sleep::sleep_opt;
use tokio::task::JoinHandle;
pub use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, warn};

/// A component's tasks and its stop signal. Cheap to clone; clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    name: Arc<str>,
    tracker: TaskTracker,
    /// The groups above: a task counts in each of them, so that stopping a parent waits for it.
    ancestors: Vec<TaskTracker>,
    stop: CancellationToken,
    abort: CancellationToken,
    failed: CancellationToken,
}

impl Tasks {
    /// A group of its own, with no parent.
    #[must_use]
    pub fn root(name: &str) -> Self {
        Self {
            name: name.into(),
            tracker: TaskTracker::new(),
            ancestors: Vec::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            failed: CancellationToken::new(),
        }
    }

    /// A group below this one: stops when the parent stops, and can be stopped and waited for
    /// alone. Its failures count as the parent's.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self {
            name: format!("{}/{name}", self.name).into(),
            tracker: TaskTracker::new(),
            ancestors: self
                .ancestors
                .iter()
                .chain([&self.tracker])
                .cloned()
                .collect(),
            stop: self.stop.child_token(),
            abort: self.abort.child_token(),
            failed: self.failed.clone(),
        }
    }

    /// The group's name, for logs: `parent/child`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fires when the group is asked to stop. Tasks select on it and return.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Fires when a task of this group, its parent's or a sibling's panicked.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// True once the group was asked to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Spawns a task that is waited for at stop. It should select on [`Tasks::stopping`].
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let abort = self.abort.clone();
        let guard = PanicGuard {
            group: self.name.clone(),
            task: name,
            failed: self.failed.clone(),
        };
        let group = self.name.clone();
        let counted: Vec<_> = self.ancestors.iter().map(TaskTracker::token).collect();
        self.tracker.spawn(
            async move {
                let (guard, _counted) = (guard, counted);
                tokio::select! {
                    () = future => {}
                    () = abort.cancelled() => warn!(group = %guard.group, task = name, "aborted at the stop deadline"),
                }
            }
            .instrument(tracing::debug_span!("task", group = %group, name)),
        )
    }

    /// Spawns a task that is dropped at its next await point as soon as the group stops.
    pub fn spawn_until_stopped<F>(&self, name: &'static str, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = future => {}
                () = stop.cancelled() => {}
            }
        })
    }

    /// Waits for `duration`; false as soon as the group stops.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Asks every task to stop, waits up to `deadline`, then aborts the rest. True when all tasks
    /// ended by themselves.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
        {
            return true;
        }
        warn!(group = %self.name, tasks = self.tracker.len(), ?deadline, "tasks did not stop in time");
        self.abort.cancel();
        self.tracker.wait().await;
        false
    }
}

/// Reports a panic of the task that holds it.
struct PanicGuard {
    group: Arc<str>,
    task: &'static str,
    failed: CancellationToken,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!(group = %self.group, task = self.task, "task panicked");
            self.failed.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn stop_reaches_children_and_waits_for_them() {
        let root = Tasks::root("root");
        let child = root.child("child").child("grandchild");
        let done = Arc::new(AtomicBool::new(false));
        let (stopping, flag) = (child.stopping(), done.clone());
        child.spawn("worker", async move {
            stopping.cancelled().await;
            flag.store(true, Ordering::SeqCst);
        });
        assert!(root.stop(Duration::from_secs(5)).await);
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_task_that_ignores_the_signal_is_aborted() {
        let root = Tasks::root("root");
        root.spawn("stubborn", std::future::pending());
        assert!(!root.stop(Duration::from_millis(10)).await);
    }

    #[tokio::test]
    async fn a_panic_trips_the_failed_token() {
        let root = Tasks::root("root");
        let handle = root.spawn("bad", async { panic!("on purpose") });
        assert!(handle.await.is_err());
        assert!(root.failed().is_cancelled());
    }
}
