//! Plugins built for tests, with the product's own tool, as an author would.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use k3s_harness::{Corner, k3s_binary};

/// What was built in this process, by folder.
static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

/// Shell lines that push `$DIR/$FILE` as an artifact with one layer to the registry on port 5000 of loopback, as
/// `$REPO`, and print the manifest's digest.
pub const PUSH: &str = r#"
set -e
base=http://127.0.0.1:5000/v2/$REPO
upload() {
  digest=sha256:$(sha256sum "$1" | cut -d' ' -f1)
  location=$(curl -sfi -X POST "$base/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //pI')
  case "$location" in *\?*) sep='&';; *) sep='?';; esac
  curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary @"$1" "$location${sep}digest=$digest"
  echo "$digest"
}
cd "$DIR"; printf '{}' > config.json
c=$(upload config.json); l=$(upload "$FILE")
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","size":2,"digest":"%s"},"layers":[{"mediaType":"application/wasm","size":%s,"digest":"%s"}]}' \
  "$c" "$(stat -c %s "$FILE")" "$l" > manifest.json
d=sha256:$(sha256sum manifest.json | cut -d' ' -f1)
curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary @manifest.json "$base/manifests/$d"
echo "$d"
"#;

/// The root of the checkout.
///
/// # Errors
/// When the test does not run in one.
pub fn root() -> Result<PathBuf> {
    let here = std::env::var("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&here)
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("no checkout")
}

/// Where guests are built: shared with the other tests that need some.
fn target_dir() -> Result<PathBuf> {
    // The test's executable lies in TARGET/PROFILE/deps.
    let test = std::env::current_exe()?;
    Ok(test
        .ancestors()
        .nth(3)
        .context("the test runs in a build folder")?
        .join("guests"))
}

/// Builds a folder of `tests/guests` and gives the component.
///
/// # Errors
/// With the tool's words.
pub fn build(folder: &str) -> Result<PathBuf> {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(folder) {
        return Ok(path.clone());
    }
    let out = target_dir()?.join(format!("{folder}-{}.wasm", std::process::id()));
    let dir = root()?.join("tests/guests").join(folder);
    k3s(&[
        "plugin",
        "build",
        &dir.display().to_string(),
        "-o",
        &out.display().to_string(),
    ])?;
    built.insert(folder.to_owned(), out.clone());
    Ok(out)
}

/// Makes the pod network in JavaScript.
///
/// # Errors
/// When node or its packages are missing; `cargo xtask setup` installs them.
pub fn build_javascript() -> Result<PathBuf> {
    let out = target_dir()?.join(format!("javascript-{}.wasm", std::process::id()));
    let dir = root()?.join("tests/guests/javascript");
    let mut command = Command::new(node());
    command
        .arg(dir.join("build.mjs"))
        .arg(root()?.join("wit"))
        .arg(&out);
    finish(&mut command)?;
    Ok(out)
}

/// The node that `cargo xtask setup` installed in place of one that is too old, else the machine's.
fn node() -> PathBuf {
    let installed = ["x64", "arm64"].map(|machine| {
        PathBuf::from(format!(
            "/usr/local/lib/k3s-test/node_modules/node-linux-{machine}/bin/node"
        ))
    });
    installed
        .into_iter()
        .find(|node| node.exists())
        .unwrap_or_else(|| "node".into())
}

/// Runs `k3s` outside of any cluster.
///
/// # Errors
/// When it fails, with what it said.
pub fn k3s(words: &[&str]) -> Result<String> {
    let mut command = Command::new(k3s_binary()?);
    finish(command.args(words))
}

/// Runs shell lines in a folder, with `k3s` among the commands.
///
/// # Errors
/// When one fails, with what it said.
pub fn follow(dir: &Path, lines: &str) -> Result<String> {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin)?;
    std::os::unix::fs::symlink(k3s_binary()?, bin.join("k3s"))?;
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut command = Command::new("sh");
    finish(
        command
            .args(["-ec", lines])
            .current_dir(dir)
            .env("PATH", path),
    )
}

fn finish(command: &mut Command) -> Result<String> {
    // The outer cargo's flags, wrappers and profile are for the outer build.
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("CARGO_PROFILE") || name.starts_with("RUSTC"))
    {
        command.env_remove(name);
    }
    let output = command
        .env("CARGO_TARGET_DIR", target_dir()?)
        .env_remove("RUSTFLAGS")
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{command:?}: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(text)
}

/// A server that is given this plugin ends at once, with one sentence that contains `said`.
///
/// # Errors
/// When it does anything else.
pub fn refused(corner: &Corner, plugin: &str, said: &str) -> Result<()> {
    let output = corner.sh(&format!(
        "{} server --plugin '{plugin}'",
        k3s_binary()?.display()
    ))?;
    ensure!(output.code == Some(1), "{plugin}: {output:?}");
    let lines = output
        .stderr
        .lines()
        .filter(|line| line.starts_with("k3s: "))
        .count();
    ensure!(
        lines == 1 && output.stderr.contains(said),
        "{plugin}: {}",
        output.stderr
    );
    Ok(())
}
