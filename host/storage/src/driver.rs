//! Two controllers: one has the provisioner make, delete and expand volumes as claims and volumes ask
//! for it, the other one passes the cluster's settings on to the provisioner.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::Clock;
use k3s_base::error::chain;
use k3s_client::{
    Client, DeleteParams, EventRecorder, Informer, InformerEvent, Informers, Object, Patch, Scope,
    resources, uid_is,
};
use k3s_lifecycle::Tasks;
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler, Statuses};
use k3s_volume::{class_of, names};
use serde_json::{Value, json};

use crate::plan;
use crate::provisioner::{Existing, ProvisionError, Provisioner};

/// What was refused is tried again after this; a change of claim, class or volume comes earlier.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);

/// The entry of a ConfigMap that holds the provisioner's configuration.
#[derive(Clone, Debug)]
pub struct SettingsSource {
    /// The ConfigMap's namespace.
    pub namespace: String,
    /// The ConfigMap's name.
    pub name: String,
    /// The key in `data`.
    pub key: String,
}

/// What the driver needs.
pub struct StorageConfig {
    /// Who provides volumes.
    pub provisioner: Arc<dyn Provisioner>,
    /// Its name in storage classes: `rancher.io/local-path`.
    pub provisioner_name: String,
    /// Where users change its configuration.
    pub settings: SettingsSource,
    /// With the provisioner's identity.
    pub client: Client,
    /// The same identity's informers.
    pub informers: Informers,
    /// This node.
    pub node_name: String,
    /// Time.
    pub clock: Clock,
}

struct StorageController {
    provisioner: Arc<dyn Provisioner>,
    provisioner_name: String,
    client: Client,
    recorder: EventRecorder,
    node_name: String,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
    nodes: Informer,
}

struct SettingsController {
    provisioner: Arc<dyn Provisioner>,
    key: String,
    recorder: EventRecorder,
    maps: Informer,
}

/// Starts both controllers. A key with a namespace is a claim's, one without a volume's.
pub fn start(config: StorageConfig, tasks: &Tasks) {
    let tasks = tasks.child("storage");
    let provisioner = &config.provisioner_name;
    let node = &config.node_name;
    let component = format!("{provisioner}_{node}");
    let client = config.client.clone();
    let clock = config.clock.clone();
    let recorder = EventRecorder::new(client, &component, "", clock, &tasks);
    let statuses = Statuses::default();
    start_settings(&config, &recorder, &statuses, &tasks);
    start_storage(config, recorder, &statuses, &tasks);
}

fn start_settings(
    config: &StorageConfig,
    recorder: &EventRecorder,
    statuses: &Statuses,
    tasks: &Tasks,
) {
    let source = &config.settings;
    let selector = format!("metadata.name={}", source.name);
    let by_name = Scope::fields(selector);
    let scope = by_name.in_namespace(&source.namespace);
    let maps = config.informers.of(&resources::CONFIG_MAPS, scope);
    let controller = SettingsController {
        provisioner: config.provisioner.clone(),
        key: source.key.clone(),
        recorder: recorder.clone(),
        maps: maps.clone(),
    };
    Controller::new("storage-settings")
        .watch_own(&maps)
        .run(controller, statuses, tasks);
}

fn start_storage(
    config: StorageConfig,
    recorder: EventRecorder,
    statuses: &Statuses,
    tasks: &Tasks,
) {
    let informers = &config.informers;
    let claims = informers.all(&resources::PERSISTENT_VOLUME_CLAIMS);
    let volumes = informers.all(&resources::PERSISTENT_VOLUMES);
    let classes = informers.all(&resources::STORAGE_CLASSES);
    let nodes = informers.all(&resources::NODES);
    let controller = StorageController {
        provisioner: config.provisioner,
        provisioner_name: config.provisioner_name,
        client: config.client,
        recorder,
        node_name: config.node_name,
        claims: claims.clone(),
        volumes: volumes.clone(),
        classes: classes.clone(),
        nodes: nodes.clone(),
    };
    let claims_of_class = claims.clone();
    Controller::new("storage-provisioner")
        .watch(&claims, present)
        .watch(&volumes, present)
        .watch(&classes, move |event| {
            class_changed(event, &claims_of_class)
        })
        .requires(&nodes)
        .run(controller, statuses, tasks);
}

/// The object's own key, unless it was deleted: the driver keeps nothing to clean up.
fn present(event: &InformerEvent) -> Vec<Key> {
    if event.is_deleted() {
        Vec::new()
    } else {
        vec![event.object().key().clone()]
    }
}

