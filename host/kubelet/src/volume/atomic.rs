//! Replaces the files of a projected volume in one step, as upstream's
//! `pkg/volume/util/atomic_writer.go`: content lies in a time-stamped directory, `..data` points to
//! it, and the names the pod sees are links through `..data`. A reader sees the old set or the new
//! one, never a mixture.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

const DATA: &str = "..data";
const DATA_TMP: &str = "..data_tmp";

/// One file of the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    /// Owner, where it is not root.
    pub(crate) uid: Option<u32>,
    /// Group (`fsGroup`), where there is one.
    pub(crate) gid: Option<u32>,
}

/// Files by relative path.
pub(crate) type Payload = BTreeMap<String, File>;

/// Brings `target` to `payload`; true when something changed. `stamp` names the new directory and
/// must differ from call to call.
pub(crate) fn write(target: &Path, payload: &Payload, stamp: &str) -> io::Result<bool> {
    for path in payload.keys() {
        check(path)?;
    }
    let current = fs::read_link(target.join(DATA)).ok();
    if let Some(current) = &current
        && same(&target.join(current), payload)?
    {
        return Ok(false);
    }
    let fresh = format!("..{stamp}");
    write_files(&target.join(&fresh), payload)?;
    symlink(&fresh, replace(target.join(DATA_TMP))?)?;
    fs::rename(target.join(DATA_TMP), target.join(DATA))?;
    link_names(target, payload)?;
    if let Some(old) = current {
        fs::remove_dir_all(target.join(old))?;
    }
    Ok(true)
}

/// Paths come through the API, which forbids these; a hostile API object must not write elsewhere.
fn check(path: &str) -> io::Result<()> {
    let plain = Path::new(path)
        .components()
        .all(|c| matches!(c, Component::Normal(_)));
    if path.is_empty() || !plain || path.starts_with("..") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("invalid path \"{path}\" in a volume"),
        ));
    }
    Ok(())
}

fn replace(path: PathBuf) -> io::Result<PathBuf> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

fn same(dir: &Path, payload: &Payload) -> io::Result<bool> {
    let mut present = BTreeSet::new();
    collect(dir, dir, &mut present)?;
    if !present.iter().eq(payload.keys()) {
        return Ok(false);
    }
    for (path, file) in payload {
        let path = dir.join(path);
        let meta = fs::metadata(&path)?;
        let owned = file.uid.is_none_or(|uid| meta.uid() == uid)
            && file.gid.is_none_or(|gid| meta.gid() == gid);
        if !owned || meta.mode() & 0o7777 != file.mode || fs::read(&path)? != file.content {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collect(root: &Path, dir: &Path, out: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, out)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            out.insert(relative.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn write_files(dir: &Path, payload: &Payload) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for (path, file) in payload {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
            // Directories between are traversable whatever the umask.
            let mut above = parent;
            while above != dir {
                fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
                let Some(next) = above.parent() else { break };
                above = next;
            }
        }
        fs::write(&path, &file.content)?;
        if file.uid.is_some() || file.gid.is_some() {
            std::os::unix::fs::chown(&path, file.uid, file.gid)?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

/// The first part of each path becomes a link through `..data`; links without a file are removed.
fn link_names(target: &Path, payload: &Payload) -> io::Result<()> {
    let names: BTreeSet<&str> = payload.keys().filter_map(|p| p.split('/').next()).collect();
    for name in &names {
        let link = target.join(name);
        let through = Path::new(DATA).join(name);
        if fs::read_link(&link).ok().as_deref() != Some(&through) {
            symlink(&through, replace(link)?)?;
        }
    }
    for entry in fs::read_dir(target)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if !name.starts_with("..") && !names.contains(name) {
            fs::remove_file(target.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |content: &str| File {
            content: content.into(),
            mode: 0o640,
            uid: None,
            gid: None,
        };
        files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), file(content)))
            .collect()
    }

    #[test]
    fn updates_are_seen_through_the_links_and_leave_nothing_behind() {
        let dir = std::env::temp_dir().join(format!("k3s-atomic-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        assert!(write(&dir, &payload(&[("a", "1"), ("d/b", "2")]), "t1").unwrap());
        assert!(!write(&dir, &payload(&[("a", "1"), ("d/b", "2")]), "t2").unwrap());
        assert_eq!(fs::read_to_string(dir.join("d/b")).unwrap(), "2");
        assert!(write(&dir, &payload(&[("a", "3")]), "t3").unwrap());
        assert_eq!(fs::read_to_string(dir.join("a")).unwrap(), "3");
        assert_eq!(fs::metadata(dir.join("a")).unwrap().mode() & 0o777, 0o640);
        let mut left: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["..data", "..t3", "a"]);
        assert!(write(&dir, &payload(&[("../x", "3")]), "t4").is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
