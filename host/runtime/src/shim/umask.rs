//! Modes of what a shim makes: its own files are for root only, those that a container sees are not.

use rustix::fs::Mode;
use rustix::process::umask;

/// For everything that the shim makes for itself.
pub(super) fn make_private() {
    umask(Mode::from_raw_mode(0o077));
}

/// Runs `call` with the mask that containers inherit: runc's, whatever the server's is.
pub(super) fn as_container<T>(call: impl FnOnce() -> T) -> T {
    let own = umask(Mode::from_raw_mode(0o022));
    let result = call();
    umask(own);
    result
}
