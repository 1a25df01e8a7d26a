//! One process run inside a container on request.

use std::time::Duration;

use super::stdio::Stdio;

/// A process that ended may have left children that hold its output open; this long they may go on
/// writing before the session ends without them.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) pid: i32,
    pub(super) stdio: Stdio,
    /// The connection that asked; none once it is gone.
    pub(super) connection: Option<u64>,
    /// Exit code and when it was collected.
    exit: Option<(i32, Duration)>,
}

impl Session {
    pub(super) fn new(pid: i32, stdio: Stdio, connection: u64) -> Self {
        Self {
            pid,
            stdio,
            connection: Some(connection),
            exit: None,
        }
    }

    pub(super) fn on_exit(&mut self, code: i32, now: Duration) {
        self.exit = Some((code, now));
    }

    pub(super) fn exited(&self) -> bool {
        self.exit.is_some()
    }

    /// The exit code, once all output was read or the time for it is over.
    pub(super) fn finished(&self, now: Duration) -> Option<i32> {
        let (code, at) = self.exit?;
        (self.stdio.drained() || now.saturating_sub(at) > DRAIN_LIMIT).then_some(code)
    }

    /// Disconnects the session from its client: a terminal hangs up, pipes end.
    pub(super) fn abandon(&mut self) {
        self.connection = None;
        self.stdio = Stdio::default();
    }
}
