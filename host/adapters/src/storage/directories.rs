//! Directories below granted roots: from a path as a guest writes it to a confined one.

use std::io;
use std::path::{Component, Path, PathBuf};

use k3s_sys::confined::{ConfinedRoot, Owner, leads_out};
use k3s_sys::volume::{self, FsUsage};

/// As the kernel's `PATH_MAX`.
const MAX_PATH_BYTES: usize = 4096;
/// As K3s' setup script leaves the folder of volumes: nobody but root lists it, every pod may pass.
const ROOT_MODE: u32 = 0o701;

/// Why a directory was not touched.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Not below a root, or the way leads out of it.
    #[error("{0}")]
    Denied(String),
    /// No path at all.
    #[error("{0}")]
    Invalid(String),
    /// The disk failed.
    #[error("cannot read or change {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The roots that a plugin was granted.
#[derive(Clone, Debug)]
pub struct Directories {
    roots: Vec<ConfinedRoot>,
}

impl Directories {
    /// Grants these roots and nothing else; they are made when first used.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            roots: roots.into_iter().map(ConfinedRoot::new).collect(),
        }
    }

    pub(super) fn make(
        &self,
        path: &str,
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<bool, DirectoryError> {
        if mode & !0o7777 != 0 {
            return Err(DirectoryError::Invalid(format!(
                "{mode:o} is not the mode of a directory"
            )));
        }
        let (root, relative) = self.locate(path)?;
        prepare(root.path()).map_err(|e| disk(root.path(), e))?;
        root.make(&relative, mode, owner)
            .map_err(|e| failed(path, e))
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), DirectoryError> {
        let (root, relative) = self.locate(path)?;
        match root.remove(&relative) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map(drop).map_err(|e| failed(path, e)),
        }
    }

    pub(super) fn usage(&self, path: &str) -> Result<FsUsage, DirectoryError> {
        let path = normal(path)?;
        // A root itself may be asked for its size.
        let root = self.roots.iter().find(|root| root.path() == path);
        if let Some(root) = root {
            let usage = prepare(root.path()).and_then(|()| volume::usage(root.path()));
            return usage.map_err(|error| disk(&path, error));
        }
        let text = path.to_string_lossy().into_owned();
        let (root, relative) = self.locate(&text)?;
        root.usage(&relative).map_err(|e| failed(&text, e))
    }

    /// The innermost root above a path, and the rest. Decided by names alone; what the names lead to
    /// is the kernel's to check.
    fn locate(&self, path: &str) -> Result<(&ConfinedRoot, PathBuf), DirectoryError> {
        let path = normal(path)?;
        let inside = self.roots.iter().filter_map(|root| {
            let relative = path.strip_prefix(root.path()).ok()?;
            (!relative.as_os_str().is_empty()).then(|| (root, relative.to_owned()))
        });
        let deepest = inside.max_by_key(|(root, _)| root.path().components().count());
        deepest.ok_or_else(|| {
            let roots: Vec<String> = self
                .roots
                .iter()
                .map(|root| root.path().display().to_string())
                .collect();
            DirectoryError::Denied(format!(
                "{} is not below a granted folder ({})",
                path.display(),
                roots.join(", ")
            ))
        })
    }
}

/// An absolute path without detours.
fn normal(path: &str) -> Result<PathBuf, DirectoryError> {
    let invalid = |why: &str| Err(DirectoryError::Invalid(format!("{path:?} {why}")));
    if path.len() > MAX_PATH_BYTES {
        return Err(DirectoryError::Invalid(format!(
            "a path of {} bytes is too long",
            path.len()
        )));
    }
    if path.contains('\0') || !path.starts_with('/') {
        return invalid("is not an absolute path");
    }
    if Path::new(path)
        .components()
        .any(|part| !matches!(part, Component::RootDir | Component::Normal(_)))
    {
        return invalid("must not contain \"..\"");
    }
    Ok(Path::new(path).components().collect())
}

/// Makes a root where it is missing.
fn prepare(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if root.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(root)?;
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(ROOT_MODE))
}

fn disk(path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Disk {
        path: path.to_owned(),
        source,
    }
}

fn failed(path: &str, error: io::Error) -> DirectoryError {
    if leads_out(&error) {
        return DirectoryError::Denied(format!("{path} leads out of the granted folder: {error}"));
    }
    match error.kind() {
        io::ErrorKind::NotADirectory => {
            DirectoryError::Invalid(format!("{path} is not a directory"))
        }
        _ => disk(Path::new(path), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_a_root_is_reached() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, outside) = (
            scratch.path().join("storage"),
            scratch.path().join("storage2"),
        );
        std::fs::create_dir(&outside).unwrap();
        let directories = Directories::new([root.clone()]);
        let at = |text: &str| format!("{}/{text}", scratch.path().display());
        for path in [
            at("storage"),
            at("storage/"),
            at("storage2/x"),
            at("storage/../storage2/x"),
            at("other"),
            "relative".into(),
            "/".into(),
            String::new(),
        ] {
            assert!(directories.make(&path, 0o777, None).is_err(), "{path}");
            assert!(directories.remove(&path).is_err(), "{path}");
        }
        assert!(directories.make(&at("storage/a/b"), 0o777, None).unwrap());
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        assert!(matches!(
            directories.make(&at("storage/link/x"), 0o777, None),
            Err(DirectoryError::Denied(_))
        ));
        assert!(matches!(
            directories.remove(&at("storage/link/x")),
            Err(DirectoryError::Denied(_))
        ));
        assert!(directories.usage(&at("storage")).unwrap().capacity_bytes > 0);
        directories.remove(&at("storage/a/b")).unwrap();
        assert!(!root.join("a/b").exists() && outside.exists());
    }

    #[test]
    fn without_a_grant_there_is_nothing() {
        let none = Directories::new([]);
        assert!(
            none.make("/tmp/x", 0o777, None)
                .unwrap_err()
                .to_string()
                .contains("not below a granted folder")
        );
    }
}
