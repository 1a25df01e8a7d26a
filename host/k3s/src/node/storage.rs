//! The storage provisioner: its component in its adapter, the driver that follows claims, and what
//! K3s' packaged manifest `local-storage.yaml` brings: the storage class and the settings.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::storage::{StorageOptions, StorageProvisioner, open_storage};
use k3s_config::PackagedComponent;
use k3s_deploy::Packaged;
use k3s_plugin_host::Policy;
use k3s_storage::{SettingsSource, StorageConfig};
use serde_json::{Map, json};

use crate::node::context::NodeContext;
use crate::plugins::Component;

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
        config: config(&root, component)?.into_bytes(),
        roots: vec![root],
        policy: Policy::default(),
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
    };
    let host = component.host(&context.plugin_host);
    let provisioner =
        tokio::task::block_in_place(|| open_storage(&host, component.source(), options))
            .context("start the storage provisioner")?;
    let provisioner = Arc::new(provisioner);
    make_replaceable(context, &provisioner);
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

/// Lets a reload put another component in this one's place, and reports its configuration.
fn make_replaceable(context: &NodeContext, provisioner: &Arc<StorageProvisioner>) {
    let (provisioner, host) = (provisioner.clone(), context.plugin_host.clone());
    let root = context.cluster.local_storage_path.clone();
    let on_config = context.on_storage_config.clone();
    context.swaps.add(&context.batteries.storage, move |new| {
        let (provisioner, host) = (provisioner.clone(), new.host(&host));
        let (root, on_config) = (root.clone(), on_config.clone());
        async move {
            let config = config(&root, &new)?;
            tokio::task::block_in_place(|| {
                provisioner.swap(&host, new.source(), config.clone().into_bytes())?;
                on_config(&config);
                Ok(())
            })
        }
    });
}

/// `config.json`: one folder of volumes for every node, and the operator's own configuration over it.
pub(crate) fn config(root: &Path, component: &Component) -> Result<String> {
    let paths = json!([{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [root]}]);
    Ok(String::from_utf8(component.config(Map::from_iter([(
        "nodePathMap".to_owned(),
        paths,
    )])))?)
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
