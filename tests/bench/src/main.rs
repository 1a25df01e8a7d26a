//! Figures of the real binary, printed as a table for the README. Nothing here asserts a time.
//!
//! `cargo xtask bench` builds everything optimised and runs this. The load comes from a second process
//! on the same two cores, over TLS and HTTP/2, so the figures are those of server and client together.
//!
//! `cargo xtask soak` runs the one command that does assert: that nothing leaks ([`soak`]).
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks on its terminal"
)]

mod datastore;
mod etcd;
mod idle;
mod ingress;
mod load;
mod load_balancer;
mod memory;
mod plugin;
mod pods;
mod soak;
mod start;
mod stats;

use anyhow::{Result, bail};

type Benchmark = (&'static str, fn() -> Result<()>);

/// Word on the command line, and what it runs.
const WHICH: [Benchmark; 9] = [
    ("start", start::run),
    ("load", load::run),
    ("pods", pods::run),
    ("ingress", ingress::run),
    ("load-balancer", load_balancer::run),
    ("plugin", plugin::run),
    ("idle", idle::run),
    ("memory", memory::run),
    ("datastore", datastore::run),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        // The load generator, re-executed inside the cluster's corner.
        Some((first, rest)) if first == "inside" => load::inside(rest),
        Some((first, rest)) if first == "soak" => soak::run(rest),
        None => WHICH.iter().try_for_each(|(_, run)| run()),
        Some((which, _)) => match WHICH.iter().find(|(name, _)| name == which) {
            Some((_, run)) => run(),
            None => bail!(
                "unknown benchmark {which:?}; none for all, or {}",
                WHICH.map(|(name, _)| name).join(", ")
            ),
        },
    }
}

/// One row of the table.
pub(crate) fn row(what: &str, figure: impl std::fmt::Display) {
    println!("| {what} | {figure} |");
}
