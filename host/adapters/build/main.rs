//! Builds the bundled plugins, so that a plain `cargo build` of the executable contains them: each
//! becomes a component, and machine code for this architecture's baseline processor.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is how a build script speaks to cargo"
)]

mod guests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use guests::GuestError;
use k3s_base::error::chain;
use k3s_plugin_host::ComponentError;

/// Kind and name as in `--plugin KIND=NAME`, and the folder in `plugins/`.
const PLUGINS: &[(&str, &str, &str)] = &[
    ("datastore", "sqlite", "datastore-sqlite"),
    ("datastore", "postgres", "datastore-postgres"),
    ("datastore", "mysql", "datastore-mysql"),
    ("cni", "flannel", "cni-flannel"),
    ("ingress", "traefik", "ingress-traefik"),
    ("load-balancer", "klipper", "lb-klipper"),
    ("storage", "local-path", "storage-local-path"),
];

/// Why the plugins were not built.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    /// Cargo sets these variables for every build script.
    #[error("the environment variable {0} is not set")]
    Variable(&'static str),
    /// Folders are not where cargo has them.
    #[error("cannot find {0}")]
    Folder(&'static str),
    /// The disk failed.
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The crate does not compile.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// It compiles to something that is not a component.
    #[error("{folder}")]
    Component {
        folder: String,
        source: ComponentError,
    },
}

/// A bundled plugin.
struct Plugin {
    component: Vec<u8>,
    /// The component's machine code.
    compiled: Vec<u8>,
}

fn main() -> ExitCode {
    match build_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn build_all() -> Result<(), BuildError> {
    let root = root()?;
    for input in ["plugins", "wit", "host/adapters/build", "host/duration"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let out = variable("OUT_DIR")?;
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let mut table = "const BUNDLED: &[Bundled] = &[\n".to_owned();
    for (kind, name, folder) in PLUGINS {
        let plugin = build(&root, folder, &target_dir(&out)?)?;
        let file = |extension: &str| out.join(format!("{folder}.{extension}"));
        let (wasm, cwasm) = (file("wasm"), file("cwasm"));
        write(&wasm, &plugin.component)?;
        write(&cwasm, &plugin.compiled)?;
        let _ = writeln!(
            table,
            "Bundled {{ kind: {kind:?}, name: {name:?}, folder: {folder:?}, version: {version:?}, \
             bytes: include_bytes!({wasm:?}), compiled: include_bytes!({cwasm:?}) }},",
        );
    }
    table.push_str("];\n");
    write(&out.join("bundled.rs"), table.as_bytes())
}

fn build(root: &Path, folder: &str, target_dir: &Path) -> Result<Plugin, BuildError> {
    let package = format!("k3s-{folder}");
    let path = guests::build(&root.join("Cargo.toml"), &package, target_dir)?;
    let module = fs::read(&path).map_err(|source| BuildError::File { path, source })?;
    encode(&module).map_err(|source| BuildError::Component {
        folder: folder.to_owned(),
        source,
    })
}

fn encode(module: &[u8]) -> Result<Plugin, ComponentError> {
    let component = k3s_plugin_host::componentize(module)?;
    let compiled = k3s_plugin_host::compile_for_baseline(&component)?;
    Ok(Plugin {
        component,
        compiled,
    })
}

fn variable(name: &'static str) -> Result<PathBuf, BuildError> {
    let value = env::var_os(name).ok_or(BuildError::Variable(name))?;
    Ok(value.into())
}

fn root() -> Result<PathBuf, BuildError> {
    let here = variable("CARGO_MANIFEST_DIR")?;
    let root = here.ancestors().nth(2).map(Path::to_path_buf);
    root.ok_or(BuildError::Folder("the workspace"))
}

/// A folder of its own in the build's target directory (`OUT_DIR` is `TARGET/PROFILE/build/NAME/out`),
/// shared by all profiles; the outer build holds the lock of the target directory itself.
fn target_dir(out: &Path) -> Result<PathBuf, BuildError> {
    let target = out.ancestors().nth(4);
    let target = target.ok_or(BuildError::Folder("the target directory"))?;
    Ok(target.join("guests"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    fs::write(path, bytes).map_err(|source| BuildError::File {
        path: path.to_owned(),
        source,
    })
}
