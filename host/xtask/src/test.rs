//! `cargo xtask test`: everything that must hold before a change lands.

use std::process::Command;

use anyhow::{Result, bail};

use crate::setup;
use crate::shell::{cargo, cargo_binary, run, step, target_dir};

pub(crate) fn test(filter: &[String]) -> Result<()> {
    if !is_root()? {
        bail!("tests run real containers and need root");
    }
    setup::for_tests()?;
    if filter.is_empty() {
        step("check the format", || cargo(&["fmt", "--all", "--check"]))?;
    }
    // One profile for running and for behaviour tests, so that this is built once.
    step("build", || {
        cargo(&["build", "--workspace", "--all-targets"])
    })?;
    if filter.is_empty() {
        step("lint", || {
            cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])
        })?;
    }
    if filter.is_empty() {
        step("document", || {
            let mut command = Command::new(cargo_binary());
            command
                .args(["doc", "--workspace", "--no-deps", "--quiet"])
                // The readers are those who work on the crates: links to what is private help them.
                .arg("--document-private-items")
                .env(
                    "RUSTDOCFLAGS",
                    "-D warnings -A rustdoc::private-intra-doc-links",
                );
            run(&mut command)
        })?;
    }
    // A few seconds of `fuzz::fuzz` belong here, before the tests, once it is known what its build costs; until then
    // the tests of `tests/fuzz` replay the samples without instrumentation.
    step("test", || {
        let mut command = Command::new(cargo_binary());
        command
            .args(["test", "--workspace", "--no-fail-fast", "--"])
            .args(filter);
        command.env("K3S_TEST_BINARY", target_dir()?.join("debug/k3s"));
        run(&mut command)
    })
}

/// Builds optimised and runs `tests/bench`.
pub(crate) fn bench(which: &[String]) -> Result<()> {
    setup::for_benchmarks()?;
    optimised(which)
}

/// The same for its command that looks for leaks.
pub(crate) fn soak(options: &[String]) -> Result<()> {
    if !is_root()? {
        bail!("a soak runs real containers and needs root");
    }
    setup::for_tests()?;
    let words = std::iter::once("soak".to_owned()).chain(options.iter().cloned());
    optimised(&words.collect::<Vec<_>>())
}

fn optimised(words: &[String]) -> Result<()> {
    step("build optimised", || {
        cargo(&[
            "build",
            "--release",
            "--package",
            "k3s",
            "--package",
            "k3s-bench",
        ])
    })?;
    let release = target_dir()?.join("release");
    run(Command::new(release.join("k3s-bench"))
        .args(words)
        .env("K3S_TEST_BINARY", release.join("k3s")))
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> Result<bool> {
    Ok(crate::shell::output(Command::new("id").arg("-u"))?.trim() == "0")
}
