//! Builds the bundled plugins, so that a plain `cargo build` of the executable contains them: each
//! becomes a component, and machine code for this architecture's baseline processor.
#![allow(
    clippy::print_stdout,
    reason = "that is how a build script speaks to cargo"
)]

mod guests;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folder in `plugins/` and the name of its constant.
const PLUGINS: &[(&str, &str)] = &[
    ("datastore-sqlite", "DATASTORE_SQLITE"),
    ("datastore-postgres", "DATASTORE_POSTGRES"),
    ("datastore-mysql", "DATASTORE_MYSQL"),
    ("cni-flannel", "CNI_FLANNEL"),
    ("ingress-traefik", "INGRESS_TRAEFIK"),
    ("lb-klipper", "LB_KLIPPER"),
    ("storage-local-path", "STORAGE_LOCAL_PATH"),
];

fn main() -> Result<(), String> {
    let root = root()?;
    for input in ["plugins", "wit", "host/adapters/build", "host/duration"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let mut table = String::new();
    for (folder, constant) in PLUGINS {
        let (component, compiled) = make(&root, folder, &target_dir(&out)?)?;
        let file = |extension: &str| out.join(format!("{folder}.{extension}"));
        write(&file("wasm"), &component)?;
        write(&file("cwasm"), &compiled)?;
        let _ = writeln!(
            table,
            "/// `plugins/{folder}`.\npub const {constant}: Bundled = Bundled {{ name: {folder:?}, version: {:?}, bytes: include_bytes!({:?}), \
             compiled: include_bytes!({:?}) }};",
            env::var("CARGO_PKG_VERSION").unwrap_or_default(),
            file("wasm"),
            file("cwasm"),
        );
    }
    write(&out.join("bundled.rs"), table.as_bytes())
}

/// The component and its machine code.
fn make(root: &Path, folder: &str, target_dir: &Path) -> Result<(Vec<u8>, Vec<u8>), String> {
    let module = guests::build(
        &root.join("Cargo.toml"),
        &format!("k3s-{folder}"),
        target_dir,
    )?;
    let module = fs::read(&module).map_err(|error| format!("{}: {error}", module.display()))?;
    let component =
        k3s_plugin_host::componentize(&module).map_err(|reason| format!("{folder}: {reason}"))?;
    let compiled = k3s_plugin_host::compile_for_baseline(&component)
        .map_err(|reason| format!("{folder}: {reason}"))?;
    Ok((component, compiled))
}

fn root() -> Result<PathBuf, String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    here.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .ok_or_else(|| "no workspace".to_owned())
}

/// A folder of its own in the build's target directory (`OUT_DIR` is `TARGET/PROFILE/build/NAME/out`),
/// shared by all profiles; the outer build holds the lock of the target directory itself.
fn target_dir(out: &Path) -> Result<PathBuf, String> {
    out.ancestors()
        .nth(4)
        .map(|target| target.join("guests"))
        .ok_or_else(|| "no target directory".to_owned())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
