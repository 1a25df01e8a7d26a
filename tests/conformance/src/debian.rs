//! The root file system of images that need more than busybox: packages of Debian.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use k3s_harness::LayerBuilder;

use crate::cache::{Cache, Key};
use crate::step;

/// Stays what it is until it is changed here, other than `stable`.
const SUITE: &str = "bookworm";
const PACKAGES: [&str; 12] = [
    "bash",
    "conntrack",
    "curl",
    "dnsutils",
    "iperf",
    "iproute2",
    "netcat-openbsd",
    "nginx-light",
    "perl",
    "procps",
    "socat",
    "stress",
];
/// What no container needs. Devices are the runtime's.
const LEFT_OUT: [&str; 7] = [
    "dev",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
];

/// What the layer is made from.
pub(crate) fn key() -> Key {
    Key::default().with(format!("{SUITE} {PACKAGES:?} {LEFT_OUT:?}"))
}

/// The layer's archive.
pub(crate) fn layer(cache: &Cache) -> Result<PathBuf> {
    cache.file("debian", &key(), "layer.tar", |path| {
        step(
            "install the packages of the images with debootstrap",
            || make(path),
        )
    })
}

fn make(path: &Path) -> Result<()> {
    let dir = tempfile::Builder::new()
        .prefix("k3s-conformance")
        .tempdir_in("/var/tmp")?;
    let root = dir.path().join("root");
    let log = dir.path().join("log");
    let output = File::create(&log)?;
    let mut command = Command::new("debootstrap");
    command
        .args(["--variant=minbase", "--include", &PACKAGES.join(",")])
        .arg(SUITE)
        .arg(&root)
        .args(std::env::var_os("K3S_TEST_DEBIAN_MIRROR"))
        .stdout(output.try_clone()?)
        .stderr(output);
    let status = command.status().context(
        "debootstrap is not installed; run `cargo xtask conformance`, which installs it",
    )?;
    if !status.success() {
        bail!(
            "{command:?} ended with {status}: {}",
            last_lines(&fs::read_to_string(&log)?)
        );
    }
    for folder in LEFT_OUT {
        let folder = root.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
    }
    let mut layer = LayerBuilder::create(path)?;
    layer.tree(&root)?;
    layer.finish()?;
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
