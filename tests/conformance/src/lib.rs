//! Upstream's conformance suite against the binary under test: the suite and its tools are built from
//! the Go module beside this crate, the images that it asks for are made on the spot, a cluster is
//! started in a corner, and the outcome is held against the list of specs that passed before.

#![allow(
    clippy::print_stdout,
    reason = "a command line tool speaks on its terminal"
)]

mod args;
mod baseline;
mod cache;
mod debian;
mod go;
mod images;
mod recipe;
mod report;
mod suite;
mod summary;

pub use args::{Options, USAGE};

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::baseline::Baseline;
use crate::cache::Cache;
use crate::go::Go;
use crate::suite::Suite;

/// The folder of this crate in the checkout.
fn folder() -> PathBuf {
    // As in the other tools: what was compiled in may be another checkout that shared the build folder.
    match std::env::var_os("K3S_TEST_SOURCES") {
        Some(root) => PathBuf::from(root).join("tests/conformance"),
        None => env!("CARGO_MANIFEST_DIR").into(),
    }
}

/// Runs the suite. True when every listed spec that was selected passed.
///
/// # Errors
/// When something that the suite needs cannot be had, or the suite did not run.
pub fn run(options: &Options) -> Result<bool> {
    let start = Instant::now();
    let folder = folder();
    let list = folder.join("passing.txt");
    let baseline = Baseline::read(&list)?;
    let go = Go::find(&folder)?;
    let cache = Cache::open()?;
    let suite = Suite::prepare(options, &go, &cache)?;
    let specs = suite.run(&folder)?;
    let comparison = baseline.compare(&specs);
    summary::print(&specs, &comparison);
    if options.accept && !comparison.new.is_empty() {
        baseline.accept(&comparison.new, &list)?;
        println!("added to {}: {}", list.display(), comparison.new.len());
    }
    println!(
        "conformance: {:.0} s; reports and logs are in {}",
        start.elapsed().as_secs_f64(),
        options.results.display()
    );
    Ok(comparison.is_good())
}

/// Says what a long step is, runs it, says how long it took.
fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}");
    let start = Instant::now();
    let result = work().with_context(|| what.to_owned())?;
    println!("    {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}