/// A class that changed concerns all claims of it.
fn class_changed(event: &InformerEvent, claims: &Informer) -> Vec<Key> {
    let class = event.object().name();
    let mut keys = Vec::new();
    for claim in claims.list() {
        let is_of_class = class_of(claim.value()) == class;
        if is_of_class {
            keys.push(claim.key().clone());
        }
    }
    keys
}

impl Reconciler for SettingsController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(map) = self.maps.get(key) else {
            return Ok(Outcome::Done);
        };
        let settings = self.settings_in(&map);
        let configured = self.provisioner.configure(settings).await;
        let Err(error) = configured else {
            return Ok(Outcome::Done);
        };
        let cause = chain(&error);
        match error {
            ProvisionError::Retry(_) | ProvisionError::Unavailable(_) => Err(Error::other(cause)),
            ProvisionError::Refused(_) | ProvisionError::WrongNode(_) => {
                self.record_refusal(&map, &cause);
                Ok(Outcome::Done)
            }
        }
    }
}

impl SettingsController {
    /// Empty where the map lacks the key.
    fn settings_in(&self, map: &Object) -> Vec<u8> {
        let data = tree::map(map.value(), "data");
        let text = data.get(&self.key).and_then(Value::as_str);
        let text = text.unwrap_or_default();
        text.as_bytes().to_vec()
    }
    fn record_refusal(&self, map: &Object, cause: &str) {
        tracing::warn!(
            error = cause,
            "the provisioner refuses the storage settings"
        );
        let key = &self.key;
        let message = format!("{key} is refused, the settings before stay in force: {cause}");
        self.recorder.warning(&**map, "ConfigRefused", message);
    }
}

impl Reconciler for StorageController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if is_claim(key) {
            return self.reconcile_claim(key).await;
        }
        match self.volumes.get(key) {
            Some(volume) => self.reclaim_volume(&volume).await,
            None => Ok(Outcome::Done),
        }
    }
}

/// Only a claim has a namespace in its key.
fn is_claim(key: &Key) -> bool {
    key.contains('/')
}

impl StorageController {
    async fn reconcile_claim(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(claim) = self.claims.get(key) else {
            return Ok(Outcome::Done);
        };
        let class = self.classes.get(class_of(claim.value()));
        // Without its class nothing is known of the wish; the class's arrival brings us back.
        let Some(class) = class else {
            return Ok(Outcome::Done);
        };
        if plan::is_wanted(&claim, &self.provisioner_name, &self.node_name) {
            return self.provision_volume(&claim, &class).await;
        }
        match plan::growth(&claim, &class) {
            Some(bytes) => self.expand_volume(&claim, bytes).await,
            None => Ok(Outcome::Done),
        }
    }

    async fn provision_volume(&self, claim: &Object, class: &Object) -> Result<Outcome, Error> {
        let name = plan::volume_name_of(claim);
        let exists = self.volumes.get(&name).is_some();
        if exists {
            // Binding it is the volume controller's part.
            return Ok(Outcome::Done);
        }
        self.record_start(claim);
        let node = self.nodes.get(&self.node_name);
        let request = plan::request(claim, class, node.as_deref());
        let provisioned = self.provisioner.provision(request).await;
        let volume = match provisioned {
            Ok(volume) => volume,
            Err(error) => {
                return self.note_failure(claim, class, error).await;
            }
        };
        let provisioner = &self.provisioner_name;
        let object = plan::volume(claim, class, &volume, provisioner);
        self.create_object(claim, &name, &object).await
    }

    async fn create_object(
        &self,
        claim: &Object,
        name: &str,
        object: &Value,
    ) -> Result<Outcome, Error> {
        let volumes = &resources::PERSISTENT_VOLUMES;
        match self.client.create(volumes, None, object).await {
            Ok(_) => {
                let message = format!("Successfully provisioned volume {name}");
                self.recorder
                    .normal(&**claim, "ProvisioningSucceeded", message);
                Ok(Outcome::Done)
            }
            Err(error) if error.is_already_exists() => Ok(Outcome::Done),
            Err(error) => {
                let cause = error.chain();
                let message = format!("Error saving volume {name}: {cause}");
                self.record_failure(claim, message);
                Err(error.into())
            }
        }
    }

    async fn note_failure(
        &self,
        claim: &Object,
        class: &Object,
        error: ProvisionError,
    ) -> Result<Outcome, Error> {
        let name = class.name();
        let cause = chain(&error);
        let message = format!("failed to provision volume with StorageClass \"{name}\": {cause}");
        self.record_failure(claim, message);
        match error {
            ProvisionError::WrongNode(_) => self.release_node(claim).await,
            error => retry(&error),
        }
    }

