//! Builds plugin crates for WebAssembly with a cargo of its own. Shared by the build script and by
//! tests that need guests, so it knows nothing of either.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Profile settings of guests: small, no unwinding (a panic traps anyway), names kept for backtraces.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
];

const TARGET: &str = "wasm32-unknown-unknown";

/// Why a guest was not built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// The cargo of its own did not run.
    #[error("cannot start cargo")]
    Cargo(#[source] io::Error),
    /// Cargo's own words.
    #[error("cannot build {package} for {TARGET}:\n{stderr}")]
    Build { package: String, stderr: String },
    /// The machine lacks the target's standard library.
    #[error(
        "cannot build {package} for {TARGET}, which is not installed: rustup target add {TARGET}"
    )]
    NoTarget { package: String },
}

/// Builds `package` of the workspace that `manifest` belongs to and returns its core module.
pub(crate) fn build(
    manifest: &Path,
    package: &str,
    target_dir: &Path,
) -> Result<PathBuf, GuestError> {
    let output = command(manifest, package, target_dir)
        .output()
        .map_err(GuestError::Cargo)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let package = package.to_owned();
        return Err(if stderr.contains("can't find crate for") {
            GuestError::NoTarget { package }
        } else {
            GuestError::Build { package, stderr }
        });
    }
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(target_dir.join(TARGET).join("release").join(file))
}

fn command(manifest: &Path, package: &str, target_dir: &Path) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    clear_environment(&mut command);
    command.envs(PROFILE.iter().copied());
    command.args(["build", "--release", "--lib", "--target", TARGET]);
    command.args(["--package", package, "--manifest-path"]);
    command.arg(manifest).arg("--target-dir").arg(target_dir);
    command
}

/// The outer cargo's settings are for the outer build: its wrappers (clippy), flags and target would
/// all be wrong inside. What says where cargo lives and how many jobs may run stays.
fn clear_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo =
            text.starts_with("CARGO_") && !matches!(&*text, "CARGO_HOME" | "CARGO_MAKEFLAGS");
        let network = text.starts_with("CARGO_NET_")
            || text.starts_with("CARGO_REGISTR")
            || text.starts_with("CARGO_HTTP_");
        let of_rustc = text.starts_with("RUSTC") || text.starts_with("RUSTFLAGS");
        let of_script = matches!(
            &*text,
            "TARGET" | "HOST" | "PROFILE" | "OUT_DIR" | "DEBUG" | "OPT_LEVEL" | "NUM_JOBS"
        );
        if (of_cargo && !network) || of_rustc || of_script {
            command.env_remove(&name);
        }
    }
}
