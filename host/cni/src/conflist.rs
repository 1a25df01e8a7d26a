//! Network configuration lists, and the document that each of their plugins is given.

use std::path::{Path, PathBuf};

use k3s_base::error::{Sentence, chain};
use serde_json::{Map, Value};

/// The newest supported version of the specification.
const NEWEST: Version = Version(1, 1, 0);
/// From here on `CHECK` exists.
const WITH_CHECK: Version = Version(0, 4, 0);
/// From here on `GC` and `STATUS` exist.
const WITH_GC: Version = Version(1, 1, 0);
/// A configuration is a few KiB.
const LIMIT_BYTES: u64 = 1 << 20;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConflistError {
    /// A file cannot be read.
    #[error("{}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not JSON.
    #[error("{}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file has a value that cannot be used.
    #[error("{}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        reason: Sentence,
    },
}

/// A version of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let version = Self(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    }
}

/// A configuration list: plugins that work on one another's results.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conflist {
    pub(crate) name: String,
    /// The version of the specification that the plugins are called with.
    pub(crate) version: String,
    pub(crate) plugins: Vec<Map<String, Value>>,
    disable_check: bool,
    disable_gc: bool,
    /// As it was written.
    source: Value,
}

impl Conflist {
    /// The first usable list, by name of file, of the first folder that has one (libcni and
    /// containerd use the first too). Files that cannot be used are skipped, with a warning.
    pub(crate) fn find(folders: &[PathBuf]) -> Option<Self> {
        folders.iter().find_map(|folder| {
            let files = match files(folder) {
                Ok(files) => files,
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), error = chain(&error), "network configurations cannot be listed");
                    return None;
                }
            };
            files.iter().find_map(|file| match Self::read(file) {
                Ok(list) => Some(list),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "not a usable network configuration");
                    None
                }
            })
        })
    }

    fn read(path: &Path) -> Result<Self, ConflistError> {
        let read = |source| ConflistError::Read {
            path: path.to_owned(),
            source,
        };
        let invalid = |reason: Sentence| ConflistError::Invalid {
            path: path.to_owned(),
            reason,
        };
        if std::fs::metadata(path).map_err(read)?.len() > LIMIT_BYTES {
            return Err(invalid(format!("larger than {LIMIT_BYTES} bytes").into()));
        }
        let document: Value =
            serde_json::from_slice(&std::fs::read(path).map_err(read)?).map_err(|source| {
                ConflistError::Malformed {
                    path: path.to_owned(),
                    source,
                }
            })?;
        Self::parse(document).map_err(invalid)
    }

    /// A list, or the older form of a single plugin.
    pub(crate) fn parse(document: Value) -> Result<Self, Sentence> {
        let source = document.clone();
        let Value::Object(mut document) = document else {
            return Err("not an object".into());
        };
        let version = version(&document)?;
        let name = text(&document, "name").to_owned();
        if !is_name(&name) {
            return Err(format!(
                "name {name:?}: expected letters, digits, dots, dashes and underscores"
            )
            .into());
        }
        let flag = |field: &str| matches!(document.get(field), Some(Value::Bool(true)));
        let (disable_check, disable_gc) = (flag("disableCheck"), flag("disableGC"));
        let plugins: Vec<Map<String, Value>> = match document.remove("plugins") {
            Some(Value::Array(list)) => list.into_iter().map(object).collect::<Result<_, _>>()?,
            Some(_) => return Err("plugins: expected a list".into()),
            None => vec![document],
        };
        if plugins.is_empty() {
            return Err("no plugins".into());
        }
        match plugins
            .iter()
            .map(|p| text(p, "type"))
            .find(|kind| !is_name(kind))
        {
            Some(kind) => Err(format!(
                "plugin type {kind:?}: expected the name of a program, without a path"
            )
            .into()),
            None => Ok(Self {
                name,
                version,
                plugins,
                disable_check,
                disable_gc,
                source,
            }),
        }
    }

    /// The whole list as it was written.
    pub(crate) fn source(&self) -> &Value {
        &self.source
    }

    /// Whether plugins may be asked to check.
    pub(crate) fn can_check(&self) -> bool {
        !self.disable_check && self.at_least(WITH_CHECK)
    }

    /// Whether plugins may be asked to collect garbage.
    pub(crate) fn can_collect(&self) -> bool {
        !self.disable_gc && self.at_least(WITH_GC)
    }

    fn at_least(&self, version: Version) -> bool {
        Version::parse(&self.version).is_some_and(|own| own >= version)
    }

    /// What a plugin reads from its standard input: its own part with name, version, the result so
    /// far, and those capabilities that it says it has.
    pub(crate) fn document(
        &self,
        plugin: &Map<String, Value>,
        capabilities: &Map<String, Value>,
        previous: Option<&Value>,
    ) -> Value {
        let mut document = plugin.clone();
        document.insert("name".into(), self.name.as_str().into());
        document.insert("cniVersion".into(), self.version.as_str().into());
        if let Some(previous) = previous {
            document.insert("prevResult".into(), previous.clone());
        }
        let has = |name: &str| {
            plugin.get("capabilities").and_then(|c| c.get(name)) == Some(&Value::Bool(true))
        };
        let given: Map<String, Value> = capabilities
            .iter()
            .filter(|(name, _)| has(name))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        document.remove("capabilities");
        if !given.is_empty() {
            document.insert("runtimeConfig".into(), given.into());
        }
        document.into()
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let is_ours = |path: &PathBuf| {
        path.extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| ["conf", "conflist", "json"].contains(&e))
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(is_ours)
        .collect();
    files.sort();
    Ok(files)
}

