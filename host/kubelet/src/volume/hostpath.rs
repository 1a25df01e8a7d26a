//! hostPath volumes: the type is checked, and missing things are made where the type says so
//! (`pkg/volume/hostpath/host_path.go`).

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// Checks `path` against the hostPath `kind`, making it for the `OrCreate` kinds.
pub(crate) fn prepare(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    if path
        .components()
        .any(|c| matches!(c, std::path::Component::ParentDir))
        || !path.is_absolute()
    {
        return Err(format!(
            "hostPath {shown} must be absolute and without \"..\""
        ));
    }
    let failed = |e: std::io::Error| format!("hostPath {shown}: {e}");
    match kind {
        "" => return Ok(()),
        "DirectoryOrCreate" if !path.exists() => {
            fs::create_dir_all(path).map_err(failed)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        "FileOrCreate" if !path.exists() => {
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .map_err(failed)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        }
        _ => {}
    }
    let found = fs::metadata(path).map(|m| m.file_type());
    let (right, what) = match (kind, &found) {
        ("Directory" | "DirectoryOrCreate", found) => (
            found.as_ref().is_ok_and(fs::FileType::is_dir),
            "a directory",
        ),
        ("File" | "FileOrCreate", found) => {
            (found.as_ref().is_ok_and(fs::FileType::is_file), "a file")
        }
        ("Socket", found) => (
            found.as_ref().is_ok_and(FileTypeExt::is_socket),
            "a socket file",
        ),
        ("CharDevice", found) => (
            found.as_ref().is_ok_and(FileTypeExt::is_char_device),
            "a character device",
        ),
        ("BlockDevice", found) => (
            found.as_ref().is_ok_and(FileTypeExt::is_block_device),
            "a block device",
        ),
        _ => return Err(format!("hostPath type {kind} is not supported")),
    };
    if right {
        Ok(())
    } else {
        Err(format!("hostPath type check failed: {shown} is not {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked() {
        assert!(prepare(Path::new("/dev/null"), "CharDevice").is_ok());
        assert_eq!(
            prepare(Path::new("/"), "File").unwrap_err(),
            "hostPath type check failed: / is not a file"
        );
        assert!(prepare(Path::new("/tmp/../etc"), "").is_err());
    }
}
