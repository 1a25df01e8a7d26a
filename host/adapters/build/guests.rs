//! Builds plugin crates for WebAssembly with a cargo of its own. Shared by the build script and by
//! tests that need guests, so it knows nothing of either.

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

/// Builds `package` of the workspace that `manifest` belongs to and returns its core module.
pub(crate) fn build(manifest: &Path, package: &str, target_dir: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    clear_environment(&mut command);
    command.envs(PROFILE.iter().copied());
    command.args([
        "build",
        "--release",
        "--lib",
        "--target",
        TARGET,
        "--package",
        package,
    ]);
    command
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target_dir);
    let output = command
        .output()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let hint = if said.contains("can't find crate for") {
            format!("\n(is the target installed? rustup target add {TARGET})")
        } else {
            String::new()
        };
        return Err(format!(
            "building {package} for {TARGET} failed:\n{said}{hint}"
        ));
    }
    Ok(target_dir
        .join(TARGET)
        .join("release")
        .join(format!("{}.wasm", package.replace('-', "_"))))
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
