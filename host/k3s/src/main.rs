//! The one executable. What it is called as, or its first word, decides what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = k3s::run_helper() {
        return code;
    }
    let words: Vec<String> = std::env::args_os()
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    k3s::run(&words)
}
