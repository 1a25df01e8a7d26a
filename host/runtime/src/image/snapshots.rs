//! Unpacked layers, one folder per chain ID, each the upper side of an overlay over its parents.
//!
//! A folder appears under its name only when it is complete and on disk. Names are short, so that
//! the options of an overlay mount of many layers fit in one page.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::content::digest_of;
use super::error::ImageError;
use super::store::LayerFile;
use super::unpack::{UnpackRequest, Unpacker};

/// Hexadecimal digits of a chain ID that name its folder: 96 bits.
const NAME_DIGITS: usize = 24;
const TEMPORARY_PREFIX: &str = ".new-";

/// The folder names of an image's layers, lowest first, from the digests of its uncompressed layers
/// (OCI image specification, `config.md`, "Layer ChainID").
pub(crate) fn chain(diff_ids: &[String]) -> Vec<String> {
    let mut chain_id = String::new();
    diff_ids
        .iter()
        .map(|diff_id| {
            chain_id = if chain_id.is_empty() {
                diff_id.clone()
            } else {
                digest_of(format!("{chain_id} {diff_id}").as_bytes())
            };
            chain_id
                .trim_start_matches("sha256:")
                .chars()
                .take(NAME_DIGITS)
                .collect()
        })
        .collect()
}

/// All unpacked layers.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    /// Layers that are being made or about to be used, by name: not garbage yet.
    leases: Arc<Mutex<HashMap<String, usize>>>,
    /// Numbers folders in the making.
    number: Arc<AtomicU64>,
}

/// Removes what has this prefix in a folder, and goes on where it cannot.
pub(super) fn remove_leftovers(dir: &Path, prefix: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let path = entry.path();
        if let Err(error) = k3s_sys::fs::remove_all(&path) {
            tracing::warn!(path = %path.display(), %error, "a leftover is not removed");
        }
    }
    Ok(())
}

/// Keeps layers from being collected while it lives.
#[derive(Debug)]
pub(crate) struct Lease {
    names: Vec<String>,
    leases: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.leases.lock();
        for name in &self.names {
            if let Some(count) = leases.get_mut(name) {
                *count -= 1;
            }
        }
        leases.retain(|_, count| *count > 0);
    }
}

impl Snapshots {
    /// Opens the store and removes what an earlier process left half-done. What cannot be removed
    /// only takes space, so it does not keep the node from starting.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join("snapshots");
        k3s_sys::fs::create_dirs_exactly(&dir, 0o700)?;
        if let Err(error) = k3s_sys::mount::detach_below(&dir) {
            tracing::warn!(dir = %dir.display(), %error, "a mount of unfinished layers stays");
        }
        remove_leftovers(&dir, TEMPORARY_PREFIX)?;
        Ok(Self {
            dir,
            leases: Arc::default(),
            number: Arc::default(),
        })
    }

    /// The folder that names are relative to.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.dir.join(name).is_dir()
    }

    pub(crate) fn lease(&self, names: &[String]) -> Lease {
        let mut leases = self.leases.lock();
        for name in names {
            *leases.entry(name.clone()).or_default() += 1;
        }
        Lease {
            names: names.to_vec(),
            leases: self.leases.clone(),
        }
    }

    /// Unpacks `layer` as `name` over `parents` (lowest first) and verifies its content. Does
    /// nothing when it is there. What was begun is undone when the caller stops waiting.
    pub(crate) async fn unpack(
        &self,
        unpacker: &Unpacker,
        name: &str,
        parents: &[String],
        layer: &LayerFile,
    ) -> Result<(), ImageError> {
        if self.has(name) {
            return Ok(());
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let job = Job {
            request: UnpackRequest {
                layer: layer.path.clone(),
                layers_dir: self.dir.clone(),
                parents: parents.to_vec(),
                dir: self.dir.join(format!("{TEMPORARY_PREFIX}{number}-{name}")),
            },
            diff_id: layer.diff_id.clone(),
            place: self.dir.join(name),
        };
        let (sender, done) = oneshot::channel();
        let of_task = unpacker.clone();
        // A task of its own, so that it is there to undo the work.
        unpacker
            .tasks
            .spawn("unpack", async move { job.run(&of_task, sender).await });
        done.await.map_err(|_stopping| ImageError::Cancelled)?
    }

    /// Removes every layer that is neither in `used` nor leased.
    pub(crate) fn collect(&self, used: &HashSet<String>) -> io::Result<()> {
        let leases = self.leases.lock();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && !used.contains(&name) && !leases.contains_key(&name) {
                // Renamed first: half a layer must never exist under its name.
                let doomed = self.dir.join(format!("{TEMPORARY_PREFIX}removed-{name}"));
                std::fs::rename(entry.path(), &doomed)?;
                k3s_sys::fs::remove_all(&doomed)?;
            }
        }
        Ok(())
    }
}

