//! `cargo xtask differential`: this server beside upstream's kube-apiserver, which Go builds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{cargo, root, run, step, target_dir};

const TWIN: &str = "tests/differential/twin";
/// What the twin says of itself, as a release does.
const STAMP: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3";
const NO_GO: &str = "Go is not installed, so there is no upstream kube-apiserver to compare with";

/// Builds what is needed and compares.
pub(crate) fn compare(words: &[String]) -> Result<()> {
    if !has_go() {
        bail!("{NO_GO}");
    }
    setup::for_tests()?;
    step("build", || cargo(&["build", "--workspace", "--bins"]))?;
    start(words)
}

fn has_go() -> bool {
    let mut go = Command::new("go");
    go.arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    go.status().is_ok_and(|status| status.success())
}

/// Runs `tests/differential` with what is built.
fn start(words: &[String]) -> Result<()> {
    let twin = twin()?;
    let built = target_dir()?.join("debug");
    run(Command::new(built.join("k3s-differential"))
        .args(words)
        .env("K3S_TEST_BINARY", built.join("k3s"))
        .env("K3S_DIFFERENTIAL_TWIN", twin)
        .env("K3S_DIFFERENTIAL_DIR", root().join("tests/differential")))
}

/// The twin's executable, made once for each state of its sources and kept outside the checkout.
fn twin() -> Result<PathBuf> {
    let sources = root().join(TWIN);
    let mut hasher = DefaultHasher::new();
    STAMP.hash(&mut hasher);
    for file in ["main.go", "go.mod", "go.sum"] {
        let path = sources.join(file);
        std::fs::read(&path)
            .with_context(|| path.display().to_string())?
            .hash(&mut hasher);
    }
    let cache = cache_dir()?;
    let twin = cache.join(format!("twin-{:016x}", hasher.finish()));
    if !twin.exists() {
        std::fs::create_dir_all(&cache)?;
        step("build upstream's twin", || build(&sources, &twin))?;
    }
    Ok(twin)
}

/// Builds beside the place and moves there, so that an interrupted build leaves nothing that looks whole.
fn build(sources: &Path, twin: &Path) -> Result<()> {
    let partial = twin.with_extension("partial");
    run(Command::new("go")
        .arg("-C")
        .arg(sources)
        .args(["build", "-buildvcs=false", "-ldflags", STAMP, "-o"])
        .arg(&partial)
        .arg("."))?;
    Ok(std::fs::rename(&partial, twin)?)
}

fn cache_dir() -> Result<PathBuf> {
    let own = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(own
        .or(home)
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("k3s/differential"))
}
