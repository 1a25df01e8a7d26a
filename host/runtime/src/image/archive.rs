//! Images from files: `docker save` archives and OCI layouts, plain, gzip or zstd, with any number
//! of images in one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use super::content::{HashingReader, digest_of};
use super::error::ImageError;
use super::layer::decompress;
use super::model::{ConfigDocument, Descriptor, Image, Manifest, select};
use super::reference::Reference;
use super::snapshots::chain;
use super::store::{DOCUMENT_LIMIT_BYTES, ImageStore, LayerFile};

/// Annotations that name an image in an OCI layout, the full one first.
const NAME_ANNOTATIONS: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];
/// An index may contain indexes; real ones are two deep.
const INDEX_DEPTH_LIMIT: u32 = 4;

/// One entry of a `docker save` archive's `manifest.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Imports every image of the archive for this machine. `pinned` images are never collected. An image that
/// cannot be imported is left out with a warning, unless it is the only one. Blocks.
pub(crate) fn import(
    store: &ImageStore,
    scratch: &Path,
    path: &Path,
    pinned: bool,
) -> Result<Vec<Arc<Image>>, ImageError> {
    let extracted = Extracted::of(path, scratch)?;
    let (descriptors, docker_entries) = contents(&extracted, path)?;
    let mut images = BTreeMap::new();
    let mut refused = None;
    let mut note = |result: Result<Option<Image>, ImageError>| match result {
        Ok(Some(image)) => drop(images.insert(image.id.clone(), image)),
        Ok(None) => {}
        Err(error) => drop(refused.get_or_insert(error)),
    };
    // A recent `docker save` writes both; the layout carries digests, the manifest carries tags.
    for descriptor in &descriptors {
        note(import_descriptor(store, &extracted, descriptor, 0));
    }
    for entry in &docker_entries {
        note(import_docker(store, &extracted, entry).map(Some));
    }
    let mut recorded = Vec::new();
    for mut image in images.into_values() {
        image.pinned = pinned;
        recorded.push(store.record(image)?);
    }
    match refused {
        Some(error) if recorded.is_empty() => Err(error),
        Some(error) => {
            tracing::warn!(archive = %path.display(), error = k3s_base::error::chain(&error), "an image of the archive was left out");
            Ok(recorded)
        }
        None => Ok(recorded),
    }
}

/// The images of an OCI layout, and those of a `docker save` archive.
fn contents(
    extracted: &Extracted,
    path: &Path,
) -> Result<(Vec<Descriptor>, Vec<DockerEntry>), ImageError> {
    let index = extracted.document("index.json")?;
    let manifest = extracted.document("manifest.json")?;
    if index.is_none() && manifest.is_none() {
        return Err(ImageError::NotAnArchive(path.to_path_buf()));
    }
    let descriptors = match index {
        Some(bytes) => {
            serde_json::from_slice::<Manifest>(&bytes)
                .map_err(ImageError::malformed("index.json"))?
                .manifests
        }
        None => Vec::new(),
    };
    let docker_entries = match manifest {
        Some(bytes) => {
            serde_json::from_slice(&bytes).map_err(ImageError::malformed("manifest.json"))?
        }
        None => Vec::new(),
    };
    Ok((descriptors, docker_entries))
}

fn import_docker(
    store: &ImageStore,
    extracted: &Extracted,
    entry: &DockerEntry,
) -> Result<Image, ImageError> {
    let config = extracted
        .document(&entry.config)?
        .ok_or_else(|| ImageError::Missing(entry.config.clone()))?;
    let mut files = Vec::new();
    for layer in &entry.layers {
        let file = extracted.file(layer);
        files.push(file.ok_or_else(|| ImageError::Missing(layer.clone()))?);
    }
    let mut image = unpack(store, &config, &files)?;
    image.tags = entry
        .repo_tags
        .iter()
        .flatten()
        .filter_map(|tag| Reference::parse(tag).ok()?.tagged())
        .collect();
    Ok(image)
}

fn import_descriptor(
    store: &ImageStore,
    extracted: &Extracted,
    descriptor: &Descriptor,
    depth: u32,
) -> Result<Option<Image>, ImageError> {
    if depth > INDEX_DEPTH_LIMIT {
        return Err(ImageError::NestedIndexes);
    }
    let manifest = extracted.blob(&descriptor.digest)?;
    let document: Manifest = serde_json::from_slice(&manifest).map_err(ImageError::malformed(
        format!("manifest {}", descriptor.digest),
    ))?;
    let imported = if document.manifests.is_empty() {
        import_manifest(store, extracted, &document)?
    } else {
        let Some(chosen) = select(&document.manifests) else {
            return Err(ImageError::NoPlatform);
        };
        import_descriptor(store, extracted, chosen, depth + 1)?
    };
    let Some(mut image) = imported else {
        return Ok(None);
    };
    let name = NAME_ANNOTATIONS
        .iter()
        .find_map(|key| descriptor.annotations.get(*key))
        .filter(|name| name.contains(['/', ':']));
    if let Some(reference) = name.and_then(|name| Reference::parse(name).ok()) {
        image.tags.extend(reference.tagged());
        image
            .digests
            .insert(reference.with_digest(&descriptor.digest));
    }
    Ok(Some(image))
}

