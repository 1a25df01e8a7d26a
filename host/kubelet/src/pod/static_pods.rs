//! Static pods: manifests in a directory, run without the API, shown there by mirror pods
//! (`pkg/kubelet/config/file.go`, `pkg/kubelet/pod/mirror_client.go`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use k3s_base::error::chain;
use k3s_client::{Client, DeleteParams, Informer, Object, resources, uid_is};
use k8s_openapi::api::core::v1::{Pod, Toleration};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::handle::Source;
use super::table::PodTable;
use crate::config::KubeletConfig;
use crate::labels;
use crate::model;
use crate::node::state::NodeState;

/// A larger manifest is refused: no pod is that big.
const MANIFEST_LIMIT_BYTES: u64 = 1 << 20;

/// Why a file is not the manifest of a static pod.
#[derive(Debug, thiserror::Error)]
enum ManifestError {
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    #[error("{0} bytes are too many for a pod")]
    TooLarge(u64),
    #[error("the file is not YAML")]
    Yaml(#[from] serde_saphyr::Error),
    #[error("the file does not describe a pod")]
    Decode(#[from] serde_json::Error),
    #[error("kind is not Pod")]
    Kind,
    #[error("spec.containers is empty")]
    NoContainers,
}

/// The manifest directory and its change notices.
pub(crate) struct Manifests {
    events: Option<EventStream<[u8; 4096]>>,
}

impl Manifests {
    /// Opens the configured directory, making it where it is missing.
    pub(crate) fn open(config: &KubeletConfig) -> Self {
        let Some(dir) = &config.pod_manifests else {
            return Self { events: None };
        };
        let events = watch(dir)
            .inspect_err(|error| {
                tracing::warn!(%error, dir = %dir.display(), "static pod directory is not watched");
            })
            .ok();
        Self { events }
    }

    /// Resolves when a file changed; never without a directory.
    pub(crate) async fn changed(&mut self) {
        match &mut self.events {
            Some(events) => {
                if events.next().await.is_none() {
                    self.events = None;
                }
            }
            None => std::future::pending().await,
        }
    }

    /// The pods the files describe now. A file that describes none is named in the log and left out.
    pub(crate) fn read(&self, config: &KubeletConfig) -> Vec<Pod> {
        let Some(dir) = &config.pod_manifests else {
            return Vec::new();
        };
        let mut pods = Vec::new();
        for path in manifests(dir) {
            match read(config, &path) {
                Ok(pod) => pods.push(pod),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, path = %path.display(), "static pod manifest cannot be used");
                }
            }
        }
        pods
    }
}

/// The manifests of a directory, by name. A directory that cannot be read has none.
fn manifests(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| is_manifest(path))
        .collect();
    files.sort();
    files
}

/// Files whose name begins with a dot are an editor's.
fn is_manifest(path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return path.is_file();
    };
    let is_hidden = name.to_string_lossy().starts_with('.');
    path.is_file() && !is_hidden
}

fn watch(dir: &Path) -> io::Result<EventStream<[u8; 4096]>> {
    std::fs::create_dir_all(dir)?;
    let inotify = Inotify::init()?;
    let mask =
        WatchMask::CLOSE_WRITE | WatchMask::DELETE | WatchMask::MOVED_FROM | WatchMask::MOVED_TO;
    inotify.watches().add(dir, mask)?;
    inotify.into_event_stream([0; 4096])
}

fn read(config: &KubeletConfig, path: &Path) -> Result<Pod, ManifestError> {
    let size = std::fs::metadata(path)?.len();
    if size > MANIFEST_LIMIT_BYTES {
        return Err(ManifestError::TooLarge(size));
    }
    let text = std::fs::read_to_string(path)?;
    parse(config, &text)
}

/// Reads a manifest and gives it the identity of a static pod on this node.
fn parse(config: &KubeletConfig, text: &str) -> Result<Pod, ManifestError> {
    let value: Value = serde_saphyr::from_str_with_options(text, k3s_meta::yaml::options())?;
    if value.get("kind").and_then(Value::as_str) != Some("Pod") {
        return Err(ManifestError::Kind);
    }
    let mut pod: Pod = serde_json::from_value(value)?;
    if pod.spec.as_ref().is_none_or(|s| s.containers.is_empty()) {
        return Err(ManifestError::NoContainers);
    }
    set_identity(&mut pod, config, manifest_hash(config, text));
    bind(&mut pod, config);
    Ok(pod)
}

