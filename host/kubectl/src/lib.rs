//! `k3s kubectl`: the everyday part of kubectl, with the same words, columns and error texts, and no
//! other binary: get, apply, create, delete, logs, exec, api-resources, version.
//!
//! It speaks to the API over HTTPS like any stock client, with the kubeconfig from `--kubeconfig`,
//! `KUBECONFIG`, or `/etc/rancher/k3s/k3s.yaml`. A sub-command or flag of stock kubectl that is not
//! here is an error that says so.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

mod cli;
mod commands;
mod discovery;
mod duration;
mod error;
mod manifest;
mod print;
mod session;

use clap::Parser;

use error::Failure;

/// Runs kubectl with the words after its name; `version` is the client's own. Gives the exit code.
#[must_use]
pub fn run(words: &[String], version: &str) -> u8 {
    let parsed = match cli::Cli::try_parse_from(
        std::iter::once("kubectl").chain(words.iter().map(String::as_str)),
    ) {
        Ok(parsed) => parsed,
        Err(usage) => {
            let _ = usage.print();
            return u8::from(usage.use_stderr());
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: {e}");
            return 1;
        }
    };
    let outcome = runtime.block_on(commands::run(parsed, version));
    // A pending read of the terminal cannot be cancelled: waiting for it would mean waiting for a key.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => 0,
        Err(Failure::Silent) => 1,
        Err(failure) => {
            eprintln!("{}", failure.report());
            match failure {
                Failure::Exit(code) => code,
                _ => 1,
            }
        }
    }
}