    fn record_start(&self, claim: &Object) {
        let key = claim.key();
        let message = format!("External provisioner is provisioning volume for claim \"{key}\"");
        self.recorder.normal(&**claim, "Provisioning", message);
    }

    fn record_failure(&self, claim: &Object, message: String) {
        let reason = "ProvisioningFailed";
        self.recorder.warning(&**claim, reason, message);
    }

    /// Takes the chosen node off a claim, so that the scheduler chooses again.
    async fn release_node(&self, claim: &Object) -> Result<Outcome, Error> {
        let metadata = json!({
            "uid": claim.uid(),
            "resourceVersion": claim.resource_version(),
            "annotations": {names::SELECTED_NODE: null},
        });
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let claims = &resources::PERSISTENT_VOLUME_CLAIMS;
        self.client
            .patch(claims, claim.ns(), claim.name(), &patch)
            .await?;
        Ok(Outcome::Done)
    }

    /// Deletes a released volume: the data first, then the object.
    async fn reclaim_volume(&self, volume: &Object) -> Result<Outcome, Error> {
        if !plan::is_to_delete(volume) {
            return Ok(Outcome::Done);
        }
        let Some(existing) = self.existing(volume) else {
            return Ok(Outcome::Done);
        };
        if !self.is_still_to_delete(volume).await? {
            return Ok(Outcome::Done);
        }
        let deleted = self.provisioner.delete(existing).await;
        if let Err(error) = deleted {
            let cause = chain(&error);
            self.recorder
                .warning(&**volume, "VolumeFailedDelete", cause);
            return retry(&error);
        }
        self.delete_object(volume).await
    }

    fn existing(&self, volume: &Object) -> Option<Existing> {
        let provisioner = &self.provisioner_name;
        plan::existing(volume, provisioner, &self.node_name)
    }

    async fn delete_object(&self, volume: &Object) -> Result<Outcome, Error> {
        let volumes = &resources::PERSISTENT_VOLUMES;
        let params = DeleteParams::default().preconditions(uid_is(volume.uid()));
        let deleted = self
            .client
            .delete(volumes, None, volume.name(), &params)
            .await;
        match deleted {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Outcome::Done),
        }
    }

    /// Asks the API itself: a cache that lags must not cost anyone's data.
    async fn is_still_to_delete(&self, volume: &Object) -> Result<bool, Error> {
        let volumes = &resources::PERSISTENT_VOLUMES;
        let found = self.client.get(volumes, None, volume.name()).await;
        let fresh = match found {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other?,
        };
        let is_same = fresh.uid() == volume.uid();
        Ok(is_same && plan::is_to_delete(&fresh))
    }

    async fn expand_volume(&self, claim: &Object, bytes: u64) -> Result<Outcome, Error> {
        let name = k3s_volume::volume_name(claim.value());
        let Some(volume) = self.volumes.get(name) else {
            return Ok(Outcome::Done);
        };
        let Some(existing) = self.existing(&volume) else {
            return Ok(Outcome::Done);
        };
        match self.provisioner.expand(existing, bytes).await {
            Ok(size) => {
                let size = plan::quantity(size);
                self.write_size(claim, &volume, &size).await
            }
            Err(error) => {
                let cause = chain(&error);
                self.recorder.warning(&**claim, "VolumeResizeFailed", cause);
                retry(&error)
            }
        }
    }

    async fn write_size(
        &self,
        claim: &Object,
        volume: &Object,
        size: &str,
    ) -> Result<Outcome, Error> {
        let capacity = Patch::Merge(json!({
            "spec": {"capacity": {"storage": size}},
        }));
        let volumes = &resources::PERSISTENT_VOLUMES;
        self.client
            .patch(volumes, None, volume.name(), &capacity)
            .await?;
        let status = Patch::Merge(json!({
            "metadata": {"uid": claim.uid()},
            "status": {"capacity": {"storage": size}},
        }));
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

/// What was refused waits for a change, or for a long while; everything else is retried with back-off.
fn retry(error: &ProvisionError) -> Result<Outcome, Error> {
    match error {
        ProvisionError::Refused(_) | ProvisionError::WrongNode(_) => {
            Ok(Outcome::After(REFUSED_AGAIN))
        }
        ProvisionError::Retry(_) | ProvisionError::Unavailable(_) => {
            Err(Error::other(chain(error)))
        }
    }
}
