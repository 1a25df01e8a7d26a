//! What is expensive to make is kept outside the checkout, in folders named by what it was made from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A folder that no run used for this long is removed when the next one is made.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder of all that is kept.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$XDG_CACHE_HOME/k3s/conformance`, else `~/.cache/k3s/conformance`.
    pub(crate) fn root() -> Result<PathBuf> {
        let base = match std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache"),
        };
        Ok(base.join("k3s/conformance"))
    }

    pub(crate) fn open() -> Result<Self> {
        Ok(Self::at(Self::root()?))
    }

    fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The file `name` among those of `kind` that were made from `key`; `make` writes it to the path it is
    /// given when it is not there. Other runs that want a file meanwhile wait.
    pub(crate) fn file(
        &self,
        kind: &str,
        key: &Key,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.root.join(format!("{kind}-{}", key.text()));
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let lock = File::create(self.root.join("lock"))?;
        if lock.try_lock().is_err() {
            println!("    waiting for another run, which fills the cache");
            lock.lock()?;
        }
        File::open(&folder)?.set_modified(SystemTime::now())?;
        let path = folder.join(name);
        if !path.exists() {
            self.remove_unused()?;
            let partial = folder.join(format!("partial-{name}"));
            make(&partial)?;
            fs::rename(&partial, &path)?;
        }
        Ok(path)
    }

    fn remove_unused(&self) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            let is_keyed = entry.file_name().to_string_lossy().contains('-');
            let is_old = meta.modified()?.elapsed().is_ok_and(|age| age > UNUSED);
            if meta.is_dir() && is_keyed && is_old {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// What a file was made from.
#[derive(Clone, Default)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Adds a part; parts do not run into each other.
    pub(crate) fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update(part.len().to_le_bytes());
        self.0.update(part);
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut text = hex::encode(self.0.clone().finalize());
        text.truncate(16);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_file_is_made_once_for_each_key() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let cache = Cache::at(dir.path().to_owned());
        let (one, two) = (Key::default().with("1"), Key::default().with("2"));
        let made = cache.file("it", &one, "name", |path| Ok(fs::write(path, "1")?))?;
        let found = cache.file("it", &one, "name", |_| bail!("made again"))?;
        assert_eq!(made, found);
        let other = cache.file("it", &two, "name", |path| Ok(fs::write(path, "2")?))?;
        assert_eq!(fs::read_to_string(other)?, "2");
        Ok(())
    }

    #[test]
    fn a_file_whose_making_failed_is_not_there() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let cache = Cache::at(dir.path().to_owned());
        let key = Key::default();
        let half = |path: &Path| {
            fs::write(path, "half")?;
            bail!("no space left")
        };
        assert!(cache.file("it", &key, "name", half).is_err());
        let made = cache.file("it", &key, "name", |path| Ok(fs::write(path, "whole")?))?;
        assert_eq!(fs::read_to_string(made)?, "whole");
        Ok(())
    }

    #[test]
    fn what_was_not_used_for_long_is_removed() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let cache = Cache::at(dir.path().to_owned());
        let write = |path: &Path| Ok(fs::write(path, "")?);
        let old = cache.file("it", &Key::default().with("old"), "name", write)?;
        let young = cache.file("it", &Key::default().with("young"), "name", write)?;
        let folder = old.parent().context("in a folder")?;
        File::open(folder)?.set_modified(SystemTime::now() - 2 * UNUSED)?;
        cache.file("it", &Key::default().with("new"), "name", write)?;
        assert!(young.exists() && !folder.exists());
        Ok(())
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        let one = Key::default().with("ab").with("c");
        let two = Key::default().with("a").with("bc");
        assert_ne!(one.text(), two.text());
    }
}
