//! Watches claims and volumes through the API and has the plugin make, delete and enlarge volumes.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_client::{
    Client, DeleteParams, EventRecorder, Informer, InformerEvent, Informers, Object, Patch, Scope,
    resources,
};
use k3s_lifecycle::Tasks;
use k3s_meta::object::at_str;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler, Statuses};
use k3s_volume::{class_of, names};
use serde_json::json;

use super::plan;
use super::provisioner::{ProvisionError, StorageProvisioner};

/// The provisioner's name in storage classes.
pub const PROVISIONER: &str = "rancher.io/local-path";
/// What was refused is tried again after this; a change of claim, class or volume comes earlier.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);
/// Where K3s' provisioner has its settings.
const CONFIG_NAMESPACE: &str = "kube-system";
const CONFIG_NAME: &str = "local-path-config";
const CONFIG_KEY: &str = "config.json";

/// What driving needs.
pub struct Drive {
    /// The plugin.
    pub provisioner: Arc<StorageProvisioner>,
    /// With the provisioner's identity.
    pub client: Client,
    /// The same identity's informers.
    pub informers: Informers,
    /// This node.
    pub node_name: String,
    /// Time.
    pub clock: Clock,
}

struct Driver {
    provisioner: Arc<StorageProvisioner>,
    client: Client,
    recorder: EventRecorder,
    node_name: String,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    nodes: Informer,
}

struct Settings {
    provisioner: Arc<StorageProvisioner>,
    recorder: EventRecorder,
    maps: Informer,
}

/// Starts to drive. A key with a namespace is a claim's, one without a volume's.
pub fn drive(drive: Drive, tasks: &Tasks) {
    let tasks = tasks.child("storage");
    let Drive {
        provisioner,
        client,
        informers,
        node_name,
        clock,
    } = drive;
    let component = format!("{PROVISIONER}_{node_name}");
    let recorder = EventRecorder::new(client.clone(), &component, "", clock, &tasks);
    let maps = informers.of(
        &resources::CONFIG_MAPS,
        Scope::fields(format!("metadata.name={CONFIG_NAME}")).in_namespace(CONFIG_NAMESPACE),
    );
    let settings = Settings {
        provisioner: provisioner.clone(),
        recorder: recorder.clone(),
        maps: maps.clone(),
    };
    let driver = Driver {
        provisioner,
        client,
        recorder,
        node_name,
        claims: informers.all(&resources::PERSISTENT_VOLUME_CLAIMS),
        volumes: informers.all(&resources::PERSISTENT_VOLUMES),
        classes: informers.all(&resources::STORAGE_CLASSES),
        nodes: informers.all(&resources::NODES),
    };
    let (claims, volumes, classes) = (
        driver.claims.clone(),
        driver.volumes.clone(),
        driver.classes.clone(),
    );
    let (of_classes, nodes) = (claims.clone(), driver.nodes.clone());
    let statuses = Statuses::default();
    Controller::new("storage-settings")
        .watch_own(&maps)
        .run(settings, &statuses, &tasks);
    Controller::new("storage-provisioner")
        .watch(&claims, present)
        .watch(&volumes, present)
        .watch(&classes, move |event| class_changed(event, &of_classes))
        .requires(&nodes)
        .run(driver, &statuses, &tasks);
}

fn present(event: &InformerEvent) -> Vec<Key> {
    if event.is_deleted() {
        Vec::new()
    } else {
        vec![event.object().key().clone()]
    }
}

fn class_changed(event: &InformerEvent, claims: &Informer) -> Vec<Key> {
    let class = event.object().name();
    let of_class = |claim: &Object| class_of(claim.value()) == class;
    claims
        .list()
        .into_iter()
        .filter(of_class)
        .map(|claim| claim.key().clone())
        .collect()
}

impl Reconciler for Settings {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(map) = self.maps.get(key) else {
            return Ok(Outcome::Done);
        };
        let text = at_str(map.value(), &["data", CONFIG_KEY]);
        match self.provisioner.configure(text.as_bytes().to_vec()).await {
            Ok(()) => Ok(Outcome::Done),
            Err(ProvisionError::Later(why)) => Err(Error::other(why)),
            Err(error) => {
                let message =
                    format!("{CONFIG_KEY} is refused, the settings before stay in force: {error}");
                tracing::warn!(%error, "storage settings refused");
                self.recorder.warning(&*map, "ConfigRefused", message);
                Ok(Outcome::Done)
            }
        }
    }
}

impl Reconciler for Driver {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if !key.contains('/') {
            return match self.volumes.get(key) {
                Some(volume) => self.reclaim(&volume).await,
                None => Ok(Outcome::Done),
            };
        }
        let Some(claim) = self.claims.get(key) else {
            return Ok(Outcome::Done);
        };
        let class = self.classes.get(class_of(claim.value()));
        if plan::is_wanted(&claim, &self.node_name) {
            // Without its class nothing is known of the wish; the class's arrival brings us back.
            return match class {
                Some(class) => self.make(&claim, &class).await,
                None => Ok(Outcome::Done),
            };
        }
        match plan::growth(&claim, class.as_deref()) {
            Some(bytes) => self.enlarge(&claim, bytes).await,
            None => Ok(Outcome::Done),
        }
    }
}

