//! Makes foreign container runtimes call this executable: a configuration in their folder, and links
//! in their folders of plugins.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::conflist::Conflist;

/// The plugin's name.
const PLUGIN: &str = "k3s-cni";
/// Name of the network, as in K3s' own configuration.
const NETWORK: &str = "cbr0";
/// The file's name; the first in order counts.
const FILE: &str = "10-k3s.conflist";

/// The folders of foreign runtimes.
#[derive(Clone, Debug)]
pub struct InstallPaths {
    /// `/etc/cni/net.d`.
    pub conf_dir: PathBuf,
    /// Folders of plugins. Those that do not exist are made only for the first.
    pub bin_dirs: Vec<PathBuf>,
}

impl Default for InstallPaths {
    /// containerd's and CRI-O's own defaults, and those of Debian's packages.
    fn default() -> Self {
        Self {
            conf_dir: "/etc/cni/net.d".into(),
            bin_dirs: vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()],
        }
    }
}

/// Why it cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A file or link cannot be written.
    #[error("{path}")]
    Write {
        /// The file or link.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another configuration would win.
    #[error(
        "{path} has another pod network, {name:?}; remove its file, or use --flannel-backend=none"
    )]
    Other {
        /// The folder.
        path: PathBuf,
        /// Name of the network.
        name: String,
    },
}

/// Writes configuration and links; `socket` is where calls are served, `executable` this program.
///
/// # Errors
/// When something cannot be written, or another network is configured.
pub fn install(paths: &InstallPaths, socket: &Path, executable: &Path) -> Result<(), InstallError> {
    for (at, folder) in paths.bin_dirs.iter().enumerate() {
        if at == 0 || folder.is_dir() {
            let link_path = folder.join(PLUGIN);
            link(folder, &link_path, executable).map_err(|source| InstallError::Write {
                path: link_path,
                source,
            })?;
        }
    }
    let capabilities = json!({"portMappings": true, "io.kubernetes.cri.pod-annotations": true});
    let list = json!({"cniVersion": "1.0.0", "name": NETWORK,
        "plugins": [{"type": PLUGIN, "socket": socket, "capabilities": capabilities}]});
    let path = paths.conf_dir.join(FILE);
    let text = format!("{list:#}\n");
    if !std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
        let write = || {
            std::fs::create_dir_all(&paths.conf_dir)?;
            k3s_sys::fs::write_replace(&path, text.as_bytes(), 0o600)
        };
        write().map_err(|source| InstallError::Write {
            path: path.clone(),
            source,
        })?;
    }
    match Conflist::find(std::slice::from_ref(&paths.conf_dir)) {
        Some(taken) if taken.name != NETWORK => Err(InstallError::Other {
            path: paths.conf_dir.clone(),
            name: taken.name,
        }),
        _ => Ok(()),
    }
}

/// Removes what [`install`] wrote and nothing else.
///
/// # Errors
/// When something is there and cannot be removed.
pub fn uninstall(paths: &InstallPaths) -> Result<(), InstallError> {
    let links = paths
        .bin_dirs
        .iter()
        .map(|folder| folder.join(PLUGIN))
        .filter(|path| path.is_symlink());
    for path in links.chain([paths.conf_dir.join(FILE)]) {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(InstallError::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn link(folder: &Path, path: &Path, executable: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    match std::fs::read_link(path) {
        Ok(target) if target == executable => return Ok(()),
        // The executable moved.
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(_) => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "a file of that name is in the way",
            ));
        }
    }
    std::os::unix::fs::symlink(executable, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let paths = InstallPaths {
            conf_dir: at("net.d"),
            bin_dirs: vec![at("opt"), at("lib")],
        };
        let (socket, program) = (Path::new("/run/k3s/cni.sock"), Path::new("/usr/bin/k3s"));
        install(&paths, socket, program).unwrap();
        install(&paths, socket, Path::new("/usr/local/bin/k3s")).unwrap();
        assert_eq!(
            std::fs::read_link(at("opt/k3s-cni")).unwrap(),
            Path::new("/usr/local/bin/k3s")
        );
        assert!(!at("lib").exists());
        assert_eq!(Conflist::find(&[at("net.d")]).unwrap().name, NETWORK);

        let other = json!({"cniVersion": "1.0.0", "name": "other", "type": "ptp"}).to_string();
        std::fs::write(at("net.d/00-other.conf"), other).unwrap();
        assert!(
            install(&paths, socket, program)
                .unwrap_err()
                .to_string()
                .contains("\"other\"")
        );
        uninstall(&paths).unwrap();
        uninstall(&paths).unwrap();
        assert!(!at("opt/k3s-cni").is_symlink() && at("net.d/00-other.conf").exists());
    }
}
