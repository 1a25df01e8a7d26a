//! The storage provisioner: its component in its adapter, the driver that follows claims, and what
//! K3s' packaged manifest `local-storage.yaml` brings: the storage class and the settings.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::storage::{StorageOptions, open_storage};
use k3s_config::PackagedComponent;
use k3s_deploy::Packaged;
use k3s_storage::{SettingsSource, StorageConfig};
use serde_json::{Map, Value, json};

use crate::node::context::NodeContext;
use crate::plugins::Component;
use crate::plugins::replace::Running;

/// For `--disable`, as in K3s.
pub(crate) const COMPONENT: PackagedComponent = PackagedComponent::LocalStorage;
/// As K3s' manifest calls the account of its provisioner.
const ACCOUNT: &str = "local-path-provisioner-service-account";
const CLASS: &str = "local-path";
/// The provisioner's name in storage classes.
const PROVISIONER: &str = "rancher.io/local-path";
const SETTINGS: &str = "local-path-config";
const SETTINGS_KEY: &str = "config.json";
const NAMESPACE: &str = "kube-system";

/// Starts the provisioner of this node.
pub(crate) fn start(context: &NodeContext) -> Result<()> {
    if context.is_disabled(COMPONENT) {
        return Ok(());
    }
    let (component, ambient) = (&context.batteries.storage, &context.ambient);
    let root = context.cluster.local_storage_path.clone();
    let options = StorageOptions {
        config: component.config(known_config(&root)),
        roots: vec![root.clone()],
        environment: ambient.environment(),
    };
    let host = component.host(&context.plugin_host);
    let provisioner =
        tokio::task::block_in_place(|| open_storage(&host, component.source(), options))
            .context("start the storage provisioner")?;
    let provisioner = Arc::new(provisioner);
    let battery = provisioner.battery().clone();
    let on_config = context.on_storage_config.clone();
    let running = Running::new(battery, &context.plugin_host, move |_| known_config(&root))
        .on_replaced(move |config| on_config(&String::from_utf8_lossy(config)));
    context.swaps.add(component, running);
    let client = context.clients.for_controller(ACCOUNT);
    let config = StorageConfig {
        provisioner,
        provisioner_name: PROVISIONER.to_owned(),
        settings: SettingsSource {
            namespace: NAMESPACE.to_owned(),
            name: SETTINGS.to_owned(),
            key: SETTINGS_KEY.to_owned(),
        },
        informers: ambient.informers(&client),
        client,
        node_name: context.local.name.clone(),
        clock: ambient.clock.clone(),
    };
    k3s_storage::start(config, &ambient.tasks);
    Ok(())
}

/// `config.json` of a component, as the ConfigMap has it.
pub(crate) fn config(root: &Path, component: &Component) -> Result<String> {
    Ok(String::from_utf8(component.config(known_config(root)))?)
}

/// Every node has its volumes in one folder.
fn known_config(root: &Path) -> Map<String, Value> {
    let paths = json!([{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [root]}]);
    Map::from_iter([("nodePathMap".to_owned(), paths)])
}

/// The storage class and the settings.
pub(crate) fn manifest(config: &str) -> Packaged {
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": SETTINGS, "namespace": NAMESPACE},
        "data": {SETTINGS_KEY: config},
    });
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {
            "defaultVolumeType": "local",
            "storageclass.kubernetes.io/is-default-class": "true",
        }},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    });
    Packaged::new(COMPONENT.name()).file("local-storage.yaml", &[settings, class])
}
