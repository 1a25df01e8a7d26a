//! When each component became ready, counted from the process's start. `k3s server` logs it, so that a
//! slow start can be traced to a component.

use k3s_base::Clock;
use tracing::info;

/// Logs the milestones of a start.
#[derive(Clone, Debug)]
pub struct Timeline {
    clock: Clock,
}

impl Timeline {
    /// Counts from the start of `clock`.
    #[must_use]
    pub fn start(clock: Clock) -> Self {
        Self { clock }
    }

    /// Logs that the component `name` is ready.
    pub fn ready(&self, name: &str) {
        let at = self.clock.elapsed();
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        info!(target: "k3s::timeline", component = name, at_ms, "ready");
    }
}
