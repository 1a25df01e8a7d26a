//! The product as a library: `main.rs` is the executable, and a test starts a second node with
//! [`agent`].
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

pub mod agent;
mod ambient;
mod clients;
mod commands;
mod node;
mod plugins;
mod server;
mod stages;
mod version;

use std::process::ExitCode;

/// Runs what this executable was re-executed as, if it was: the parent of shims, the unpacking of an image's
/// layer, or a CNI plugin that a foreign container runtime calls with a command in the environment. Comes
/// before any thread exists, which a shim needs.
pub fn run_helper() -> Option<ExitCode> {
    if k3s_runtime::is_child_invocation() {
        return Some(k3s_runtime::child_main());
    }
    if k3s_cni::is_plugin_invocation() {
        return Some(k3s_cni::plugin_main());
    }
    None
}

/// Runs the command that the words select. The first word is the name of the program.
#[must_use]
pub fn run(words: &[String]) -> ExitCode {
    commands::dispatch(words)
}
