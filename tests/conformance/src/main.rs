//! `cargo xtask conformance` builds this and runs it.

use std::process::ExitCode;

use k3s_conformance::{Options, USAGE, run};

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(&words).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}
