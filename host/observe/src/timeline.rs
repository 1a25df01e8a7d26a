//! When each component became ready, counted from the process's start: what `k3s server` logs and
//! what a start-up that grew slow is read from.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k3s_base::Clock;
use tracing::info;

/// One component became ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Milestone {
    /// The component.
    pub name: String,
    /// Since start.
    pub at: Duration,
}

/// The milestones so far. Cheap to clone; clones share the list.
#[derive(Clone, Debug)]
pub struct Timeline {
    clock: Clock,
    milestones: Arc<Mutex<Vec<Milestone>>>,
}

impl Timeline {
    /// Starts counting now.
    #[must_use]
    pub fn start(clock: Clock) -> Self {
        Self {
            clock,
            milestones: Arc::default(),
        }
    }

    /// Notes and logs that `name` is ready.
    pub fn ready(&self, name: &str) {
        let at = self.clock.elapsed();
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        info!(target: "k3s::timeline", component = name, at_ms, "ready");
        self.milestones
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Milestone {
                name: name.to_owned(),
                at,
            });
    }

    /// What was noted, in order.
    #[must_use]
    pub fn milestones(&self) -> Vec<Milestone> {
        self.milestones
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
