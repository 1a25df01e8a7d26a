//! The user's own terminal: raw mode while a container has it, and its size.

use std::io::IsTerminal;

use rustix::termios::{self, OptionalActions, Termios};

/// Raw mode until dropped.
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches standard input to raw mode; `None` where it is not a terminal.
    pub(super) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Columns and rows of the terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|s| (s.ws_col, s.ws_row))
}
