//! Archives in the form that `docker save` writes: several images that may share layers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A layer of an image: a tar archive on disk, and its SHA-256 in hexadecimal.
#[derive(Clone, Debug)]
pub struct Layer {
    path: PathBuf,
    digest: String,
}

impl Layer {
    /// The layer in a tar archive that exists.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let mut hash = Sha256::new();
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        io::copy(&mut file, &mut hash)?;
        let digest = hex::encode(hash.finalize());
        Ok(Self {
            path: path.to_owned(),
            digest,
        })
    }
}

/// A layer in the making. Everything belongs to root, except what a tree brings.
pub struct LayerBuilder {
    tar: tar::Builder<File>,
    path: PathBuf,
}

impl LayerBuilder {
    /// An empty layer that is written to `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut tar = tar::Builder::new(file);
        tar.follow_symlinks(false);
        Ok(Self {
            tar,
            path: path.to_owned(),
        })
    }

    /// A file with these bytes.
    ///
    /// # Errors
    /// When the layer cannot be written.
    pub fn file(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(u64::try_from(bytes.len())?);
        Ok(self.tar.append_data(&mut header, name, bytes)?)
    }

    /// A copy of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn copy(&mut self, name: &str, mode: u32, from: &Path) -> Result<()> {
        let file = File::open(from).with_context(|| from.display().to_string())?;
        let mut header = header(tar::EntryType::Regular, mode);
        header.set_size(file.metadata()?.len());
        Ok(self.tar.append_data(&mut header, name, file)?)
    }

    /// An empty folder.
    ///
    /// # Errors
    /// When the layer cannot be written.
    pub fn folder(&mut self, name: &str, mode: u32) -> Result<()> {
        let mut header = header(tar::EntryType::Directory, mode);
        Ok(self.tar.append_data(&mut header, name, io::empty())?)
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// When the layer cannot be written.
    pub fn link(&mut self, name: &str, target: &str) -> Result<()> {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        Ok(self.tar.append_link(&mut header, name, target)?)
    }

    /// Everything below a folder of this machine, with its owners and modes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tree(&mut self, root: &Path) -> Result<()> {
        Ok(self.tar.append_dir_all(".", root)?)
    }

    /// The complete layer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<Layer> {
        self.tar.into_inner()?;
        Layer::read(&self.path)
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// An image made of layers, the lowest first.
#[derive(Clone, Debug)]
pub struct LayeredImage {
    /// Its names, each with a tag.
    pub references: Vec<String>,
    /// Its layers.
    pub layers: Vec<Layer>,
    /// What a container of it runs: `config` of the image's configuration.
    pub config: Value,
}

/// Writes an archive of images; a layer that several share is in it once.
///
/// # Errors
/// When a name has no tag, or a file cannot be read or written.
pub fn write_archive(path: &Path, images: &[LayeredImage]) -> Result<()> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut out = tar::Builder::new(file);
    let mut written = BTreeSet::new();
    let mut manifest = Vec::new();
    for image in images {
        for layer in &image.layers {
            if written.insert(layer.digest.clone()) {
                let mut header = header(tar::EntryType::Regular, 0o644);
                let file = File::open(&layer.path)?;
                header.set_size(file.metadata()?.len());
                out.append_data(&mut header, layer_name(layer), file)?;
            }
        }
        manifest.push(append_config(&mut out, image)?);
    }
    append(&mut out, "manifest.json", &serde_json::to_vec(&manifest)?)?;
    out.into_inner()?.sync_data()?;
    Ok(())
}

fn layer_name(layer: &Layer) -> String {
    format!("{}/layer.tar", layer.digest)
}

/// Writes the configuration of an image and gives its entry in the manifest.
fn append_config(out: &mut tar::Builder<File>, image: &LayeredImage) -> Result<Value> {
    for reference in &image.references {
        ensure!(reference.contains(':'), "{reference}: a tag is needed");
    }
    let of = |layer: &Layer| format!("sha256:{}", layer.digest);
    let diff_ids: Vec<String> = image.layers.iter().map(of).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux", "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}
    }))?;
    let name = format!("{}.json", hex::encode(Sha256::digest(&config)));
    append(out, &name, &config)?;
    let layers: Vec<String> = image.layers.iter().map(layer_name).collect();
    Ok(json!({"Config": name, "RepoTags": image.references, "Layers": layers}))
}

fn append(out: &mut tar::Builder<File>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = header(tar::EntryType::Regular, 0o644);
    header.set_size(u64::try_from(bytes.len())?);
    Ok(out.append_data(&mut header, name, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of an archive's entries, in order.
    fn names(archive: &Path) -> Result<Vec<String>> {
        let mut archive = tar::Archive::new(File::open(archive)?);
        let mut names = Vec::new();
        for entry in archive.entries()? {
            names.push(entry?.path()?.display().to_string());
        }
        Ok(names)
    }

    fn image(reference: &str, layers: &[&Layer]) -> LayeredImage {
        LayeredImage {
            references: vec![reference.to_owned()],
            layers: layers.iter().map(|layer| (*layer).clone()).collect(),
            config: json!({"Cmd": ["sh"]}),
        }
    }

    #[test]
    fn a_layer_that_images_share_is_in_the_archive_once() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let mut base = LayerBuilder::create(&dir.path().join("base"))?;
        base.folder("bin", 0o755)?;
        base.file("bin/tool", 0o755, b"tool")?;
        base.link("bin/sh", "tool")?;
        let base = base.finish()?;
        let mut top = LayerBuilder::create(&dir.path().join("top"))?;
        top.copy("copied", 0o644, &dir.path().join("base"))?;
        let top = top.finish()?;
        assert_eq!(names(&base.path)?, ["bin", "bin/tool", "bin/sh"]);

        let archive = dir.path().join("archive");
        let images = [image("a:1", &[&base]), image("b:1", &[&base, &top])];
        write_archive(&archive, &images)?;
        let names = names(&archive)?;
        let layers = names.iter().filter(|name| name.ends_with("/layer.tar"));
        assert_eq!(layers.count(), 2);
        assert_eq!(names.last().map(String::as_str), Some("manifest.json"));
        Ok(())
    }

    #[test]
    fn a_name_without_a_tag_is_refused() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let outcome = write_archive(&dir.path().join("archive"), &[image("a", &[])]);
        assert!(outcome.is_err_and(|error| error.to_string().contains("a tag is needed")));
        Ok(())
    }
}
