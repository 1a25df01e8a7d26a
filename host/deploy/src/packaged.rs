//! Manifests that the server itself brings: written to the folder at each start, so that users see,
//! skip and disable them like their own.

use std::path::Path;

use tracing::{info, warn};

use crate::scan;

/// Owner alone: manifests can hold secrets.
const FILE_MODE: u32 = 0o600;

/// One component's manifests.
#[derive(Clone, Debug)]
pub struct Packaged {
    name: String,
    files: Vec<(String, String)>,
}

impl Packaged {
    /// A component by the name that `--disable` knows it by: `coredns`, `local-storage`, `traefik`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), files: Vec::new() }
    }

    /// Adds a file: `traefik.yaml`, or `traefik/crds.yaml` for one of several.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }
}

/// Writes the files that are neither disabled nor skipped and differ from what is there. What users
/// changed in them is overwritten, as on K3s.
pub(crate) fn write(dir: &Path, packaged: &[Packaged], disabled: &[String], variables: &[(String, String)]) {
    for component in packaged.iter().filter(|component| !disabled.contains(&component.name)) {
        for (path, text) in &component.files {
            let to = dir.join(path);
            if scan::is_disabled(Path::new(path), disabled) || scan::is_skipped(dir, &to) {
                continue;
            }
            let text = fill_in(text, variables);
            if std::fs::read_to_string(&to).is_ok_and(|now| now == text) {
                continue;
            }
            match put(&to, &text) {
                Ok(()) => info!(path = %to.display(), "wrote packaged manifest"),
                Err(error) => warn!(%error, path = %to.display(), "cannot write a packaged manifest"),
            }
        }
    }
}

fn put(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    k3s_sys::fs::write_atomic(path, text.as_bytes(), FILE_MODE).map_err(std::io::Error::other)
}

/// Replaces `%{NAME}%`.
fn fill_in(text: &str, variables: &[(String, String)]) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("%{{{name}}}%"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packaged_files_obey_disable_and_skip() {
        let dir = tempfile::tempdir().unwrap();
        let packaged = [
            Packaged::new("a").file("a.yaml", "dns: %{CLUSTER_DNS}%"),
            Packaged::new("b").file("b.yaml", "x"),
            Packaged::new("c").file("c/one.yaml", "x").file("c/two.yaml", "x"),
        ];
        std::fs::create_dir(dir.path().join("c")).unwrap();
        std::fs::write(dir.path().join("c/two.yaml.skip"), "").unwrap();
        std::fs::write(dir.path().join("a.yaml"), "changed by a user").unwrap();
        let variables = [("CLUSTER_DNS".to_owned(), "10.43.0.10".to_owned())];
        write(dir.path(), &packaged, &["b".to_owned()], &variables);
        assert_eq!(std::fs::read_to_string(dir.path().join("a.yaml")).unwrap(), "dns: 10.43.0.10");
        assert!(!dir.path().join("b.yaml").exists());
        assert!(dir.path().join("c/one.yaml").exists() && !dir.path().join("c/two.yaml").exists());
    }
}
