//! `cargo xtask conformance`: upstream's conformance suite, which `tests/conformance` builds and runs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::setup;
use crate::shell::{cargo, root, run, step, target_dir};

/// Names the binary under test where it is not the one that is built here.
const BINARY: &str = "K3S_TEST_BINARY";

/// Builds and runs the suite as the options say.
pub(crate) fn run_suite(options: &[String]) -> Result<()> {
    if !is_go_installed() {
        bail!("Go is not installed, so upstream's suite cannot be built");
    }
    if options.iter().any(|option| option == "--quick") {
        setup::for_quick_conformance()?;
    } else {
        setup::for_conformance()?;
    }
    if std::env::var_os(BINARY).is_some() {
        step("build the runner", || {
            cargo(&["build", "--package", "k3s-conformance"])
        })?;
    } else {
        // With the packages and so the features of `cargo xtask test`: what is built here serves there too.
        step("build k3s, its components and the runner", || {
            cargo(&["build", "--workspace", "--bins"])
        })?;
    }
    run(runner()?.args(options))
}

fn runner() -> Result<Command> {
    let debug = target_dir()?.join("debug");
    let mut command = Command::new(debug.join("k3s-conformance"));
    let binary = std::env::var_os(BINARY).map_or_else(|| debug.join("k3s"), PathBuf::from);
    let results = debug.with_file_name("conformance");
    command
        .env(BINARY, binary)
        .env("K3S_TEST_SOURCES", root())
        .arg("--results")
        .arg(results);
    if let Ok((mirror, _)) = setup::debian_mirror() {
        command.env("K3S_TEST_DEBIAN_MIRROR", mirror);
    }
    Ok(command)
}

fn is_go_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/go/bin".into()])
        .any(|folder| folder.join("go").is_file())
}