/// The version to use: the newest common one of `cniVersions`, else `cniVersion`.
fn version(document: &Map<String, Value>) -> Result<String, Sentence> {
    let list = document.get("cniVersions").and_then(Value::as_array);
    let known = list
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter_map(|t| Some((Version::parse(t)?, t)));
    if let Some((_, text)) = known
        .filter(|(version, _)| *version <= NEWEST)
        .max_by_key(|(version, _)| *version)
    {
        return Ok(text.to_owned());
    }
    match text(document, "cniVersion") {
        // The specification's meaning of absence is a version too old to chain plugins.
        "" => Err("no cniVersion".into()),
        text if Version::parse(text).is_some_and(|v| v >= Version(0, 3, 0) && v <= NEWEST) => {
            Ok(text.to_owned())
        }
        text => Err(format!("cniVersion {text:?}: expected one from 0.3.0 to 1.1.0").into()),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, Sentence> {
    match value {
        Value::Object(map) => Ok(map),
        _ => Err("plugins: expected objects".into()),
    }
}

fn text<'a>(map: &'a Map<String, Value>, field: &str) -> &'a str {
    map.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The specification's rule for names, which also keeps them out of other folders.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(document: Value) -> Result<Conflist, Sentence> {
        Conflist::parse(document)
    }

    #[test]
    fn documents_carry_the_chain_and_what_the_plugin_can() {
        let list = parse(json!({"cniVersion": "1.0.0", "name": "net", "plugins": [
            {"type": "bridge", "bridge": "br0"}, {"type": "portmap", "capabilities": {"portMappings": true}}]}))
        .unwrap();
        let capabilities =
            json!({"portMappings": [{"hostPort": 80}], "bandwidth": {"ingressRate": 1}});
        let capabilities = capabilities.as_object().unwrap();
        let previous = json!({"ips": []});
        assert_eq!(
            list.document(&list.plugins[0], capabilities, None),
            json!({"type": "bridge", "bridge": "br0", "name": "net", "cniVersion": "1.0.0"})
        );
        assert_eq!(
            list.document(&list.plugins[1], capabilities, Some(&previous)),
            json!({"type": "portmap", "name": "net", "cniVersion": "1.0.0", "prevResult": previous,
                "runtimeConfig": {"portMappings": [{"hostPort": 80}]}})
        );
        assert!(list.can_check() && !list.can_collect());
    }

    #[test]
    fn a_single_plugin_is_a_list_of_one() {
        let list = parse(json!({"cniVersion": "0.3.1", "name": "n", "type": "ptp"})).unwrap();
        assert_eq!((list.plugins.len(), list.can_check()), (1, false));
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        let with = |versions: Value| {
            let document =
                json!({"cniVersion": "0.4.0", "cniVersions": versions, "name": "n", "type": "ptp"});
            parse(document).unwrap().version
        };
        assert_eq!(with(json!(["1.0.0", "1.1.0", "2.0.0"])), "1.1.0");
        assert_eq!(with(json!(["2.0.0"])), "0.4.0");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (document, part) in [
            (json!([]), "not an object"),
            (json!({"name": "n", "type": "t"}), "no cniVersion"),
            (
                json!({"cniVersion": "0.2.0", "name": "n", "type": "t"}),
                "0.3.0 to 1.1.0",
            ),
            (json!({"cniVersion": "1.0.0", "name": "n"}), "plugin type"),
            (
                json!({"cniVersion": "1.0.0", "name": "n", "plugins": []}),
                "no plugins",
            ),
            (
                json!({"cniVersion": "1.0.0", "name": "a/b", "type": "t"}),
                "name",
            ),
            (
                json!({"cniVersion": "1.0.0", "name": "n", "type": "../sh"}),
                "without a path",
            ),
        ] {
            let error = parse(document).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn the_first_usable_file_of_the_first_folder_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir_all(&second).unwrap();
        let folders = [first.clone(), second.clone()];
        assert_eq!(Conflist::find(&folders), None);
        let write = |folder: &Path, file: &str, name: &str| {
            let text = json!({"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "ptp"}]})
                .to_string();
            std::fs::write(folder.join(file), text).unwrap();
        };
        write(&second, "20-late.conflist", "late");
        std::fs::write(second.join("10-broken.conflist"), "{").unwrap();
        std::fs::write(second.join("05-note.txt"), "{}").unwrap();
        assert_eq!(Conflist::find(&folders).unwrap().name, "late");
        std::fs::create_dir_all(&first).unwrap();
        write(&first, "99-first.conf", "first");
        assert_eq!(Conflist::find(&folders).unwrap().name, "first");
    }
}
