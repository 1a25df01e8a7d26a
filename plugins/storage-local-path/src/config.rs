//! `config.json` of local-path-provisioner: which paths hold volumes, by node.

use k3s_plugin_sdk::Sentence;

use std::collections::BTreeMap;

use serde::Deserialize;

/// The entry for nodes without one of their own.
const OTHERS: &str = "DEFAULT_PATH_FOR_NON_LISTED_NODES";
/// K3s' folder, for a plugin without a configuration.
const DEFAULT_PATH: &str = "/var/lib/rancher/k3s/storage";
const BOTH: &str = "use either nodePathMap or sharedFileSystemPath, not both";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    node: String,
    paths: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Layout {
    #[serde(default)]
    node_path_map: Vec<Entry>,
    #[serde(default)]
    shared_file_system_path: String,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    node_path_map: Vec<Entry>,
    #[serde(default)]
    shared_file_system_path: String,
    #[serde(default)]
    storage_class_configs: BTreeMap<String, Layout>,
    /// A limit of upstream's helper pods, which do not exist here.
    #[serde(default, rename = "cmdTimeoutSeconds")]
    _command_timeout_seconds: Option<i64>,
}

/// What a plugin without a configuration gets: K3s' default.
impl Default for File {
    fn default() -> Self {
        let entry = Entry {
            node: OTHERS.to_owned(),
            paths: vec![DEFAULT_PATH.to_owned()],
        };
        Self {
            node_path_map: vec![entry],
            shared_file_system_path: String::new(),
            storage_class_configs: BTreeMap::new(),
            _command_timeout_seconds: None,
        }
    }
}

/// Where volumes may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Paths {
    /// On each node separately. Under [`OTHERS`] the paths of nodes that are not listed.
    Nodes(BTreeMap<String, Vec<String>>),
    /// One file system that all nodes see.
    Shared(String),
}

impl Paths {
    /// The paths of a node; none if the node has no volumes.
    pub(crate) fn of_node(&self, node: &str) -> &[String] {
        match self {
            Self::Shared(path) => std::slice::from_ref(path),
            Self::Nodes(nodes) => nodes
                .get(node)
                .or_else(|| nodes.get(OTHERS))
                .map(Vec::as_slice)
                .unwrap_or_default(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        let (shared, nodes) = match self {
            Self::Shared(path) => (Some(path), None),
            Self::Nodes(nodes) => (None, Some(nodes.values().flatten())),
        };
        shared.into_iter().chain(nodes.into_iter().flatten())
    }
}

/// The operator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    common: Option<Paths>,
    classes: BTreeMap<String, Paths>,
}

impl Config {
    /// Checks a file. An error is one sentence for the operator.
    pub(crate) fn new(file: File) -> Result<Self, Sentence> {
        let common = paths(Layout {
            node_path_map: file.node_path_map,
            shared_file_system_path: file.shared_file_system_path,
        })?;
        let mut classes = BTreeMap::new();
        for (name, layout) in file.storage_class_configs {
            let no_paths = || format!("storageClassConfigs.{name} names no paths");
            let paths = paths(layout)?.ok_or_else(no_paths)?;
            classes.insert(name, paths);
        }
        if common.is_none() && classes.is_empty() {
            return Err("nodePathMap or sharedFileSystemPath is needed".into());
        }
        Ok(Self { common, classes })
    }

    /// The paths for a class.
    pub(crate) fn of_class(&self, class: &str) -> Result<&Paths, Sentence> {
        let paths = self.classes.get(class).or(self.common.as_ref());
        let none = || format!("no paths are configured for storage class {class:?}");
        Ok(paths.ok_or_else(none)?)
    }

    /// Whether a directory is below one of the paths that hold volumes.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let below = |root: &String| {
            path.strip_prefix(root.trim_end_matches('/'))
                .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
        };
        self.common
            .iter()
            .chain(self.classes.values())
            .flat_map(Paths::all)
            .any(below)
    }
}

