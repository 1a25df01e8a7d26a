//! `k3s plugin build`: plain cargo for `wasm32-unknown-unknown`, then the core module becomes a
//! component. No other tool is needed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use k3s_meta::tree;
use k3s_plugin_host::{Digest, componentize};
use serde_json::Value;

use super::open::Opened;

const TARGET: &str = "wasm32-unknown-unknown";
/// Small, without unwinding (a panic traps anyway), names kept for backtraces.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
];

pub(super) fn run(words: &[String]) -> Result<()> {
    let (what, out) = arguments(words)?;
    let module = if what.is_dir() { cargo(&what)? } else { what };
    let bytes = std::fs::read(&module).with_context(|| module.display().to_string())?;
    let component = componentize(&bytes).with_context(|| module.display().to_string())?;
    let out = match out {
        Some(out) => out,
        None => PathBuf::from(module.file_name().context("a module without a name")?)
            .with_extension("component.wasm"),
    };
    std::fs::write(&out, &component).with_context(|| out.display().to_string())?;
    let reference = if out.components().count() == 1 {
        Path::new(".").join(&out)
    } else {
        out
    };
    let opened = Opened::read(&reference.display().to_string())?;
    let kind = opened.contract()?.kind;
    println!(
        "{}: a {kind} plugin of {} bytes, {}",
        reference.display(),
        component.len(),
        Digest::of(&component)
    );
    println!("k3s server --plugin {kind}={}", reference.display());
    Ok(())
}

fn arguments(words: &[String]) -> Result<(PathBuf, Option<PathBuf>)> {
    match words {
        [] => Ok((".".into(), None)),
        [flag, out] if flag == "-o" => Ok((".".into(), Some(out.into()))),
        [what] if !what.starts_with('-') => Ok((what.into(), None)),
        [what, flag, out] if flag == "-o" => Ok((what.into(), Some(out.into()))),
        [flag, out, what] if flag == "-o" => Ok((what.into(), Some(out.into()))),
        _ => bail!("usage: k3s plugin build [DIR] [-o FILE]"),
    }
}

/// Builds the crate in a folder and finds its core module.
fn cargo(dir: &Path) -> Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = k3s_sys::process::command(cargo);
    command.current_dir(dir).envs(PROFILE.iter().copied());
    command.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ]);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cargo did not start; install Rust with rustup")?;
    if !output.status.success() {
        bail!(
            "cargo could not build {} (is the target there? rustup target add {TARGET})",
            dir.display()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let modules: Vec<PathBuf> = text.lines().filter_map(module_of).collect();
    match modules.as_slice() {
        [module] => Ok(module.clone()),
        [] => bail!("{}: no library with crate-type cdylib", dir.display()),
        many => bail!(
            "{}: {} libraries are cdylibs; give one module's file instead",
            dir.display(),
            many.len()
        ),
    }
}

/// The module that one of cargo's messages names.
fn module_of(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    if !tree::texts(&message, "target.crate_types").contains(&"cdylib") {
        return None;
    }
    let files = tree::texts(&message, "filenames").into_iter();
    let mut modules = files.filter(|file| file.ends_with(".wasm"));
    modules.next().map(PathBuf::from)
}
