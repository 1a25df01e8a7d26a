//! What one instance may use, and the limiter that says so by name when it asks for more.

use std::time::Duration;

use thiserror::Error;
use wasmtime::ResourceLimiter;

/// Bounds of an instance. Going beyond traps it, with the limit named as the cause.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Linear memory.
    pub memory_bytes: usize,
    /// Elements of one table; a component of usual size needs some hundred.
    pub table_elements: usize,
    /// Time in the guest per call, without the time in host functions.
    pub call: Duration,
    /// Bytes that the guest may hand to the host in one call.
    pub hostcall_bytes: usize,
    /// Handles (statements, transactions) open at a time.
    pub handles: usize,
    /// Lines in the log per second; more are counted and dropped.
    pub log_lines_per_sec: u32,
    /// An instance whose memory has grown by more than this is replaced once its call is over, since a
    /// guest's memory never shrinks.
    pub recycle_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: 10_000,
            call: Duration::from_secs(2),
            hostcall_bytes: 16 << 20,
            handles: 1000,
            log_lines_per_sec: 200,
            recycle_bytes: 16 << 20,
        }
    }
}

/// Asked for more than its limit.
#[derive(Debug, Error)]
#[error("it asked for {wanted} {unit} of {what}, above its limit of {limit}")]
pub(crate) struct Exceeded {
    what: &'static str,
    unit: &'static str,
    wanted: usize,
    limit: usize,
}

/// The guest kept the processor beyond [`Limits::call`].
#[derive(Debug, Error)]
#[error("it did not come back within {0:?} of its own time")]
pub(crate) struct DeadlineExceeded(pub(crate) Duration);

/// Holds an instance to its limits. One component has one memory of its own and a few small core
/// modules that glue it together.
pub(crate) struct Limiter {
    pub(crate) limits: Limits,
    /// Size of the linear memory now.
    pub(crate) memory_bytes: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        wanted: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = check("memory", "bytes", wanted, self.limits.memory_bytes)?;
        self.memory_bytes = self.memory_bytes.max(wanted);
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        wanted: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        check("a table", "elements", wanted, self.limits.table_elements)
    }

    fn instances(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        8
    }

    fn memories(&self) -> usize {
        2
    }
}

fn check(
    what: &'static str,
    unit: &'static str,
    wanted: usize,
    limit: usize,
) -> wasmtime::Result<bool> {
    if wanted <= limit {
        Ok(true)
    } else {
        Err(Exceeded {
            what,
            unit,
            wanted,
            limit,
        }
        .into())
    }
}
