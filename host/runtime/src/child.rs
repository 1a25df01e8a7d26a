//! Processes that are this executable under another name: the parent of shims, and one for each layer that
//! is unpacked. `main` asks before it does anything else.

use std::process::ExitCode;

use crate::{image, shim};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Shims,
    Unpacker,
}

fn role() -> Option<Role> {
    let name = std::env::args_os().next()?;
    match name.to_str()? {
        shim::protocol::ARGV0 => Some(Role::Shims),
        image::unpack::ARGV0 => Some(Role::Unpacker),
        _ => None,
    }
}

/// True when this process was started by a [`Runtime`](crate::Runtime) for work of its own: `main` must
/// then call [`child_main`] before it does anything else.
#[must_use]
pub fn is_child_invocation() -> bool {
    role().is_some()
}

/// Does the work, until it is done or the server has ended. Must be called before any thread exists.
#[must_use]
pub fn child_main() -> ExitCode {
    match role() {
        Some(Role::Shims) => shim::zygote_main(),
        Some(Role::Unpacker) => image::unpack::child_main(),
        None => ExitCode::FAILURE,
    }
}
