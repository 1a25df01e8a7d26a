//! A storage provisioner to start from: a volume is a directory of the node that its first pod runs on,
//! named after volume and claim.
//!
//! The host watches claims, writes PersistentVolumes and decides when one is to be deleted; it makes and
//! removes directories too, and only below the folders that it granted (`k3s/wit/volumes/volumes.wit`).
//! The plugin decides where. It keeps nothing: an answer follows from the question alone.

use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::storage::{
    Affinity, Class, Error, Existing, Kind, MADE_ON, Node, Provisioner, Request, Volume, directories,
};
use k3s_plugin_sdk::{export_storage, info};

/// Every pod may use its volume, whatever user it runs as.
const MODE: u32 = 0o777;

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    /// From the server, in the form of K3s' `config.json`: the granted folders.
    #[serde(default, rename = "nodePathMap")]
    nodes: Vec<NodePaths>,
}

#[derive(Debug, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct NodePaths {
    /// A node's name, or this one for all that are not named.
    node: String,
    paths: Vec<String>,
}

const OTHERS: &str = "DEFAULT_PATH_FOR_NON_LISTED_NODES";

struct MyStorage {
    config: Config,
}

impl MyStorage {
    /// The folder of a node's volumes.
    fn folder(&self, node: &str) -> Result<&str, Error> {
        let of = |name: &str| self.config.nodes.iter().find(|entry| entry.node == name);
        let paths = of(node).or_else(|| of(OTHERS)).map(|entry| &entry.paths);
        let folder = paths.and_then(|paths| paths.first()).map(|path| path.trim_end_matches('/'));
        folder.ok_or_else(|| Error::WrongNode(format!("node {node} has no folder for volumes")))
    }

    /// Whether a path is one of ours. It comes from an object that others may write.
    fn holds(&self, path: &str) -> bool {
        let folders = self.config.nodes.iter().flat_map(|entry| &entry.paths);
        let below = |folder: &String| path.strip_prefix(folder.trim_end_matches('/'))?.strip_prefix('/');
        folders.filter_map(below).any(|name| !name.is_empty() && !name.contains('/'))
    }
}

impl Provisioner for MyStorage {
    type Config = Config;

    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(config: Config) -> Result<Self, String> {
        let relative = config.nodes.iter().flat_map(|entry| &entry.paths).find(|path| !path.starts_with('/'));
        match relative {
            Some(path) => Err(format!("nodePathMap: {path:?} is not an absolute path")),
            None => Ok(Self { config }),
        }
    }

    fn provision(&mut self, request: &Request) -> Result<Volume, Error> {
        let claim = &request.claim;
        let refused = |why: &str| Err(Error::Invalid(why.to_owned()));
        if claim.block {
            return refused("a directory cannot be a raw device");
        }
        if claim.has_selector {
            return refused("volumes are made for a claim, not selected");
        }
        if claim.access_modes.iter().any(|mode| !matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod")) {
            return refused("a directory of a node can be ReadWriteOnce or ReadWriteOncePod only");
        }
        let Some(node) = &request.node else {
            return refused("the class must wait for the first pod (volumeBindingMode: WaitForFirstConsumer)");
        };
        let folder = self.folder(&node.name)?;
        let path = format!("{folder}/{}_{}_{}", request.volume_name, claim.namespace, claim.name);
        // Asked again after a lost answer, it finds the directory as it left it.
        if directories::make(&path, MODE, None)? {
            info!("made {path}");
        }
        let hostname = node.labels.iter().find(|(key, _)| key == "kubernetes.io/hostname");
        let hostname = hostname.map_or(&node.name, |(_, value)| value).clone();
        Ok(Volume {
            kind: Kind::Local,
            path,
            // Its pods go where the data is.
            affinity: Some(Affinity { key: "kubernetes.io/hostname".to_owned(), values: vec![hostname] }),
            // There is no quota: a volume may take what its file system has.
            capacity_bytes: claim.capacity_bytes,
            annotations: vec![(MADE_ON.to_owned(), node.name.clone())],
        })
    }

    fn delete(&mut self, volume: &Existing) -> Result<(), Error> {
        if !self.holds(&volume.path) {
            return Err(Error::Invalid(format!("{} is not a volume of ours; nothing was deleted", volume.path)));
        }
        Ok(directories::remove(&volume.path)?)
    }

    fn capacity(&mut self, _class: &Class, node: &Node) -> Result<u64, Error> {
        Ok(directories::usage(self.folder(&node.name)?)?.available_bytes)
    }
}

export_storage!(MyStorage);