/// The making of one layer.
struct Job {
    request: UnpackRequest,
    diff_id: String,
    /// Where the finished layer goes.
    place: PathBuf,
}

impl Job {
    async fn run(self, unpacker: &Unpacker, mut sender: oneshot::Sender<Result<(), ImageError>>) {
        let made = k3s_sys::fs::create_dirs(&self.request.dir, 0o700);
        let unpacked = match made {
            Ok(()) => unpacker.unpack(&self.request, &mut sender).await,
            Err(error) => Err(error.into()),
        };
        let kept = unpacked.and_then(|found| self.keep(found));
        let dir = self.request.dir;
        let removed = tokio::task::spawn_blocking(move || k3s_sys::fs::remove_all(&dir)).await;
        if let Err(error) = removed.map_err(io::Error::other).flatten() {
            tracing::warn!(layer = %self.place.display(), %error, "what was made on the way stays");
        }
        // The caller may not wait any more.
        let _ = sender.send(kept);
    }

    /// Gives the finished folder its name, unless another unpacking of the layer was faster.
    fn keep(&self, found: String) -> Result<(), ImageError> {
        if found != self.diff_id {
            return Err(ImageError::LayerContent {
                found,
                wanted: self.diff_id.clone(),
            });
        }
        match std::fs::rename(self.request.target(), &self.place) {
            Err(_) if self.place.is_dir() => Ok(()),
            other => Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_depends_on_all_layers_below() {
        let [a, b] = ["a", "b"].map(|letter| format!("sha256:{}", letter.repeat(64)));
        let both = chain(&[a.clone(), b.clone()]);
        assert_eq!(both[0], "a".repeat(NAME_DIGITS));
        assert_eq!(
            both[1],
            digest_of(format!("{a} {b}").as_bytes())[7..7 + NAME_DIGITS]
        );
        assert_ne!(chain(&[b])[0], both[1]);
    }

    #[test]
    fn leased_and_used_layers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(dir.path()).unwrap();
        for name in ["used", "leased", "old"] {
            std::fs::create_dir(snapshots.dir().join(name)).unwrap();
        }
        let lease = snapshots.lease(&["leased".to_owned()]);
        snapshots
            .collect(&HashSet::from(["used".to_owned()]))
            .unwrap();
        assert!(snapshots.has("used") && snapshots.has("leased") && !snapshots.has("old"));
        drop(lease);
        snapshots.collect(&HashSet::new()).unwrap();
        assert!(!snapshots.has("leased"));
    }

    #[test]
    fn a_leftover_of_any_depth_does_not_keep_the_store_from_opening() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(dir.path()).unwrap();
        let leftover = snapshots.dir().join(".new-0-old");
        std::fs::create_dir(&leftover).unwrap();
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        let mut here = rustix::fs::open(&leftover, flags, rustix::fs::Mode::empty()).unwrap();
        for _ in 0..30_000 {
            rustix::fs::mkdirat(&here, "d", rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
            here = rustix::fs::openat(&here, "d", flags, rustix::fs::Mode::empty()).unwrap();
        }
        drop(here);
        Snapshots::open(dir.path()).unwrap();
        assert!(!leftover.exists());
    }
}
