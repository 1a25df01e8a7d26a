//! What an instance carries on the host's side: its capabilities' data, handles, limits, meter.

use std::time::Duration;

use k3s_base::{Clock, Random};
use wasmtime::component::ResourceTable;

use crate::limits::{DeadlineExceeded, Limiter, Limits};
use crate::log_rate::LogRate;

/// The host's side of one instance. `T` belongs to the adapter; it goes when the instance does, so
/// whatever must be undone then (a transaction rolled back) is undone by its `Drop`.
pub struct PluginState<T> {
    /// The adapter's own.
    pub data: T,
    /// Handles that the guest holds.
    pub table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) meter: Meter,
    pub(crate) log_rate: LogRate,
    pub(crate) name: String,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// Whose time it is.
#[derive(Default)]
pub(crate) struct Meter {
    started: Duration,
    /// Time in [`PluginState::outside`] since the call started.
    outside: Duration,
    limit: Duration,
}

impl<T> PluginState<T> {
    pub(crate) fn new(name: &str, data: T, limits: Limits, clock: Clock, random: Random) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self {
            data,
            table,
            limiter: Limiter {
                limits,
                memory_bytes: 0,
            },
            meter: Meter {
                limit: limits.call,
                ..Meter::default()
            },
            log_rate: LogRate::new(limits.log_lines_per_sec),
            name: name.to_owned(),
            clock,
            random,
        }
    }

    /// Does something that takes time but is not the guest's doing, such as a query: the guest's
    /// deadline stands still meanwhile.
    pub fn outside<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let start = self.clock.elapsed();
        let result = work(self);
        self.meter.outside += self.clock.elapsed().saturating_sub(start);
        result
    }

    /// The plugin's name, for messages.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.name
    }

    pub(crate) fn begin_call(&mut self) -> Duration {
        self.meter.started = self.clock.elapsed();
        self.meter.outside = Duration::ZERO;
        self.meter.started
    }

    /// Time in the guest and in the host since the call began.
    pub(crate) fn spent(&self) -> (Duration, Duration) {
        let all = self.clock.elapsed().saturating_sub(self.meter.started);
        (all.saturating_sub(self.meter.outside), self.meter.outside)
    }

    /// Called at each tick while the guest runs.
    pub(crate) fn check_deadline(&self) -> wasmtime::Result<()> {
        if self.spent().0 > self.meter.limit {
            Err(DeadlineExceeded(self.meter.limit).into())
        } else {
            Ok(())
        }
    }
}
