//! The server's own manifests: written to the folder at each start, so that users can read, skip and
//! disable them like theirs.

use std::path::Path;

use k3s_base::error::chain;
use serde_json::Value;
use tracing::{info, warn};

use crate::scan;

/// For the owner alone: manifests can contain secrets.
const FILE_MODE: u32 = 0o600;

/// One component's manifests.
#[derive(Clone, Debug)]
pub struct Packaged {
    name: String,
    files: Vec<(String, String)>,
}

impl Packaged {
    /// A component by its name in `--disable`: `coredns`, `local-storage`, `traefik`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            files: Vec::new(),
        }
    }

    /// Adds a file of these objects: `traefik.yaml`, or `traefik/crds.yaml` for one of several.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, objects: &[Value]) -> Self {
        let documents = objects
            .iter()
            .filter_map(|object| match serde_saphyr::to_string(object) {
                Ok(text) => Some(format!("---\n{text}")),
                Err(error) => {
                    warn!(
                        error = chain(&error),
                        component = self.name,
                        "an object cannot be written as YAML"
                    );
                    None
                }
            });
        let text = documents.collect();
        self.files.push((path.into(), text));
        self
    }
}

/// Writes the files that are neither disabled nor skipped and differ from what is there. What users
/// changed in them is overwritten, as on K3s.
pub(crate) fn write(dir: &Path, packaged: &[Packaged], disabled: &[String]) {
    for component in packaged
        .iter()
        .filter(|component| !disabled.contains(&component.name))
    {
        for (path, text) in &component.files {
            let to = dir.join(path);
            if scan::is_disabled(Path::new(path), disabled) || scan::is_skipped(dir, &to) {
                continue;
            }
            if std::fs::read_to_string(&to).is_ok_and(|now| now == *text) {
                continue;
            }
            match put(&to, text) {
                Ok(()) => info!(path = %to.display(), "wrote packaged manifest"),
                Err(error) => {
                    warn!(error = chain(&error), path = %to.display(), "cannot write a packaged manifest")
                }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packaged_files_obey_disable_and_skip() {
        let dir = tempfile::tempdir().unwrap();
        let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let packaged = [
            Packaged::new("a").file("a.yaml", &[map("one"), map("two")]),
            Packaged::new("b").file("b.yaml", &[map("x")]),
            Packaged::new("c")
                .file("c/one.yaml", &[map("x")])
                .file("c/two.yaml", &[map("x")]),
        ];
        std::fs::create_dir(dir.path().join("c")).unwrap();
        std::fs::write(dir.path().join("c/two.yaml.skip"), "").unwrap();
        std::fs::write(dir.path().join("a.yaml"), "changed by a user").unwrap();
        write(dir.path(), &packaged, &["b".to_owned()]);
        let text = std::fs::read_to_string(dir.path().join("a.yaml")).unwrap();
        assert_eq!(
            crate::parse::objects(&text, false).unwrap(),
            [map("one"), map("two")]
        );
        assert!(!dir.path().join("b.yaml").exists());
        assert!(dir.path().join("c/one.yaml").exists() && !dir.path().join("c/two.yaml").exists());
    }
}
