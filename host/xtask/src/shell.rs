//! Running other programs with their output on the terminal, and saying how long each step took.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // Cargo says at run time where it runs from; what was compiled in may be another checkout that shared the
    // build folder.
    let own =
        std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own)
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Says what a long step is, runs it, says how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {what}");
    let start = Instant::now();
    let result = work().with_context(|| what.to_owned())?;
    println!("    {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(result)
}

/// Runs a program in the checkout; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("{command:?}"))?;
    if status.success() {
        Ok(())
    } else {
        bail!("{command:?} ended with {status}")
    }
}

/// Runs a program quietly and gives its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("{command:?}"))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        bail!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    }
}

/// `cargo ARGS` in the checkout.
pub(crate) fn cargo(args: &[&str]) -> Result<()> {
    run(Command::new(cargo_binary()).args(args))
}

pub(crate) fn cargo_binary() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// The build folder, wherever the environment put it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let mut command = Command::new(cargo_binary());
    command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root());
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut command)?)?;
    Ok(metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .context("cargo metadata names a target directory")?
        .into())
}
