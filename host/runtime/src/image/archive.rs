//! Images from files: `docker save` archives and OCI layouts, plain or compressed with gzip, zstd,
//! bzip2 or lz4, with any number of images in one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use super::content::{HashingReader, digest_of};
use super::error::ImageError;
use super::layer::{copy, decompress};
use super::model::{ConfigDocument, Descriptor, Image, Manifest, select};
use super::reference::Reference;
use super::room::Room;
use super::snapshots::chain;
use super::store::{DOCUMENT_LIMIT_BYTES, IMPORT_PREFIX, ImageStore, LayerFile};
use super::tarball::{CancelOnDrop, Cancelled, for_each_entry};
use super::unpack::Unpacker;

/// Annotations that name an image in an OCI layout, the full one first.
const NAME_ANNOTATIONS: [&str; 2] = [
    "io.containerd.image.name",
    "org.opencontainers.image.ref.name",
];
/// An index may contain indexes; real ones are two deep.
const INDEX_DEPTH_LIMIT: u32 = 4;
/// Length of the names of an archive's files together; real ones have some KiB.
const NAMES_LIMIT_BYTES: usize = 16 << 20;

/// One entry of a `docker save` archive's `manifest.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Imports every image of the archive for this machine. `pinned` images are never collected. An image that
/// cannot be imported is left out with a warning, unless it is the only one.
pub(crate) async fn import(
    store: &ImageStore,
    unpacker: &Unpacker,
    scratch: &Path,
    path: &Path,
    pinned: bool,
) -> Result<Vec<Arc<Image>>, ImageError> {
    let guard = CancelOnDrop::default();
    let (cancelled, scratch, archive) = (guard.flag(), scratch.to_owned(), path.to_owned());
    let read = move || {
        let extracted = Extracted::of(&archive, &scratch, &cancelled)?;
        let found = found(&extracted, &archive)?;
        Ok::<_, ImageError>((extracted, found))
    };
    let read = tokio::task::spawn_blocking(read).await;
    let (extracted, found) = read.map_err(io::Error::other)??;
    let mut recorded = BTreeMap::new();
    let mut refused = None;
    for found in found {
        let made = match found {
            Ok(found) => found.make(store, unpacker, pinned).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(image) => drop(recorded.insert(image.id.clone(), image)),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    let _ = tokio::task::spawn_blocking(move || drop(extracted)).await;
    match refused {
        Some(error) if recorded.is_empty() => return Err(error),
        Some(error) => {
            tracing::warn!(archive = %path.display(), error = k3s_base::error::chain(&error), "an image of the archive was left out");
        }
        None => {}
    }
    Ok(recorded.into_values().collect())
}

/// How many images are in an archive; `scratch` is a folder for its files. Nothing is unpacked.
///
/// # Errors
/// The cause is what is wrong with the archive, or the disk.
pub fn count_images(archive: &Path, scratch: &Path) -> io::Result<usize> {
    let found = Extracted::of(archive, scratch, &Cancelled::default())
        .and_then(|extracted| found(&extracted, archive));
    Ok(found.map_err(io::Error::other)?.len())
}

/// An image of an archive, not unpacked yet.
struct Found {
    /// Its names and size.
    image: Image,
    config: Vec<u8>,
    layers: Vec<LayerFile>,
}

impl Found {
    fn new(config: Vec<u8>, files: Vec<PathBuf>) -> Result<Self, ImageError> {
        let diff_ids = ConfigDocument::parse(&config)?.rootfs.diff_ids;
        if diff_ids.len() != files.len() {
            return Err(ImageError::Layers);
        }
        let mut size_bytes = u64::try_from(config.len()).unwrap_or(0);
        for file in &files {
            size_bytes += std::fs::metadata(file)?.len();
        }
        let layers = files.into_iter().zip(diff_ids);
        Ok(Self {
            image: Image {
                size_bytes,
                ..Image::default()
            },
            config,
            layers: layers
                .map(|(path, diff_id)| LayerFile { path, diff_id })
                .collect(),
        })
    }

    async fn make(
        self,
        store: &ImageStore,
        unpacker: &Unpacker,
        pinned: bool,
    ) -> Result<Arc<Image>, ImageError> {
        let diff_ids: Vec<_> = self.layers.iter().map(|it| it.diff_id.clone()).collect();
        let _lease = store.snapshots.lease(&chain(&diff_ids));
        let unpacked = store.unpack(unpacker, &self.config, &self.layers).await?;
        Ok(store.record(Image {
            tags: self.image.tags,
            digests: self.image.digests,
            size_bytes: self.image.size_bytes,
            pinned,
            ..unpacked
        })?)
    }
}

/// The images of the archive for this machine, or why one is none.
fn found(extracted: &Extracted, path: &Path) -> Result<Vec<Result<Found, ImageError>>, ImageError> {
    let (descriptors, docker_entries) = contents(extracted, path)?;
    // A recent `docker save` writes both; the layout carries digests, the manifest carries tags.
    let of_layout = descriptors
        .iter()
        .filter_map(|descriptor| find_descriptor(extracted, descriptor, 0).transpose());
    let of_docker = docker_entries
        .iter()
        .map(|entry| find_docker(extracted, entry));
    Ok(of_layout.chain(of_docker).collect())
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

fn find_docker(extracted: &Extracted, entry: &DockerEntry) -> Result<Found, ImageError> {
    let config = extracted
        .document(&entry.config)?
        .ok_or_else(|| ImageError::Missing(entry.config.clone()))?;
    let mut files = Vec::new();
    for layer in &entry.layers {
        let file = extracted.file(layer);
        files.push(file.ok_or_else(|| ImageError::Missing(layer.clone()))?);
    }
    let mut found = Found::new(config, files)?;
    found.image.tags = entry
        .repo_tags
        .iter()
        .flatten()
        .filter_map(|tag| Reference::parse(tag).ok()?.tagged())
        .collect();
    Ok(found)
}

fn find_descriptor(
    extracted: &Extracted,
    descriptor: &Descriptor,
    depth: u32,
) -> Result<Option<Found>, ImageError> {
    if depth > INDEX_DEPTH_LIMIT {
        return Err(ImageError::NestedIndexes);
    }
    let manifest = extracted.blob(&descriptor.digest)?;
    let document: Manifest = serde_json::from_slice(&manifest).map_err(ImageError::malformed(
        format!("manifest {}", descriptor.digest),
    ))?;
    let found = if document.manifests.is_empty() {
        find_manifest(extracted, &document)?
    } else {
        let Some(chosen) = select(&document.manifests) else {
            return Err(ImageError::NoPlatform);
        };
        find_descriptor(extracted, chosen, depth + 1)?
    };
    let Some(mut found) = found else {
        return Ok(None);
    };
    let name = NAME_ANNOTATIONS
        .iter()
        .find_map(|key| descriptor.annotations.get(*key))
        .filter(|name| name.contains(['/', ':']));
    if let Some(reference) = name.and_then(|name| Reference::parse(name).ok()) {
        let image = &mut found.image;
        image.tags.extend(reference.tagged());
        image
            .digests
            .insert(reference.with_digest(&descriptor.digest));
    }
    Ok(Some(found))
}

/// None for a manifest that is not of an image, such as an attestation.
fn find_manifest(extracted: &Extracted, manifest: &Manifest) -> Result<Option<Found>, ImageError> {
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
    let mut found = Found::new(bytes, files)?;
    let layers = manifest.layers.iter().map(|layer| layer.size);
    found.image.size_bytes = layers.fold(config.size, u64::saturating_add);
    Ok(Some(found))
}

/// An archive's files on disk, removed when dropped.
struct Extracted {
    dir: PathBuf,
    /// Name in the archive → file here.
    files: HashMap<String, PathBuf>,
    /// Name in the archive → another name in it; old `docker save` shares layers so.
    links: HashMap<String, String>,
    /// Length of the names.
    names_bytes: usize,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Extracted {
    fn of(path: &Path, scratch: &Path, cancelled: &Cancelled) -> Result<Self, ImageError> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = scratch.join(format!("{IMPORT_PREFIX}{number}"));
        k3s_sys::fs::remove_all(&dir)?;
        k3s_sys::fs::create_dirs(&dir, 0o700)?;
        let mut room = Room::of(&dir)?;
        let mut extracted = Self {
            dir,
            files: HashMap::new(),
            links: HashMap::new(),
            names_bytes: 0,
        };
        let source = decompress(File::open(path)?)?;
        for_each_entry(source, cancelled, |number, entry| {
            extracted.add(number, entry, &mut room)
        })?;
        Ok(extracted)
    }

    fn add(
        &mut self,
        number: u64,
        entry: &mut tar::Entry<'_, impl Read>,
        room: &mut Room,
    ) -> io::Result<()> {
        let name = normal(&entry.path()?);
        let kind = entry.header().entry_type();
        if kind.is_file() {
            self.note_name(name.len())?;
            let target = self.dir.join(number.to_string());
            copy(entry, &mut File::create(&target)?, room)?;
            room.made_inode()?;
            self.files.insert(name, target);
        } else if (kind.is_symlink() || kind.is_hard_link())
            && let Some(link) = entry.link_name()?
        {
            // A symbolic link is relative to its folder, a hard link to the archive.
            let folder = Path::new(&name).parent().filter(|_| kind.is_symlink());
            let target = normal(&folder.unwrap_or(Path::new("")).join(link));
            self.note_name(name.len() + target.len())?;
            self.links.insert(name, target);
        }
        Ok(())
    }

    fn note_name(&mut self, bytes: usize) -> io::Result<()> {
        self.names_bytes += bytes;
        if self.names_bytes > NAMES_LIMIT_BYTES {
            let message = "the names in the archive are too long";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
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