fn paths(layout: Layout) -> Result<Option<Paths>, Sentence> {
    let shared = layout.shared_file_system_path;
    if !shared.is_empty() {
        if !layout.node_path_map.is_empty() {
            return Err(BOTH.into());
        }
        return Ok(Some(Paths::Shared(usable(shared)?)));
    }
    if layout.node_path_map.is_empty() {
        return Ok(None);
    }
    let mut nodes = BTreeMap::new();
    for Entry { node, paths } in layout.node_path_map {
        let mut known: Vec<String> = Vec::new();
        for path in paths {
            let path = usable(path)?;
            if known.contains(&path) {
                return Err(format!("duplicate path {path} for node {node}").into());
            }
            known.push(path);
        }
        if nodes.insert(node.clone(), known).is_some() {
            return Err(format!("duplicate node {node}").into());
        }
    }
    Ok(Some(Paths::Nodes(nodes)))
}

/// Normalises a path that volumes can be below.
fn usable(path: String) -> Result<String, Sentence> {
    if !path.starts_with('/') {
        return Err(format!("path must start with / for path {path:?}").into());
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return Err("cannot use root ('/') as path".into());
    }
    if trimmed
        .split('/')
        .skip(1)
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err(format!("path {path:?} must be plain, without \"..\"").into());
    }
    Ok(trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use k3s_plugin_sdk::Settings as _;

    use super::*;

    fn parse(text: &[u8]) -> Result<Config, Sentence> {
        Config::new(File::read(text)?)
    }

    #[test]
    fn nodes_have_their_paths_or_the_default_ones() {
        let config = parse(
            br#"{"nodePathMap":[{"node":"DEFAULT_PATH_FOR_NON_LISTED_NODES","paths":["/opt/a"]},
            {"node":"big","paths":["/opt/a","/data1/"]},{"node":"none","paths":[]}]}"#,
        )
        .unwrap();
        let paths = config.of_class("local-path").unwrap();
        assert_eq!(paths.of_node("other"), ["/opt/a"]);
        assert_eq!(paths.of_node("big"), ["/opt/a", "/data1"]);
        assert!(paths.of_node("none").is_empty());
        assert!(
            config.holds("/data1/pvc-1") && !config.holds("/data1") && !config.holds("/data12/x")
        );
    }

    #[test]
    fn classes_may_differ_and_file_systems_be_shared() {
        let config = parse(br#"{"sharedFileSystemPath":"/nfs","storageClassConfigs":{"fast":{"nodePathMap":[{"node":"a","paths":["/ssd"]}]}}}"#).unwrap();
        assert_eq!(
            config.of_class("any").unwrap(),
            &Paths::Shared("/nfs".into())
        );
        assert_eq!(config.of_class("fast").unwrap().of_node("a"), ["/ssd"]);
        assert_eq!(
            parse(b"").unwrap().of_class("x").unwrap().of_node("n"),
            [DEFAULT_PATH]
        );
    }

    #[test]
    fn bad_settings_say_why() {
        for (text, part) in [
            ("{}", "is needed"),
            (r#"{"nodePathMap":[{"node":"a","paths":["/"]}]}"#, "root"),
            (
                r#"{"nodePathMap":[{"node":"a","paths":["x"]}]}"#,
                "start with /",
            ),
            (
                r#"{"nodePathMap":[{"node":"a","paths":["/a/../b"]}]}"#,
                "plain",
            ),
            (
                r#"{"nodePathMap":[{"node":"a","paths":["/a","/a/"]}]}"#,
                "duplicate path",
            ),
            (
                r#"{"nodePathMap":[{"node":"a","paths":["/a"]},{"node":"a","paths":[]}]}"#,
                "duplicate node",
            ),
            (
                r#"{"nodePathMap":[{"node":"a","paths":["/a"]}],"sharedFileSystemPath":"/b"}"#,
                "not both",
            ),
            (r#"{"nodePathmap":[]}"#, "nodePathmap"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