/// None for a manifest that is not of an image, such as an attestation.
fn import_manifest(
    store: &ImageStore,
    extracted: &Extracted,
    manifest: &Manifest,
) -> Result<Option<Image>, ImageError> {
    let Some(config) = manifest
        .config
        .as_ref()
        .filter(|config| config.media_type.contains("image"))
    else {
        return Ok(None);
    };
    let bytes = extracted.blob(&config.digest)?;
    let mut files = Vec::new();
    for layer in &manifest.layers {
        files.push(extracted.blob_file(&layer.digest)?);
    }
    let mut image = unpack(store, &bytes, &files)?;
    image.size_bytes = config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
    Ok(Some(image))
}

fn unpack(store: &ImageStore, config: &[u8], files: &[PathBuf]) -> Result<Image, ImageError> {
    let diff_ids = ConfigDocument::parse(config)?.rootfs.diff_ids;
    if diff_ids.len() != files.len() {
        return Err(ImageError::Layers);
    }
    let _lease = store.snapshots.lease(&chain(&diff_ids));
    let layers: Vec<_> = files
        .iter()
        .zip(diff_ids)
        .map(|(path, diff_id)| LayerFile {
            path: path.clone(),
            diff_id,
        })
        .collect();
    let mut image = store.unpack(config, &layers)?;
    let sizes = files
        .iter()
        .map(|path| std::fs::metadata(path).map(|metadata| metadata.len()));
    image.size_bytes = sizes.sum::<io::Result<u64>>()? + u64::try_from(config.len()).unwrap_or(0);
    Ok(image)
}

/// An archive's files on disk, removed when dropped.
struct Extracted {
    dir: PathBuf,
    /// Name in the archive → file here.
    files: HashMap<String, PathBuf>,
    /// Name in the archive → another name in it; old `docker save` shares layers so.
    links: HashMap<String, String>,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Extracted {
    fn of(path: &Path, scratch: &Path) -> io::Result<Self> {
        let dir = scratch.join(format!("import-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        k3s_sys::fs::remove_all(&dir)?;
        std::fs::create_dir_all(&dir)?;
        let mut extracted = Self {
            dir,
            files: HashMap::new(),
            links: HashMap::new(),
        };
        let mut archive = tar::Archive::new(decompress(File::open(path)?)?);
        for (number, entry) in archive.entries()?.enumerate() {
            extracted.add(number, &mut entry?)?;
        }
        Ok(extracted)
    }

    fn add(&mut self, number: usize, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let name = normal(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            let target = self.dir.join(number.to_string());
            io::copy(entry, &mut File::create(&target)?)?;
            self.files.insert(name, target);
        } else if (kind.is_symlink() || kind.is_hard_link())
            && let Some(link) = entry.link_name()?
        {
            // A symbolic link is relative to its folder, a hard link to the archive.
            let folder = Path::new(&name).parent().filter(|_| kind.is_symlink());
            let target = normal(&folder.unwrap_or(Path::new("")).join(link));
            self.links.insert(name, target);
        }
        Ok(())
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let name = normal(Path::new(name));
        self.files
            .get(&name)
            .or_else(|| self.files.get(self.links.get(&name)?))
            .cloned()
    }

    fn document(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(path) = self.file(name) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        File::open(path)?
            .take(DOCUMENT_LIMIT_BYTES)
            .read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn blob_file(&self, digest: &str) -> Result<PathBuf, ImageError> {
        let name = blob_name(digest);
        let Some(path) = self.file(&name) else {
            return Err(ImageError::Missing(name));
        };
        let found = HashingReader::new(File::open(&path)?).finish()?;
        verify(name, found, digest)?;
        Ok(path)
    }

    fn blob(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let name = blob_name(digest);
        let Some(bytes) = self.document(&name)? else {
            return Err(ImageError::Missing(name));
        };
        verify(name, digest_of(&bytes), digest)?;
        Ok(bytes)
    }
}

impl Drop for Extracted {
    fn drop(&mut self) {
        let _ = k3s_sys::fs::remove_all(&self.dir);
    }
}

/// Where an OCI layout has a blob.
fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn verify(name: String, found: String, wanted: &str) -> Result<(), ImageError> {
    if found == wanted {
        Ok(())
    } else {
        Err(ImageError::Damaged { name, found })
    }
}

/// A name in an archive without `./` and with `..` resolved; it is only a key, never a path.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.join("/")
}

/// The names in a list file (`*.txt`): one per line, `#` begins a comment.
pub(crate) fn list_file(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_archives_are_keys() {
        assert_eq!(normal(Path::new("./a/../b/./c")), "b/c");
        assert_eq!(normal(Path::new("/../../etc/passwd")), "etc/passwd");
    }

    #[test]
    fn lists_have_comments() {
        assert_eq!(
            list_file("# all\nbusybox\n\n rancher/x:1 # why\n"),
            BTreeSet::from(["busybox".to_owned(), "rancher/x:1".to_owned()])
        );
    }
}
