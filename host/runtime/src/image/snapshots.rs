//! Unpacked layers, one folder per chain ID, each the upper side of an overlay over its parents.
//!
//! A folder appears under its name only when it is complete and on disk. Names are short, so that
//! the options of an overlay mount of many layers fit in one page.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k3s_sys::fs::SocketDir;
use parking_lot::Mutex;

use super::content::digest_of;
use super::error::ImageError;
use super::layer;

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
    /// Opens the store and removes what an earlier process left half-done.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join("snapshots");
        std::fs::create_dir_all(&dir)?;
        k3s_sys::mount::detach_below(&dir)?;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with(TEMPORARY_PREFIX)
            {
                k3s_sys::fs::remove_all(&entry.path())?;
            }
        }
        Ok(Self {
            dir,
            leases: Arc::default(),
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
    /// nothing when it is there.
    pub(crate) fn unpack(
        &self,
        name: &str,
        parents: &[String],
        layer: File,
        diff_id: &str,
    ) -> Result<(), ImageError> {
        if self.has(name) {
            return Ok(());
        }
        let temporary = self.dir.join(format!("{TEMPORARY_PREFIX}{name}"));
        k3s_sys::fs::remove_all(&temporary)?;
        let fs = temporary.join("fs");
        std::fs::create_dir_all(&fs)?;
        let applied = if parents.is_empty() {
            layer::apply(layer, &fs)
        } else {
            self.apply_over(parents, layer, &temporary)
        };
        let finished = applied.and_then(|found| {
            if found != diff_id {
                return Err(ImageError::LayerContent {
                    found,
                    wanted: diff_id.to_owned(),
                });
            }
            layer::sync(&fs)?;
            Ok(std::fs::rename(&fs, self.dir.join(name))?)
        });
        k3s_sys::fs::remove_all(&temporary)?;
        finished
    }

    fn apply_over(
        &self,
        parents: &[String],
        layer: File,
        temporary: &Path,
    ) -> Result<String, ImageError> {
        let (fs, work, target) = (
            temporary.join("fs"),
            temporary.join("work"),
            temporary.join("root"),
        );
        std::fs::create_dir_all(&work)?;
        std::fs::create_dir_all(&target)?;
        let short = SocketDir::open(&self.dir)?;
        let lowers: Vec<_> = parents.iter().rev().map(|name| short.path(name)).collect();
        k3s_sys::mount::overlay(&lowers, &fs, &work, &target)?;
        let applied = layer::apply(layer, &target);
        k3s_sys::mount::detach(&target)?;
        applied
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
}
