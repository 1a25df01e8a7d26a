//! Makes the archive of a recipe.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use k3s_harness::{Layer, LayerBuilder, LayeredImage, write_archive};
use serde_json::json;

use crate::cache::Cache;
use crate::go::{Go, Program};
use crate::recipe::{Entry, Image, Layer as Recipe};
use crate::{debian, step};

/// The busybox that upstream's image has, put there by xtask.
const BUSYBOX: &str = "/usr/local/lib/k3s-test/busybox";
/// The module whose sources hold files of the images.
const SUITE: &str = "k8s.io/kubernetes";

/// The archive with these images.
pub(crate) fn archive(images: &[Image], go: &Go, cache: &Cache) -> Result<PathBuf> {
    let busybox = fs::read(BUSYBOX).with_context(|| {
        format!("{BUSYBOX} is not there; run `cargo xtask conformance`, which fetches it")
    })?;
    let key = go.key().clone().with(format!("{images:?}")).with(&busybox);
    let key = key.with(debian::key().text()).with(ROOT_VERSION);
    // What goes in is made first: the cache makes one thing at a time.
    let parts = Parts::prepare(images, go, cache)?;
    cache.file("images", &key, "conformance.tar", |path| {
        step("make the images", || parts.write(images, path))
    })
}

/// Counts the changes of how layers are made, which the recipe does not show.
const ROOT_VERSION: &str = "1";

/// Files that layers are made of.
struct Parts {
    debian: Option<PathBuf>,
    programs: BTreeMap<&'static str, PathBuf>,
    sources: PathBuf,
}

impl Parts {
    fn prepare(images: &[Image], go: &Go, cache: &Cache) -> Result<Self> {
        let mut parts = Self {
            debian: None,
            programs: BTreeMap::new(),
            sources: PathBuf::new(),
        };
        for layer in images.iter().flat_map(|image| image.layers) {
            match layer {
                Recipe::Debian => parts.debian = Some(debian::layer(cache)?),
                Recipe::Busybox => {}
                Recipe::Entries(entries) => {
                    for program in programs(entries) {
                        let path = go.tool(cache, program)?;
                        parts.programs.insert(program.name, path);
                    }
                }
            }
        }
        parts.sources = go.sources(SUITE)?.join("test/images");
        Ok(parts)
    }

    fn write(&self, images: &[Image], path: &Path) -> Result<()> {
        let dir = tempfile::Builder::new()
            .prefix("k3s-conformance")
            .tempdir_in("/var/tmp")?;
        let mut layers = BTreeMap::new();
        let mut whole = Vec::new();
        for image in images {
            let mut own = Vec::new();
            for recipe in image.layers {
                let name = format!("{recipe:?}");
                if !layers.contains_key(&name) {
                    let file = dir.path().join(layers.len().to_string());
                    layers.insert(name.clone(), self.layer(*recipe, &file)?);
                }
                own.extend(layers.get(&name).cloned());
            }
            whole.push(LayeredImage {
                references: image.references(),
                layers: own,
                config: config(image),
            });
        }
        write_archive(path, &whole)
    }

    fn layer(&self, recipe: Recipe, file: &Path) -> Result<Layer> {
        match recipe {
            Recipe::Debian => Layer::read(self.debian.as_deref().context("Debian's layer")?),
            Recipe::Busybox => busybox(file),
            Recipe::Entries(entries) => {
                let mut layer = LayerBuilder::create(file)?;
                for entry in entries {
                    self.entry(&mut layer, *entry)?;
                }
                layer.finish()
            }
        }
    }

    fn entry(&self, layer: &mut LayerBuilder, entry: Entry) -> Result<()> {
        match entry {
            Entry::Text(name, text) => layer.file(name, 0o644, text.as_bytes()),
            Entry::Folder(name, mode) => layer.folder(name, mode),
            Entry::Link(name, target) => layer.link(name, target),
            Entry::Source(name, path) => layer.copy(name, 0o644, &self.sources.join(path)),
            Entry::Program(name, mode, program) => {
                let path = self.programs.get(program.name).context(program.name)?;
                layer.copy(name, mode, path)
            }
        }
    }
}

fn programs(entries: &[Entry]) -> impl Iterator<Item = Program> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Program(_, _, program) => Some(*program),
        _ => None,
    })
}

fn config(image: &Image) -> serde_json::Value {
    json!({
        "Entrypoint": image.entrypoint,
        "Cmd": image.command,
        "User": image.user,
        "Env": image.environment(),
    })
}

/// A root file system of busybox and its applets.
fn busybox(file: &Path) -> Result<Layer> {
    let list = Command::new(BUSYBOX).arg("--list").output()?;
    ensure!(list.status.success(), "{BUSYBOX} --list: {}", list.status);
    let mut layer = LayerBuilder::create(file)?;
    for folder in [
        "bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "usr/sbin", "var",
    ] {
        layer.folder(folder, 0o755)?;
    }
    layer.folder("tmp", 0o1777)?;
    layer.copy("bin/busybox", 0o755, Path::new(BUSYBOX))?;
    for applet in String::from_utf8(list.stdout)?.lines() {
        if applet != "busybox" {
            layer.link(&format!("bin/{applet}"), "busybox")?;
        }
    }
    for (name, text) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
        ),
        ("etc/group", "root:x:0:\nnobody:x:65534:\n"),
        ("etc/nsswitch.conf", "hosts: files dns\n"),
    ] {
        layer.file(name, 0o644, text.as_bytes())?;
    }
    layer.finish()
}
