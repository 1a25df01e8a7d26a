//! All sandboxes and containers of the node, and the paths of their files.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k3s_cri::v1;
use parking_lot::RwLock;
use tokio::sync::broadcast;

use super::container::Container;
use super::events;
use super::record::{self, ContainerRecord, SandboxRecord};
use super::sandbox::Sandbox;
use super::shim_client::ShimClient;
use super::zygote_client::Zygote;
use crate::config::RuntimeConfig;
use crate::error::{Context, Error, Result};
use crate::image::store::ImageStore;

/// Names in CRI are unique among what exists: a sandbox's or a container's.
type Names = HashMap<String, String>;

/// The node's pods.
pub(crate) struct Manager {
    pub(crate) config: RuntimeConfig,
    pub(crate) images: ImageStore,
    pub(crate) zygote: Zygote,
    pub(crate) events: events::Sender,
    sandboxes: RwLock<HashMap<String, Arc<Sandbox>>>,
    containers: RwLock<HashMap<String, Arc<Container>>>,
    names: RwLock<Names>,
}

impl Manager {
    pub(crate) fn new(config: RuntimeConfig, images: ImageStore) -> Result<Arc<Self>> {
        let zygote = Zygote::new(
            config.shim_executable.clone(),
            config.shim_cgroup.clone(),
            config.tasks.clone(),
        );
        let manager = Self {
            zygote,
            images,
            events: broadcast::Sender::new(events::BUFFER),
            sandboxes: RwLock::default(),
            containers: RwLock::default(),
            names: RwLock::default(),
            config,
        };
        for dir in [
            manager.records("sandboxes"),
            manager.records("containers"),
            manager.config.state.join("sandboxes"),
            manager.config.state.join("containers"),
        ] {
            // Below are the files of containers, also those that run as root for whoever can reach
            // them.
            k3s_sys::fs::create_dirs_exactly(&dir, 0o700)
                .context(|| format!("make {}", dir.display()))?;
        }
        Ok(Arc::new(manager))
    }

    pub(crate) fn now_ns(&self) -> i64 {
        i64::try_from(self.config.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    pub(crate) fn new_id(&self) -> String {
        hex::encode(self.config.random.bytes::<32>())
    }

    pub(crate) fn records(&self, kind: &str) -> PathBuf {
        self.config.root.join(kind)
    }

    pub(crate) fn sandbox_record_path(&self, id: &str) -> PathBuf {
        self.records("sandboxes").join(format!("{id}.json"))
    }

    /// The shim's folder.
    pub(crate) fn sandbox_dir(&self, id: &str) -> PathBuf {
        self.config.state.join("sandboxes").join(id)
    }

    pub(crate) fn shim(&self, sandbox: &str) -> ShimClient {
        ShimClient::new(&self.sandbox_dir(sandbox))
    }

    /// The container's bundle and writable layer.
    pub(crate) fn container_dir(&self, id: &str) -> PathBuf {
        self.records("containers").join(id)
    }

    /// Where its root file system is mounted.
    pub(crate) fn rootfs(&self, id: &str) -> PathBuf {
        self.config.state.join("containers").join(id).join("rootfs")
    }

    pub(crate) fn save_sandbox(&self, record: &SandboxRecord) -> Result<()> {
        record::save(&self.sandbox_record_path(&record.id), record)
            .context(|| format!("save the record of sandbox {}", record.id))
    }

    pub(crate) fn save_container(&self, record: &ContainerRecord) -> Result<()> {
        record::save(
            &self.container_dir(&record.id).join("container.json"),
            record,
        )
        .context(|| format!("save the record of container {}", record.id))
    }

    /// By ID, or an unambiguous beginning of it as people type it.
    pub(crate) fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>> {
        find(&self.sandboxes.read(), id).ok_or_else(|| Error::not_found("sandbox", id))
    }

    /// By ID, or an unambiguous beginning of it.
    pub(crate) fn container(&self, id: &str) -> Result<Arc<Container>> {
        find(&self.containers.read(), id).ok_or_else(|| Error::not_found("container", id))
    }

    pub(crate) fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.sandboxes.read().values().cloned().collect()
    }

    pub(crate) fn containers(&self) -> Vec<Arc<Container>> {
        self.containers.read().values().cloned().collect()
    }

    pub(crate) fn containers_of(&self, sandbox: &str) -> Vec<Arc<Container>> {
        self.containers
            .read()
            .values()
            .filter(|container| container.with(|record| record.sandbox == sandbox))
            .cloned()
            .collect()
    }

    pub(crate) fn insert_sandbox(&self, record: SandboxRecord) -> Arc<Sandbox> {
        let sandbox = Sandbox::new(record);
        self.sandboxes
            .write()
            .insert(sandbox.id().to_owned(), sandbox.clone());
        sandbox
    }

    pub(crate) fn insert_container(&self, record: ContainerRecord) -> Arc<Container> {
        let id = record.id.clone();
        let container = Container::new(record);
        self.containers.write().insert(id, container.clone());
        container
    }

    pub(crate) fn forget_sandbox(&self, id: &str) {
        self.sandboxes.write().remove(id);
        self.names.write().retain(|_, owner| owner != id);
    }

    pub(crate) fn forget_container(&self, id: &str) {
        self.containers.write().remove(id);
        self.names.write().retain(|_, owner| owner != id);
    }

    /// Reserves a name for an object that is about to be made.
    pub(crate) fn reserve(&self, name: String, id: &str) -> Result<()> {
        let mut names = self.names.write();
        if let Some(owner) = names.get(&name).filter(|owner| *owner != id) {
            return Err(Error::Exists(format!(
                "name {name:?} is reserved for {owner:?}"
            )));
        }
        names.insert(name, id.to_owned());
        Ok(())
    }

    pub(crate) fn release(&self, id: &str) {
        self.names.write().retain(|_, owner| owner != id);
    }

    /// Layers below containers.
    pub(crate) fn layers_in_use(&self) -> HashSet<String> {
        self.containers
            .read()
            .values()
            .flat_map(|container| container.with(|record| record.chain.clone()))
            .collect()
    }

    /// Frees layers that nothing needs any more. Blocks; called on a blocking thread.
    pub(crate) fn collect_layers(&self) -> Result<()> {
        self.images
            .collect(&self.layers_in_use())
            .context(|| "free unused layers".into())
    }
}

fn find<T>(map: &HashMap<String, Arc<T>>, id: &str) -> Option<Arc<T>> {
    if id.is_empty() {
        return None;
    }
    map.get(id).cloned().or_else(|| {
        let mut matching = map.iter().filter(|(key, _)| key.starts_with(id));
        let (_, found) = matching.next()?;
        matching.next().is_none().then(|| found.clone())
    })
}

/// The unique name of a sandbox, as containerd makes it.
pub(crate) fn sandbox_name(metadata: &v1::PodSandboxMetadata) -> String {
    format!(
        "{}_{}_{}_{}",
        metadata.name, metadata.namespace, metadata.uid, metadata.attempt
    )
}

/// The unique name of a container in a sandbox.
pub(crate) fn container_name(
    metadata: &v1::ContainerMetadata,
    sandbox: &v1::PodSandboxMetadata,
) -> String {
    format!(
        "{}_{}_{}",
        metadata.name,
        sandbox_name(sandbox),
        metadata.attempt
    )
}

/// Removes a tree on a blocking thread.
pub(crate) async fn remove_tree(path: &Path) -> Result<()> {
    let owned = path.to_path_buf();
    let removed = tokio::task::spawn_blocking(move || k3s_sys::fs::remove_all(&owned)).await;
    removed
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .context(|| format!("remove {}", path.display()))
}
