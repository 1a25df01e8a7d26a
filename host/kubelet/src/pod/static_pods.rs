//! Static pods: manifests in a directory, run without the API, shown there by mirror pods
//! (`pkg/kubelet/config/file.go`, `pkg/kubelet/pod/mirror_client.go`).

use std::path::Path;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use k3s_client::{DeleteParams, resources};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::model;
use super::table::Source;
use crate::config::KubeletConfig;
use crate::context::Ctx;
use crate::labels;

/// A larger manifest is refused: no pod is that big.
const MANIFEST_LIMIT_BYTES: u64 = 1 << 20;

/// The manifest directory and its change notices.
pub(crate) struct Manifests {
    events: Option<EventStream<[u8; 4096]>>,
}

impl Manifests {
    /// Opens the configured directory, making it where it is missing.
    pub(crate) fn open(config: &KubeletConfig) -> Self {
        let events = config.pod_manifests.as_ref().and_then(|dir| match watch(dir) {
            Ok(events) => Some(events),
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "static pod directory is not watched");
                None
            }
        });
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

    /// The pods the files describe now. A file that is none is named in the log and left out.
    pub(crate) fn read(&self, config: &KubeletConfig) -> Vec<Pod> {
        let Some(dir) = &config.pod_manifests else {
            return Vec::new();
        };
        let mut files: Vec<_> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
            .collect();
        files.sort();
        let visible = |p: &&std::path::PathBuf| {
            p.is_file()
                && !p
                    .file_name()
                    .is_some_and(|n| n.to_string_lossy().starts_with('.'))
        };
        files
            .iter()
            .filter(visible)
            .filter_map(|path| match read(config, path) {
                Ok(pod) => Some(pod),
                Err(error) => {
                    tracing::warn!(error, path = %path.display(), "static pod manifest cannot be used");
                    None
                }
            })
            .collect()
    }
}

fn watch(dir: &Path) -> std::io::Result<EventStream<[u8; 4096]>> {
    std::fs::create_dir_all(dir)?;
    let inotify = Inotify::init()?;
    let mask =
        WatchMask::CLOSE_WRITE | WatchMask::DELETE | WatchMask::MOVED_FROM | WatchMask::MOVED_TO;
    inotify.watches().add(dir, mask)?;
    inotify.into_event_stream([0; 4096])
}

fn read(config: &KubeletConfig, path: &Path) -> Result<Pod, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > MANIFEST_LIMIT_BYTES {
        return Err(format!("{size} bytes are too many for a pod"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    parse(config, &text)
}

/// Reads a manifest and gives it the identity of a static pod on this node.
fn parse(config: &KubeletConfig, text: &str) -> Result<Pod, String> {
    let value: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    if value.get("kind").and_then(Value::as_str) != Some("Pod") {
        return Err("kind is not Pod".to_owned());
    }
    let mut pod: Pod = serde_json::from_value(value).map_err(|e| e.to_string())?;
    if pod.spec.as_ref().is_none_or(|s| s.containers.is_empty()) {
        return Err("spec.containers is empty".to_owned());
    }
    let mut digest = Sha256::new();
    digest.update(config.node_name.as_bytes());
    digest.update(text.as_bytes());
    let hash: String = digest
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let meta = &mut pod.metadata;
    meta.name = Some(format!(
        "{}-{}",
        meta.name.clone().unwrap_or_default(),
        config.node_name
    ));
    meta.namespace.get_or_insert_with(|| "default".to_owned());
    meta.uid = Some(hash.clone());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(labels::CONFIG_SOURCE.to_owned(), "file".to_owned());
    annotations.insert(
        labels::CONFIG_SEEN.to_owned(),
        k3s_base::clock::rfc3339_micro(config.clock.now()),
    );
    annotations.insert(labels::CONFIG_HASH.to_owned(), hash);
    if let Some(spec) = &mut pod.spec {
        spec.node_name = Some(config.node_name.clone());
        spec.enable_service_links.get_or_insert(true);
        // A static pod is not evicted by taints.
        let all: Vec<k8s_openapi::api::core::v1::Toleration> =
            serde_json::from_value(json!([{"operator": "Exists", "effect": "NoExecute"}]))
                .unwrap_or_default();
        spec.tolerations.get_or_insert_default().extend(all);
    }
    Ok(pod)
}

/// Makes, replaces and removes mirror pods so that each running static pod has one.
pub(crate) async fn sync_mirrors(ctx: &Ctx, _manifests: &Manifests) {
    let statics: Vec<_> = ctx
        .pods
        .list()
        .into_iter()
        .filter(|h| h.source == Source::File && !h.is_removed())
        .collect();
    for mirror in ctx.pod_objects.list() {
        let Some(hash) = mirror.annotation(labels::CONFIG_MIRROR) else {
            continue;
        };
        if statics.iter().any(|h| h.uid == hash) && !mirror.is_deleting() {
            continue;
        }
        let params = DeleteParams::now().with_uid(mirror.uid());
        if let Err(error) = ctx
            .client
            .delete(&resources::PODS, mirror.ns(), mirror.name(), &params)
            .await
        {
            tracing::debug!(%error, pod = %mirror.key(), "mirror pod not deleted");
        }
    }
    for handle in statics {
        let pod = handle.pod();
        if ctx.pod_objects.get(&model::pod_key(&pod)).is_some() {
            continue;
        }
        match ctx
            .client
            .create(
                &resources::PODS,
                Some(model::namespace(&pod)),
                &mirror(ctx, &pod),
            )
            .await
        {
            Ok(_) => handle.wake(),
            Err(error) if error.is_already_exists() => {}
            Err(error) => {
                tracing::debug!(%error, pod = %model::pod_key(&pod), "mirror pod not made")
            }
        }
    }
}

fn mirror(ctx: &Ctx, pod: &Pod) -> Value {
    let mut value = serde_json::to_value(pod).unwrap_or(Value::Null);
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("uid");
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.insert(labels::CONFIG_MIRROR.to_owned(), json!(model::uid(pod)));
        }
        if let Some(node) = ctx.node.object() {
            let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid(), "controller": true}]);
            meta.insert("ownerReferences".to_owned(), owner);
        }
    }
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
        map.insert("apiVersion".to_owned(), json!("v1"));
        map.insert("kind".to_owned(), json!("Pod"));
    }
    value
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
        assert!(parse(&config, "kind: Service").is_err());
    }
}