/// The pod's uid: another node or another text makes another pod.
fn manifest_hash(config: &KubeletConfig, text: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(config.node_name.as_bytes());
    digest.update(text.as_bytes());
    let digest = digest.finalize();
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn set_identity(pod: &mut Pod, config: &KubeletConfig, hash: String) {
    let meta = &mut pod.metadata;
    let name = meta.name.clone().unwrap_or_default();
    meta.name = Some(format!("{name}-{}", config.node_name));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    meta.uid = Some(hash.clone());
    let seen = k3s_base::clock::rfc3339_micro(config.clock.now());
    let annotations = meta.annotations.get_or_insert_default();
    let mut annotate = |key: &str, value: String| {
        annotations.insert(key.to_owned(), value);
    };
    annotate(labels::CONFIG_SOURCE, "file".to_owned());
    annotate(labels::CONFIG_SEEN, seen);
    annotate(labels::CONFIG_HASH, hash);
}

/// What scheduler and admission would have added.
fn bind(pod: &mut Pod, config: &KubeletConfig) {
    let Some(spec) = &mut pod.spec else { return };
    spec.node_name = Some(config.node_name.clone());
    spec.enable_service_links.get_or_insert(true);
    // A static pod is not evicted by taints.
    spec.tolerations.get_or_insert_default().push(Toleration {
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        ..Toleration::default()
    });
}

/// Shows static pods in the API.
pub(crate) struct MirrorPods {
    pub(crate) client: Client,
    pub(crate) node: Arc<NodeState>,
    pub(crate) pods: Arc<PodTable>,
    /// Pods bound to this node, mirrors among them.
    pub(crate) objects: Informer,
}

impl MirrorPods {
    /// Makes and removes mirror pods so that each running static pod has one, and no other has.
    pub(crate) async fn sync(&self) {
        let mut statics = self.pods.list();
        statics.retain(|handle| {
            let is_static = handle.source == Source::File;
            is_static && !handle.is_removed()
        });
        for mirror in self.objects.list() {
            let Some(hash) = mirror.annotation(labels::CONFIG_MIRROR) else {
                continue;
            };
            let wanted = statics.iter().any(|handle| handle.uid == hash);
            if !wanted || mirror.is_deleting() {
                self.delete(&mirror).await;
            }
        }
        for handle in statics {
            let pod = handle.pod();
            let key = model::pod_key(&pod);
            if self.objects.get(&key).is_none() {
                self.create(&pod).await;
            }
        }
    }

    /// The mirror is new or was changed: it shows the pod's status, which its maker did not have.
    pub(crate) fn show_status(&self, mirror: &Object) {
        let Some(hash) = mirror.annotation(labels::CONFIG_MIRROR) else {
            return;
        };
        if let Some(handle) = self.pods.get(hash) {
            handle.rewrite();
        }
    }

    async fn delete(&self, mirror: &Object) {
        let params = DeleteParams::default()
            .grace_period(0)
            .preconditions(uid_is(mirror.uid()));
        let (namespace, name) = (mirror.ns(), mirror.name());
        let deleted = self
            .client
            .delete(&resources::PODS, namespace, name, &params)
            .await;
        if let Err(error) = deleted {
            tracing::debug!(error = chain(&error), pod = %mirror.key(), "mirror pod not deleted");
        }
    }

    async fn create(&self, pod: &Pod) {
        let mirror = mirror(pod, self.node.object().as_ref());
        let namespace = Some(model::namespace(pod));
        let created = self
            .client
            .create(&resources::PODS, namespace, &mirror)
            .await;
        match created {
            Ok(_) => {}
            Err(error) if error.is_already_exists() => {}
            Err(error) => {
                let pod = model::pod_key(pod);
                tracing::debug!(error = chain(&error), pod, "mirror pod not made");
            }
        }
    }
}

/// The pod as the API shows it, owned by the node.
fn mirror(pod: &Pod, node: Option<&Object>) -> Value {
    let mut value = serde_json::to_value(pod).unwrap_or(Value::Null);
    let Some(object) = value.as_object_mut() else {
        return value;
    };
    object.remove("status");
    object.insert("apiVersion".to_owned(), json!("v1"));
    object.insert("kind".to_owned(), json!("Pod"));
    let meta = object.get_mut("metadata");
    if let Some(meta) = meta.and_then(Value::as_object_mut) {
        let uid = json!(model::uid(pod));
        meta.remove("uid");
        let annotations = meta.get_mut("annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.insert(labels::CONFIG_MIRROR.to_owned(), uid);
        }
        if let Some(node) = node {
            let owner = owner(node);
            meta.insert("ownerReferences".to_owned(), json!([owner]));
        }
    }
    value
}

fn owner(node: &Object) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "name": node.name(),
        "uid": node.uid(),
        "controller": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_get_the_nodes_name_and_a_hash_as_uid() {
        let config = KubeletConfig::new("n1", "v");
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: c, image: i}]\n";
        let pod = parse(&config, text).unwrap();
        assert_eq!(
            (model::name(&pod), model::namespace(&pod)),
            ("web-n1", "default")
        );
        assert_eq!(model::uid(&pod).len(), 32);
        assert_ne!(
            model::uid(&parse(&config, &text.replace("image: i", "image: j")).unwrap()),
            model::uid(&pod)
        );
        let modes = format!(
            "{text}  volumes: [{{name: v, secret: {{secretName: s, defaultMode: 0400}}}}]\n"
        );
        let pod = parse(&config, &modes).unwrap();
        let volumes = serde_json::to_value(&pod.spec.unwrap().volumes).unwrap();
        assert_eq!(volumes[0]["secret"]["defaultMode"], 256);
        assert!(parse(&config, "kind: Service").is_err());
    }
}
