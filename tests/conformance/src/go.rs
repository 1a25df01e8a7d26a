//! Building the suite, its runner and the programs of its images from the Go module in this folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache::{Cache, Key};
use crate::step;

/// Flags of every build. Without C all programs are static and share one build cache; without paths and
/// symbols they do not depend on the machine and link faster.
const FLAGS: [&str; 3] = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w"];
/// What the programs are made from.
const SOURCES: [&str; 3] = ["go.mod", "go.sum", "conformance_test.go"];

/// A program of the module's tools, by its package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// The runner of the suite.
const GINKGO: Program = Program {
    name: "ginkgo",
    package: "github.com/onsi/ginkgo/v2/ginkgo",
};

/// The Go tool chain, in the folder of the module.
pub(crate) struct Go {
    program: PathBuf,
    folder: PathBuf,
    key: Key,
}

impl Go {
    /// # Errors
    /// When Go is not installed.
    pub(crate) fn find(folder: &Path) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/local/go/bin".into()]);
        let program = folders
            .map(|folder| folder.join("go"))
            .find(|program| program.is_file())
            .context("the conformance suite is built with Go, which is not installed")?;
        let mut go = Self {
            program,
            folder: folder.to_owned(),
            key: Key::default(),
        };
        go.key = go.read_key()?;
        Ok(go)
    }

    fn read_key(&self) -> Result<Key> {
        let version = self.output(&["env", "GOVERSION", "GOOS", "GOARCH"])?;
        let mut key = Key::default().with(version).with(format!("{FLAGS:?}"));
        for source in SOURCES {
            let path = self.folder.join(source);
            key = key.with(fs::read(&path).with_context(|| path.display().to_string())?);
        }
        Ok(key)
    }

    /// What all programs are made from.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The suite as a program.
    pub(crate) fn suite(&self, cache: &Cache) -> Result<PathBuf> {
        // Vet checks upstream's sources, which is upstream's work.
        let build = ["test", "-c", "-vet=off"];
        self.program(cache, "e2e.test", &build, ".")
    }

    /// The program that runs the suite in several processes.
    pub(crate) fn ginkgo(&self, cache: &Cache) -> Result<PathBuf> {
        self.tool(cache, GINKGO)
    }

    /// One of the module's tools.
    pub(crate) fn tool(&self, cache: &Cache, tool: Program) -> Result<PathBuf> {
        self.program(cache, tool.name, &["build"], tool.package)
    }

    fn program(&self, cache: &Cache, name: &str, build: &[&str], what: &str) -> Result<PathBuf> {
        cache.file("programs", &self.key, name, |path| {
            let mut command = self.command(build);
            command.args(FLAGS).arg("-o").arg(path).arg(what);
            step(&format!("build {name} with Go"), || {
                let status = command.status()?;
                if status.success() {
                    Ok(())
                } else {
                    bail!("{command:?} ended with {status}")
                }
            })
        })
    }

    /// Where the sources of a module of the build list are.
    pub(crate) fn sources(&self, module: &str) -> Result<PathBuf> {
        let text = self.output(&["list", "-m", "-f", "{{.Dir}}", module])?;
        Ok(text.trim().into())
    }

    fn output(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output()?;
        if output.status.success() {
            Ok(String::from_utf8(output.stdout)?)
        } else {
            bail!(
                "go {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            )
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(&self.folder)
            .env("CGO_ENABLED", "0")
            .env_remove("GOFLAGS");
        command
    }
}
