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
    let data = target.join(DATA);
    let current = fs::read_link(&data).ok();
    if let Some(current) = &current
        && same(&target.join(current), payload)?
    {
        return Ok(false);
    }
    let fresh = format!("..{stamp}");
    write_files(&target.join(&fresh), payload)?;
    let link = replace(target.join(DATA_TMP))?;
    symlink(&fresh, &link)?;
    fs::rename(&link, &data)?;
    link_names(target, payload)?;
    if let Some(old) = current {
        k3s_sys::fs::remove_all(&target.join(old))?;
    }
    Ok(true)
}

/// Paths come through the API, which forbids these; a hostile API object must not write elsewhere.
fn check(path: &str) -> io::Result<()> {
    let mut components = Path::new(path).components();
    let plain = components.all(|c| matches!(c, Component::Normal(_)));
    let is_valid = plain && !path.is_empty() && !path.starts_with("..");
    if is_valid {
        return Ok(());
    }
    let message = format!("invalid path \"{path}\" in a volume");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn replace(path: PathBuf) -> io::Result<PathBuf> {
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

fn same(dir: &Path, payload: &Payload) -> io::Result<bool> {
    let present = collect(dir)?;
    if !present.iter().eq(payload.keys()) {
        return Ok(false);
    }
    for (path, file) in payload {
        if !same_file(&dir.join(path), file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_file(path: &Path, file: &File) -> io::Result<bool> {
    let meta = fs::metadata(path)?;
    let same_user = file.uid.is_none_or(|uid| meta.uid() == uid);
    let same_group = file.gid.is_none_or(|gid| meta.gid() == gid);
    let same_mode = meta.mode() & 0o7777 == file.mode;
    if !same_user || !same_group || !same_mode {
        return Ok(false);
    }
    let content = fs::read(path)?;
    Ok(content == file.content)
}

/// The files below `root`, by relative path.
fn collect(root: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(dir) = pending.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.insert(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

fn write_files(dir: &Path, payload: &Payload) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    set_mode(dir, 0o755)?;
    for (path, file) in payload {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            make_parents(dir, parent)?;
        }
        fs::write(&path, &file.content)?;
        let has_owner = file.uid.is_some() || file.gid.is_some();
        if has_owner {
            std::os::unix::fs::chown(&path, file.uid, file.gid)?;
        }
        set_mode(&path, file.mode)?;
    }
    Ok(())
}

/// Makes the directories between `dir` and a file, traversable whatever the umask.
fn make_parents(dir: &Path, parent: &Path) -> io::Result<()> {
    fs::create_dir_all(parent)?;
    let between = parent.ancestors().take_while(|above| *above != dir);
    for above in between {
        set_mode(above, 0o755)?;
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions)
}

/// The first part of each path becomes a link through `..data`; links without a file are removed.
fn link_names(target: &Path, payload: &Payload) -> io::Result<()> {
    let names = payload.keys().filter_map(|path| path.split('/').next());
    let names: BTreeSet<&str> = names.collect();
    for name in &names {
        let link = target.join(name);
        let through = Path::new(DATA).join(name);
        let present = fs::read_link(&link).ok();
        if present.as_ref() != Some(&through) {
            let link = replace(link)?;
            symlink(&through, link)?;
        }
    }
    for entry in fs::read_dir(target)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else {
            continue;
        };
        let is_own = name.starts_with("..");
        if !is_own && !names.contains(name) {
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