impl Driver {
    async fn make(&self, claim: &Object, class: &Object) -> Result<Outcome, Error> {
        let name = plan::volume_name_of(claim);
        if self.volumes.get(&name).is_some() {
            // The binder's turn.
            return Ok(Outcome::Done);
        }
        let what = format!(
            "External provisioner is provisioning volume for claim \"{}\"",
            claim.key()
        );
        self.recorder.normal(&**claim, "Provisioning", what);
        let node = self.nodes.get(&self.node_name);
        let made = match self
            .provisioner
            .provision(plan::request(claim, class, node.as_deref()))
            .await
        {
            Ok(made) => made,
            Err(error) => return self.not_made(claim, class, error).await,
        };
        match self
            .client
            .create(
                &resources::PERSISTENT_VOLUMES,
                None,
                &plan::volume(claim, class, &made),
            )
            .await
        {
            Ok(_) => {
                self.recorder.normal(
                    &**claim,
                    "ProvisioningSucceeded",
                    format!("Successfully provisioned volume {name}"),
                );
                Ok(Outcome::Done)
            }
            Err(error) if error.is_already_exists() => Ok(Outcome::Done),
            Err(error) => {
                let message = format!("Error saving volume {name}: {error}");
                self.recorder
                    .warning(&**claim, "ProvisioningFailed", message);
                Err(error.into())
            }
        }
    }

    async fn not_made(
        &self,
        claim: &Object,
        class: &Object,
        error: ProvisionError,
    ) -> Result<Outcome, Error> {
        let message = format!(
            "failed to provision volume with StorageClass \"{}\": {error}",
            class.name()
        );
        self.recorder
            .warning(&**claim, "ProvisioningFailed", message);
        match error {
            ProvisionError::Refused(_) => Ok(Outcome::After(REFUSED_AGAIN)),
            ProvisionError::Later(why) => Err(Error::other(why)),
            ProvisionError::WrongNode(_) => {
                // The scheduler chooses again.
                let patch = Patch::Merge(json!({"metadata": {
                    "uid": claim.uid(), "resourceVersion": claim.resource_version(),
                    "annotations": {names::SELECTED_NODE: null},
                }}));
                let claims = &resources::PERSISTENT_VOLUME_CLAIMS;
                self.client
                    .patch(claims, claim.ns(), claim.name(), &patch)
                    .await?;
                Ok(Outcome::Done)
            }
        }
    }

    /// Deletes a released volume: the data first, then the object.
    async fn reclaim(&self, volume: &Object) -> Result<Outcome, Error> {
        let Some(existing) =
            plan::existing(volume, &self.node_name).filter(|_| plan::is_to_delete(volume))
        else {
            return Ok(Outcome::Done);
        };
        // A cache that lags must not cost anybody's data.
        let fresh = match self
            .client
            .get(&resources::PERSISTENT_VOLUMES, None, volume.name())
            .await
        {
            Ok(fresh) => fresh,
            Err(error) if error.is_not_found() => return Ok(Outcome::Done),
            Err(error) => return Err(error.into()),
        };
        if fresh.uid() != volume.uid() || !plan::is_to_delete(&fresh) {
            return Ok(Outcome::Done);
        }
        if let Err(error) = self.provisioner.delete(existing).await {
            self.recorder
                .warning(&**volume, "VolumeFailedDelete", error.to_string());
            return match error {
                ProvisionError::Later(why) => Err(Error::other(why)),
                _ => Ok(Outcome::After(REFUSED_AGAIN)),
            };
        }
        let params = DeleteParams::default().with_uid(volume.uid());
        match self
            .client
            .delete(&resources::PERSISTENT_VOLUMES, None, volume.name(), &params)
            .await
        {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Outcome::Done),
        }
    }

    async fn enlarge(&self, claim: &Object, bytes: u64) -> Result<Outcome, Error> {
        let volume = self.volumes.get(k3s_volume::volume_name(claim.value()));
        let Some((volume, existing)) =
            volume.and_then(|v| plan::existing(&v, &self.node_name).map(|e| (v, e)))
        else {
            return Ok(Outcome::Done);
        };
        let size = match self.provisioner.expand(existing, bytes).await {
            Ok(size) => plan::quantity(size),
            Err(error) => {
                self.recorder
                    .warning(&**claim, "VolumeResizeFailed", error.to_string());
                return match error {
                    ProvisionError::Later(why) => Err(Error::other(why)),
                    _ => Ok(Outcome::After(REFUSED_AGAIN)),
                };
            }
        };
        let capacity = Patch::Merge(json!({"spec": {"capacity": {"storage": size}}}));
        self.client
            .patch(
                &resources::PERSISTENT_VOLUMES,
                None,
                volume.name(),
                &capacity,
            )
            .await?;
        let status = Patch::Merge(
            json!({"metadata": {"uid": claim.uid()}, "status": {"capacity": {"storage": size}}}),
        );
        let claims = &resources::PERSISTENT_VOLUME_CLAIMS;
        self.client
            .patch_status(claims, claim.ns(), claim.name(), &status)
            .await?;
        self.recorder.normal(
            &**claim,
            "VolumeResizeSuccessful",
            "Resize volume succeeded",
        );
        Ok(Outcome::Done)
    }
}
