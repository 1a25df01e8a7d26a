//! Where the programs under test and the stock clients are. `cargo xtask test` sets the variables;
//! a test run by hand falls back to the build folder of the test itself.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The `k3s` executable built beside this test.
///
/// # Errors
/// When it is not there.
pub fn k3s_binary() -> Result<PathBuf> {
    let path = match std::env::var_os("K3S_TEST_BINARY") {
        Some(path) => path.into(),
        None => {
            let test = std::env::current_exe().context("path of the running test")?;
            test.ancestors()
                .nth(2)
                .context("the test runs in a build folder")?
                .join("k3s")
        }
    };
    if path.exists() {
        Ok(path)
    } else {
        bail!(
            "{} is not built; run `cargo xtask test` or `cargo build -p k3s`",
            path.display()
        )
    }
}

/// Every stock `kubectl` to test with, the one nearest to our version first.
///
/// # Errors
/// When there is none.
pub fn kubectl_binaries() -> Result<Vec<PathBuf>> {
    let named = std::env::var("K3S_TEST_KUBECTL").unwrap_or_default();
    let found: Vec<PathBuf> = if named.is_empty() {
        ["/usr/local/lib/k3s-test/kubectl", "/usr/bin/kubectl"]
            .iter()
            .map(PathBuf::from)
            .filter(|p| p.exists())
            .collect()
    } else {
        named.split(':').map(PathBuf::from).collect()
    };
    if found.is_empty() {
        bail!("no stock kubectl; run `cargo xtask test`, which installs one")
    } else {
        Ok(found)
    }
}

/// The stock `kubectl` nearest to our version.
///
/// # Errors
/// When there is none.
pub fn kubectl_binary() -> Result<PathBuf> {
    kubectl_binaries()?
        .into_iter()
        .next()
        .context("no stock kubectl")
}
