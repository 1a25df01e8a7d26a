//! The one executable. Its name or its first argument selects the command.

use std::process::ExitCode;

#[global_allocator]
static HEAP: k3s_sys::heap::Allocator = k3s_sys::heap::Allocator;

fn main() -> ExitCode {
    if let Some(code) = k3s::run_helper() {
        return code;
    }
    let words: Vec<String> = std::env::args_os()
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    k3s::run(&words)
}
