//! The storage provisioner: its component in its adapter, the driver that follows claims, and what
//! K3s' packaged manifest `local-storage.yaml` brings: the storage class and the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::storage::{StorageOptions, StorageProvisioner, open_storage};
use k3s_client::Informers;
use k3s_config::PackagedComponent;
use k3s_deploy::{Manifests, Packaged};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Policy;
use k3s_storage::{SettingsSource, StorageConfig};
use serde_json::{Map, json};

use crate::plugins::Component;
use crate::server::Shared;
use crate::server::control_plane::ControlPlane;
use crate::server::identity::NodeIdentity;

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
pub(crate) fn start(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
    manifests: Manifests,
) -> Result<()> {
    if shared.is_disabled(COMPONENT) {
        return Ok(());
    }
    let root = shared.settings.cluster.local_storage_path.clone();
    let options = StorageOptions {
        config: config(&root, &plane.storage)?.into_bytes(),
        roots: vec![root.clone()],
        policy: Policy::default(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    let host = plane.storage.host(&plane.plugin_host);
    let provisioner =
        tokio::task::block_in_place(|| open_storage(&host, plane.storage.source(), options))
            .context("start the storage provisioner")?;
    let provisioner = Arc::new(provisioner);
    make_replaceable(shared, plane, &provisioner, (root, manifests));
    let client = plane.clients.for_controller(ACCOUNT);
    let config = StorageConfig {
        provisioner,
        provisioner_name: PROVISIONER.to_owned(),
        settings: SettingsSource {
            namespace: NAMESPACE.to_owned(),
            name: SETTINGS.to_owned(),
            key: SETTINGS_KEY.to_owned(),
        },
        informers: Informers::new(
            client.clone(),
            shared.clock.clone(),
            shared.random.clone(),
            tasks,
        ),
        client,
        node_name: node.name.clone(),
        clock: shared.clock.clone(),
    };
    k3s_storage::start(config, tasks);
    Ok(())
}

/// Lets a reload put another component in this one's place. Its settings go to the manifest too, from
/// where they get into the cluster.
fn make_replaceable(
    shared: &Shared,
    plane: &ControlPlane,
    provisioner: &Arc<StorageProvisioner>,
    (root, manifests): (PathBuf, Manifests),
) {
    let (provisioner, host) = (provisioner.clone(), plane.plugin_host.clone());
    shared.swaps.add(&plane.storage, move |new| {
        let (provisioner, host) = (provisioner.clone(), new.host(&host));
        let (root, manifests) = (root.clone(), manifests.clone());
        async move {
            let config = config(&root, &new)?;
            tokio::task::block_in_place(|| {
                provisioner.swap(&host, new.source(), config.clone().into_bytes())?;
                manifests.replace(&manifest(&config));
                Ok(())
            })
        }
    });
}

/// `config.json`: every node has its volumes in one folder, and what the operator says besides.
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
