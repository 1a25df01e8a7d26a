//! The storage provisioner: its component in its adapter, the driver that follows claims, and what
//! K3s' packaged manifest `local-storage.yaml` brings: the storage class and the settings.

use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::storage::{Drive, PROVISIONER, StorageOptions, StorageProvisioner, drive, open_storage};
use k3s_client::{Client, DeleteParams, Informers, Patch, Resource, resources};
use k3s_lifecycle::Tasks;
use k3s_meta::object::annotation;
use k3s_plugin_host::Policy;
use serde_json::{Value, json};
use tracing::info;

use super::Shared;
use super::control_plane::ControlPlane;
use super::identity::NodeIdentity;

/// As K3s' manifest calls the account of its provisioner.
const ACCOUNT: &str = "local-path-provisioner-service-account";
const CLASS: &str = "local-path";
const SETTINGS: &str = "local-path-config";
const NAMESPACE: &str = "kube-system";
/// Marks objects as K3s' deploy controller marks those of a manifest; only such a class is taken
/// away again.
const OWNER_NAME: &str = "objectset.rio.cattle.io/owner-name";
const OWNER_KIND: &str = "objectset.rio.cattle.io/owner-gvk";
const MANIFEST: &str = "local-storage";

/// Starts the provisioner of this node, or with `--disable local-storage` takes away what it made.
/// `supervisor` may write everything, as K3s' deploy controller may.
pub(crate) async fn start(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
    supervisor: &Client,
) -> Result<()> {
    let settings = &shared.settings;
    if settings.disabled.iter().any(|name| name == MANIFEST) {
        return withdraw(supervisor).await.context("remove the local-path storage class");
    }
    let root = settings.default_local_storage_path.clone();
    let config = config(&root.to_string_lossy());
    let known = serde_json::from_str(&config).context("the provisioner's settings")?;
    let options = StorageOptions {
        config: plane.storage.config(known),
        roots: vec![root],
        policy: Policy::default(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    let host = plane.storage.host(&plane.plugin_host);
    let provisioner = tokio::task::block_in_place(|| open_storage(&host, plane.storage.source(), options))
        .context("start the storage provisioner")?;
    let provisioner = Arc::new(provisioner);
    make_replaceable(shared, plane, &provisioner);
    publish(supervisor, &config).await.context("publish the local-path storage class")?;
    let client = plane.clients.for_controller(ACCOUNT);
    let drive_it = Drive {
        provisioner,
        informers: Informers::new(client.clone(), shared.clock.clone(), shared.random.clone(), tasks),
        client,
        node_name: node.name.clone(),
        clock: shared.clock.clone(),
    };
    drive(drive_it, tasks);
    Ok(())
}

/// Lets a reload put another component in this one's place, with the settings of the start.
fn make_replaceable(shared: &Shared, plane: &ControlPlane, provisioner: &Arc<StorageProvisioner>) {
    let (provisioner, host) = (provisioner.clone(), plane.plugin_host.clone());
    let settings = plane.storage.config(serde_json::Map::new());
    shared.swaps.add(&plane.storage, move |new| {
        let (provisioner, host) = (provisioner.clone(), new.host(&host));
        let same = new.config(serde_json::Map::new()) == settings;
        async move {
            anyhow::ensure!(same, "restart needed: other settings of the storage provisioner");
            Ok(tokio::task::block_in_place(|| provisioner.swap(&host, new.source()))?)
        }
    });
}

/// `config.json`: every node has its volumes in one folder.
fn config(path: &str) -> String {
    json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [path]}]}).to_string()
}

fn owner() -> Value {
    json!({OWNER_NAME: MANIFEST, OWNER_KIND: "k3s.cattle.io/v1, Kind=Addon"})
}

/// The settings are written anew at each start, as K3s does with its packaged manifests; the class
/// is made where it is missing, so that a changed default survives.
async fn publish(client: &Client, config: &str) -> k3s_client::Result<()> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": SETTINGS, "namespace": NAMESPACE, "annotations": owner()},
        "data": {"config.json": config},
    });
    match client.create(&resources::CONFIG_MAPS, Some(NAMESPACE), &map).await {
        Err(error) if error.is_already_exists() => {
            let patch = Patch::Merge(json!({"data": {"config.json": config}}));
            client.patch(&resources::CONFIG_MAPS, Some(NAMESPACE), SETTINGS, &patch).await?;
        }
        made => drop(made?),
    }
    let mut annotations = owner();
    k3s_meta::object::set(&mut annotations, &["defaultVolumeType"], "local".into());
    k3s_meta::object::set(&mut annotations, &["storageclass.kubernetes.io/is-default-class"], "true".into());
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": annotations},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    });
    match client.create(&resources::STORAGE_CLASSES, None, &class).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}

/// Takes class and settings away if they are ours.
async fn withdraw(client: &Client) -> k3s_client::Result<()> {
    withdraw_one(client, &resources::STORAGE_CLASSES, None, CLASS).await?;
    withdraw_one(client, &resources::CONFIG_MAPS, Some(NAMESPACE), SETTINGS).await
}

async fn withdraw_one(
    client: &Client,
    resource: &Resource,
    namespace: Option<&str>,
    name: &str,
) -> k3s_client::Result<()> {
    let object = match client.get(resource, namespace, name).await {
        Ok(object) => object,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    if annotation(object.value(), OWNER_NAME) != Some(MANIFEST) {
        return Ok(());
    }
    info!(%resource, name, "removed, since local-storage is disabled");
    match client.delete(resource, namespace, name, &DeleteParams::background().with_uid(object.uid())).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use k3s_base::Clock;
    use k3s_client::fake::FakeApi;

    use super::*;

    #[tokio::test]
    async fn the_class_comes_and_goes_but_never_somebody_else_s() {
        let api = FakeApi::new(Clock::system());
        let client = api.client("supervisor");
        publish(&client, &config("/s")).await.unwrap();
        publish(&client, &config("/t")).await.unwrap();
        let class = api.get(&resources::STORAGE_CLASSES, "", CLASS).unwrap();
        assert_eq!(class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"], "true");
        let map = api.get(&resources::CONFIG_MAPS, NAMESPACE, SETTINGS).unwrap();
        assert!(map["data"]["config.json"].as_str().unwrap().contains("/t"));
        withdraw(&client).await.unwrap();
        assert!(api.all(&resources::STORAGE_CLASSES).is_empty() && api.all(&resources::CONFIG_MAPS).is_empty());
        let own = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS}, "provisioner": "x/y"});
        api.seed(&resources::STORAGE_CLASSES, own);
        withdraw(&client).await.unwrap();
        assert_eq!(api.all(&resources::STORAGE_CLASSES).len(), 1);
    }
}
