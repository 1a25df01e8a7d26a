//! A storage provisioner to start from: a volume is a directory of the node that its first pod runs on,
//! named after volume and claim.
//!
//! The host watches claims, writes PersistentVolumes and decides when to delete one. It also makes and
//! removes the directories, only below the granted folders (`k3s/wit/volumes/volumes.wit`). The plugin
//! decides where. It keeps no state: an answer follows from the request alone.

use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::storage::{
    Affinity, Class, Error, Existing, Host, Kind, Node, Provisioner, Request, SELECTED_NODE, Volume,
};
use k3s_plugin_sdk::{Sentence, export_storage, info};

/// Pods of any user may use their volume.
const MODE: u32 = 0o777;

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    /// The granted folders, set by the server in the form of K3s' `config.json`.
    #[serde(default, rename = "nodePathMap")]
    nodes: Vec<NodePaths>,
}

#[derive(Debug, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct NodePaths {
    /// A node's name, or [`OTHERS`].
    node: String,
    paths: Vec<String>,
}

/// Stands for all nodes that are not listed.
const OTHERS: &str = "DEFAULT_PATH_FOR_NON_LISTED_NODES";

struct MyStorage {
    config: Config,
}

impl MyStorage {
    /// The folder for a node's volumes.
    fn folder(&self, node: &str) -> Result<&str, Error> {
        let of = |name: &str| self.config.nodes.iter().find(|entry| entry.node == name);
        let paths = of(node).or_else(|| of(OTHERS)).map(|entry| &entry.paths);
        let folder = paths
            .and_then(|paths| paths.first())
            .map(|path| path.trim_end_matches('/'));
        folder.ok_or_else(|| Error::WrongNode(format!("node {node} has no folder for volumes")))
    }

    /// Whether a path is a volume of this plugin. It comes from an object that others may write.
    fn holds(&self, path: &str) -> bool {
        let folders = self.config.nodes.iter().flat_map(|entry| &entry.paths);
        let below = |folder: &String| {
            path.strip_prefix(folder.trim_end_matches('/'))?
                .strip_prefix('/')
        };
        folders
            .filter_map(below)
            .any(|name| !name.is_empty() && !name.contains('/'))
    }
}

impl Provisioner for MyStorage {
    type Config = Config;

    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(config: Config) -> Result<Self, Sentence> {
        let relative = config
            .nodes
            .iter()
            .flat_map(|entry| &entry.paths)
            .find(|path| !path.starts_with('/'));
        match relative {
            Some(path) => Err(format!("nodePathMap: {path:?} is not an absolute path").into()),
            None => Ok(Self { config }),
        }
    }

    fn provision(&mut self, host: &dyn Host, request: &Request) -> Result<Volume, Error> {
        let claim = &request.claim;
        let refused = |why: &str| Err(Error::Invalid(why.to_owned()));
        if claim.block {
            return refused("a directory cannot be a raw device");
        }
        if claim.has_selector {
            return refused("a claim cannot select a volume");
        }
        if claim
            .access_modes
            .iter()
            .any(|mode| !matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod"))
        {
            return refused("a directory of a node can be ReadWriteOnce or ReadWriteOncePod only");
        }
        let Some(node) = &request.node else {
            return refused(
                "the class must wait for the first pod (volumeBindingMode: WaitForFirstConsumer)",
            );
        };
        let folder = self.folder(&node.name)?;
        let path = format!(
            "{folder}/{}_{}_{}",
            request.volume_name, claim.namespace, claim.name
        );
        // After a lost answer the host asks again, and the directory already exists.
        if host.make(&path, MODE, None)? {
            info!("made {path}");
        }
        let hostname = node
            .labels
            .iter()
            .find(|(key, _)| key == "kubernetes.io/hostname");
        let hostname = hostname.map_or(&node.name, |(_, value)| value).clone();
        Ok(Volume {
            kind: Kind::Local,
            path,
            // Pods run where the data is.
            affinity: Some(Affinity {
                key: "kubernetes.io/hostname".to_owned(),
                values: vec![hostname],
            }),
            // There is no quota: a volume may take what its file system has.
            capacity_bytes: claim.capacity_bytes,
            annotations: vec![(SELECTED_NODE.to_owned(), node.name.clone())],
        })
    }

    fn delete(&mut self, host: &dyn Host, volume: &Existing) -> Result<(), Error> {
        if !self.holds(&volume.path) {
            return Err(Error::Invalid(format!(
                "{} is not a volume of this plugin; nothing was deleted",
                volume.path
            )));
        }
        Ok(host.remove(&volume.path)?)
    }

    fn capacity(&mut self, host: &dyn Host, _class: &Class, node: &Node) -> Result<u64, Error> {
        Ok(host.usage(self.folder(&node.name)?)?.available_bytes)
    }
}

export_storage!(MyStorage);
