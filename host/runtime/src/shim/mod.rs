//! The process that owns one pod's containers, so that stopping, killing or upgrading the server
//! never stops a pod.
//!
//! Shims are forked from one *zygote*: the executable run again under the name [`protocol::ARGV0`]
//! before any thread exists. Forking instead of executing lets all shims share the pages that the
//! dynamic loader wrote to in the zygote, which for a large executable is most of what a shim would
//! otherwise cost. A shim is single-threaded for good: libcontainer clones processes, which is only
//! sound in a process with one thread, and it changes the working directory.
//!
//! A shim leads a session of its own, in the control group [`protocol`]'s server names, lives in
//! the pod's network, IPC and UTS namespaces and thereby holds them, and is the reaper of all its
//! containers' processes. It writes their logs and keeps their exit codes until asked.

mod connection;
mod container;
mod error;
mod exec;
mod executor;
mod log;
mod oci;
mod pause;
mod poll;
pub(crate) mod protocol;
mod server;
mod setup;
mod stdio;
mod targets;
mod umask;
mod user;
mod zygote;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Runs the zygote, and in its children shims, until the server is gone. Must be called before any
/// thread exists.
pub(crate) fn zygote_main() -> ExitCode {
    let socket = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from);
    match socket.and_then(zygote::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
