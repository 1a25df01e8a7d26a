//! Which files of the folder are manifests, by K3s' rules.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Most files that are applied; the rest is left out.
pub(crate) const MAX_FILES: usize = 10_000;
/// Most levels of folders below the folder itself.
pub(crate) const MAX_DEPTH: usize = 16;
/// The largest manifest: several times the largest bundle of definitions in use.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 20;

/// What a scan of the folder found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Manifests, sorted by path.
    pub(crate) files: Vec<PathBuf>,
    /// Manifests whose name is disabled: their objects are to be deleted, and the file.
    pub(crate) disabled: Vec<PathBuf>,
    /// Every folder, to be watched.
    pub(crate) dirs: Vec<PathBuf>,
}

/// Reads the folder and all folders in it.
pub(crate) fn scan(dir: &Path, disabled: &[String]) -> std::io::Result<Found> {
    let mut found = Found::default();
    walk(dir, dir, 0, &mut found)?;
    found.files.sort();
    found.files.truncate(MAX_FILES);
    let is_off = |path: &PathBuf| {
        let relative = path.strip_prefix(dir);
        relative.is_ok_and(|path| is_disabled(path, disabled))
    };
    let (off, mut on): (Vec<_>, Vec<_>) = found.files.into_iter().partition(is_off);
    on.retain(|path| !is_skipped(dir, path));
    found.files = on;
    found.disabled = off;
    Ok(found)
}

fn walk(root: &Path, dir: &Path, depth: usize, found: &mut Found) -> std::io::Result<()> {
    found.dirs.push(dir.to_owned());
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if name(&path).starts_with('.') {
            continue;
        }
        // Links to folders are followed at the top only, so there are no cycles.
        let is_followed = !path.is_symlink() || dir == root;
        if path.is_dir() {
            if depth < MAX_DEPTH && is_followed {
                let walked = walk(root, &path, depth + 1, found);
                unless_vanished(walked)?;
            }
        } else if is_manifest(&path) {
            found.files.push(path);
        }
    }
    Ok(())
}

/// A folder that vanished meanwhile has no files.
fn unless_vanished(walked: std::io::Result<()>) -> std::io::Result<()> {
    match walked {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn name(path: &Path) -> &str {
    let name = path.file_name().and_then(OsStr::to_str);
    name.unwrap_or_default()
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    let extension = extension.unwrap_or_default().to_ascii_lowercase();
    matches!(extension.as_str(), "yaml" | "yml" | "json")
}

/// Whether there is a `.skip` file beside the file, or beside a folder it is in.
pub(crate) fn is_skipped(dir: &Path, path: &Path) -> bool {
    let above = path
        .ancestors()
        .take_while(|above| *above != dir && above.starts_with(dir));
    above.into_iter().any(|above| {
        let mut skip = above.as_os_str().to_owned();
        skip.push(".skip");
        Path::new(&skip).exists()
    })
}

/// Whether the file's base name, or a folder it is in, is disabled. The path is relative.
pub(crate) fn is_disabled(path: &Path, disabled: &[String]) -> bool {
    let is_off = |name: &OsStr| {
        let mut disabled = disabled.iter();
        disabled.any(|off| OsStr::new(off) == name)
    };
    if path.file_stem().is_some_and(is_off) {
        return true;
    }
    let Some(folder) = path.parent() else {
        return false;
    };
    folder.iter().any(is_off)
}

/// The name of the file's AddOn: the file name up to its first dot.
pub(crate) fn addon_name(path: &Path) -> Result<String, Error> {
    let base = name(path).split('.').next();
    let base = base.unwrap_or_default().to_owned();
    let is_valid = k3s_meta::names::is_dns1123_label(&base).is_ok();
    if !is_valid {
        return Err(Error::Name(base));
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_found_by_the_rules() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::create_dir_all(root.join("metrics-server")).unwrap();
        for file in [
            "b.yaml",
            "a.yml",
            "c.json",
            ".hidden.yaml",
            "notes.txt",
            "sub/deep/d.yaml",
            "skipped.yaml",
            "skipped.yaml.skip",
            "off.yaml",
            "metrics-server/x.yaml",
        ] {
            std::fs::write(root.join(file), "").unwrap();
        }
        let disabled = ["off".to_owned(), "metrics-server".to_owned()];
        let found = scan(root, &disabled).unwrap();
        let names = |paths: &[PathBuf]| -> Vec<String> {
            paths
                .iter()
                .map(|p| p.strip_prefix(root).unwrap().display().to_string())
                .collect()
        };
        assert_eq!(
            names(&found.files),
            ["a.yml", "b.yaml", "c.json", "sub/deep/d.yaml"]
        );
        assert_eq!(
            names(&found.disabled),
            ["metrics-server/x.yaml", "off.yaml"]
        );
        assert_eq!(found.dirs.len(), 4);
    }

    #[test]
    fn addons_are_named_by_their_file() {
        assert_eq!(
            addon_name(Path::new("/x/my-app.v2.yaml")).unwrap(),
            "my-app"
        );
        assert!(addon_name(Path::new("/x/My_App.yaml")).is_err());
    }
}
