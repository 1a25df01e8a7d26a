//! The one executable. What it is called as, or its first word, decides what it does; a pod's shim
//! is the same file re-executed and must be recognised before any thread exists. A foreign container
//! runtime calls it as a CNI plugin, with a command in the environment.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

mod ambient;
mod clients;
mod commands;
mod node;
mod plugins;
mod server;
mod stages;
mod version;

use std::process::ExitCode;

fn main() -> ExitCode {
    if k3s_runtime::is_shim_invocation() {
        return k3s_runtime::shim_main();
    }
    if k3s_cni::is_plugin_invocation() {
        return k3s_cni::plugin_main();
    }
    let words: Vec<String> = std::env::args_os()
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    commands::dispatch(&words)
}
