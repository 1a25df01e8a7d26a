//! hostPath volumes: the type is checked, and missing things are made where the type says so
//! (`pkg/volume/hostpath/host_path.go`).

use std::fs::{self, FileType};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path};

use super::error::HostPathError;

/// Checks `path` against the hostPath `kind`, making it for the `OrCreate` kinds.
pub(crate) fn prepare(path: &Path, kind: &str) -> Result<(), HostPathError> {
    let mut components = path.components();
    let goes_up = components.any(|c| matches!(c, Component::ParentDir));
    if goes_up || !path.is_absolute() {
        return Err(HostPathError::Escapes(path.to_owned()));
    }
    if kind.is_empty() {
        return Ok(());
    }
    if !path.exists() {
        make(path, kind).map_err(|source| HostPathError::Make {
            path: path.to_owned(),
            source,
        })?;
    }
    let (is_right, expected): (fn(&FileType) -> bool, _) = match kind {
        "Directory" | "DirectoryOrCreate" => (FileType::is_dir, "a directory"),
        "File" | "FileOrCreate" => (FileType::is_file, "a file"),
        "Socket" => (FileType::is_socket, "a socket file"),
        "CharDevice" => (FileType::is_char_device, "a character device"),
        "BlockDevice" => (FileType::is_block_device, "a block device"),
        _ => return Err(HostPathError::Unsupported(kind.to_owned())),
    };
    if let Ok(metadata) = fs::metadata(path)
        && is_right(&metadata.file_type())
    {
        return Ok(());
    }
    Err(HostPathError::WrongType {
        path: path.to_owned(),
        expected,
    })
}

/// Makes what the `OrCreate` kinds ask for.
fn make(path: &Path, kind: &str) -> std::io::Result<()> {
    match kind {
        "DirectoryOrCreate" => {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        }
        "FileOrCreate" => {
            // Appending tolerates that something else makes the file meanwhile.
            fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o644))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked() {
        assert!(prepare(Path::new("/dev/null"), "CharDevice").is_ok());
        assert_eq!(
            prepare(Path::new("/"), "File").unwrap_err().to_string(),
            "hostPath type check failed: / is not a file"
        );
        assert!(prepare(Path::new("/tmp/../etc"), "").is_err());
    }
}
