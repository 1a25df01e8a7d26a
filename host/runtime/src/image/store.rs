//! Which images there are: one record per image ID, its layers, and names that lead to it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::content::{Content, digest_of};
use super::error::ImageError;
use super::model::{ConfigDocument, Image, architecture};
use super::reference::Reference;
use super::snapshots::{Snapshots, chain, remove_leftovers};
use super::unpack::Unpacker;

/// Folders of archives while they are imported.
pub(crate) const IMPORT_PREFIX: &str = "import-";
/// A manifest is small; a larger one is an attack.
pub(crate) const DOCUMENT_LIMIT_BYTES: u64 = 8 << 20;

/// All images of the node.
#[derive(Clone, Debug)]
pub(crate) struct ImageStore {
    dir: PathBuf,
    /// Layers being downloaded; kept after a failure so that the next attempt goes on.
    pub(crate) ingest: Content,
    pub(crate) snapshots: Snapshots,
    images: Arc<Mutex<HashMap<String, Arc<Image>>>>,
}

/// A layer archive and the digest of its uncompressed content.
pub(crate) struct LayerFile {
    pub(crate) path: PathBuf,
    pub(crate) diff_id: String,
}

impl ImageStore {
    /// Opens the store; records that cannot be read, or whose layers are gone, are dropped with a
    /// warning: their images are pulled again.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join("images");
        k3s_sys::fs::create_dirs_exactly(&dir, 0o700)?;
        let snapshots = Snapshots::open(root)?;
        let mut images = HashMap::new();
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let image = std::fs::read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Image>(&bytes).ok());
            match image {
                Some(image) if image.chain.iter().all(|name| snapshots.has(name)) => {
                    images.insert(image.id.clone(), Arc::new(image));
                }
                _ => {
                    tracing::warn!(path = %path.display(), "dropping an image record that is damaged or lacks layers");
                    if let Err(error) = k3s_sys::fs::remove_all(&path) {
                        tracing::warn!(path = %path.display(), %error, "it is not removed");
                    }
                }
            }
        }
        let ingest = root.join("ingest");
        k3s_sys::fs::create_dirs_exactly(&ingest, 0o700)?;
        remove_leftovers(&ingest, IMPORT_PREFIX)?;
        Ok(Self {
            dir,
            ingest: Content::open(&ingest)?,
            snapshots,
            images: Arc::new(Mutex::new(images)),
        })
    }

    pub(crate) fn list(&self) -> Vec<Arc<Image>> {
        let mut images: Vec<_> = self.images.lock().values().cloned().collect();
        images.sort_by(|a, b| a.id.cmp(&b.id));
        images
    }

    /// The image behind an ID, a tag or a digest, as users and the kubelet write them.
    pub(crate) fn resolve(&self, text: &str) -> Option<Arc<Image>> {
        let images = self.images.lock();
        let id = if text.starts_with("sha256:") {
            text.to_owned()
        } else {
            format!("sha256:{text}")
        };
        if let Some(image) = images.get(&id) {
            return Some(image.clone());
        }
        let reference = Reference::parse(text).ok()?;
        let found = |image: &&Arc<Image>| match &reference.digest {
            Some(digest) => image.digests.contains(&reference.with_digest(digest)),
            None => reference
                .tagged()
                .is_some_and(|tagged| image.tags.contains(&tagged)),
        };
        images.values().find(found).cloned()
    }

    /// Records an image whose layers are unpacked, under `tags` and `digests`. A tag that named
    /// another image leaves it.
    pub(crate) fn record(&self, mut image: Image) -> io::Result<Arc<Image>> {
        let mut images = self.images.lock();
        if let Some(known) = images.get(&image.id) {
            image.tags.extend(known.tags.iter().cloned());
            image.digests.extend(known.digests.iter().cloned());
            image.pinned |= known.pinned;
            image.size_bytes = image.size_bytes.max(known.size_bytes);
        }
        let losing: Vec<_> = images
            .values()
            .filter(|other| other.id != image.id && !other.tags.is_disjoint(&image.tags))
            .cloned()
            .collect();
        for other in losing {
            let mut other = Image::clone(&other);
            other.tags = other
                .tags
                .difference(&image.tags)
                .cloned()
                .collect::<BTreeSet<_>>();
            self.save(&other)?;
            images.insert(other.id.clone(), Arc::new(other));
        }
        self.save(&image)?;
        let image = Arc::new(image);
        images.insert(image.id.clone(), image.clone());
        Ok(image)
    }

    fn save(&self, image: &Image) -> io::Result<()> {
        let bytes = serde_json::to_vec(image).map_err(io::Error::other)?;
        k3s_sys::fs::write_atomic(&self.record_path(&image.id), &bytes, 0o600)
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.dir
            .join(format!("{}.json", id.trim_start_matches("sha256:")))
    }

    /// Forgets an image; [`ImageStore::collect`] frees what only it used.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        let mut images = self.images.lock();
        k3s_sys::fs::remove_all(&self.record_path(id))?;
        images.remove(id);
        Ok(())
    }

    /// Frees layers that neither an image nor `also_used` (layers of containers) needs.
    pub(crate) fn collect(&self, also_used: &HashSet<String>) -> io::Result<()> {
        let images = self.images.lock();
        let used = images
            .values()
            .flat_map(|image| image.chain.iter().cloned())
            .chain(also_used.iter().cloned())
            .collect();
        self.snapshots.collect(&used)
    }

    /// Unpacks the missing layers of the image with this configuration document, and makes its
    /// record (not yet recorded). The lease must be held by the caller.
    pub(crate) async fn unpack(
        &self,
        unpacker: &Unpacker,
        config: &[u8],
        layers: &[LayerFile],
    ) -> Result<Image, ImageError> {
        let document = ConfigDocument::parse(config)?;
        if document.os != "linux" || document.architecture != architecture() {
            return Err(ImageError::Platform {
                os: document.os,
                architecture: document.architecture,
            });
        }
        let diff_ids = &document.rootfs.diff_ids;
        if !diff_ids
            .iter()
            .eq(layers.iter().map(|layer| &layer.diff_id))
        {
            return Err(ImageError::Layers);
        }
        let chain = chain(diff_ids);
        for (at, (name, layer)) in chain.iter().zip(layers).enumerate() {
            if !self.snapshots.has(name) {
                let parents = chain.get(..at).unwrap_or_default();
                let unpacked = self.snapshots.unpack(unpacker, name, parents, layer);
                unpacked.await?;
            }
        }
        let id = digest_of(config);
        Ok(Image {
            id,
            chain,
            config: document.config,
            ..Image::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, tag: &str) -> Image {
        Image {
            id: format!("sha256:{}", id.repeat(64)),
            tags: [tag.to_owned()].into(),
            ..Image::default()
        }
    }

    #[test]
    fn a_tag_moves_and_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        store
            .record(image("a", "docker.io/library/x:latest"))
            .unwrap();
        store
            .record(image("b", "docker.io/library/x:latest"))
            .unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        assert_eq!(
            store.resolve("x").unwrap().id,
            format!("sha256:{}", "b".repeat(64))
        );
        assert!(store.resolve(&"a".repeat(64)).unwrap().tags.is_empty());
        store.remove(&format!("sha256:{}", "b".repeat(64))).unwrap();
        assert!(store.resolve("x").is_none());
        assert_eq!(store.list().len(), 1);
    }

    #[test]
    fn an_image_without_its_layers_is_not_offered() {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        store
            .record(Image {
                chain: vec!["missing".into()],
                ..image("a", "x")
            })
            .unwrap();
        assert!(ImageStore::open(dir.path()).unwrap().list().is_empty());
    }
}
