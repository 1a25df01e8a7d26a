//! The component as the driver's port.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k3s_battery::{Battery, BatteryOptions, Environment, Error};
use k3s_plugin_host::{CallError, Host, LoadError, PluginState, Source};
use k3s_storage::{Class, Existing, Node, ProvisionError, Provisioner, Request, Volume};
use k3s_wit_bindings::storage::Storage;
use k3s_wit_bindings::storage::exports::k3s::storage::provisioner as wit;
use wasmtime::Store;

use super::capability::Grant;
use super::convert;
use super::directories::Directories;
use super::kind::StorageKind;

/// Calls that wait for their turn. Callers are the driver's few workers, so the line is shorter.
const MAX_WAITING: usize = 64;

/// How to run a storage provisioner.
pub struct StorageOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For local-path: `config.json`.
    pub config: Vec<u8>,
    /// Folders whose content is the plugin's.
    pub roots: Vec<PathBuf>,
    /// What instances are run with.
    pub environment: Environment,
}

/// A provisioner by plugin.
pub struct StorageProvisioner {
    battery: Battery<StorageKind>,
}

type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

/// Loads `source` (see [`crate::bundled`]) with the granted folders as its
/// capability.
///
/// # Errors
/// When the component is refused.
pub fn open_storage(
    host: &Host,
    source: Source<'_>,
    options: StorageOptions,
) -> Result<StorageProvisioner, LoadError> {
    let directories = Arc::new(Directories::new(options.roots));
    let kind = StorageKind::new(Grant { directories });
    let options = BatteryOptions {
        config: options.config,
        max_waiting: MAX_WAITING,
        environment: options.environment,
    };
    let battery = Battery::load(kind, host, source, options)?;
    Ok(StorageProvisioner { battery })
}

impl StorageProvisioner {
    /// The engine that runs it.
    #[must_use]
    pub fn battery(&self) -> &Battery<StorageKind> {
        &self.battery
    }

    /// Room for new volumes of a class on a node, in bytes.
    ///
    /// # Errors
    /// When the plugin cannot say.
    pub async fn capacity(&self, class: Class, node: Node) -> Result<u64, ProvisionError> {
        let (class, node) = (convert::class(class), convert::node(node));
        self.call("capacity", move |bindings, store| {
            let provisioner = bindings.k3s_storage_provisioner();
            provisioner.call_capacity(store, &class, &node)
        })
        .await
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Storage, &mut Store<PluginState<Grant>>) -> Answer<T> + Send + 'static,
    ) -> Result<T, ProvisionError> {
        let result = self
            .battery
            .run(move |component| component.call(function, call));
        result.await.map_err(unavailable)?.map_err(convert::error)
    }
}

fn unavailable(error: Error) -> ProvisionError {
    ProvisionError::Unavailable(error.into())
}

#[async_trait]
impl Provisioner for StorageProvisioner {
    async fn configure(&self, config: Vec<u8>) -> Result<(), ProvisionError> {
        match self.battery.configure(config).await {
            Err(Error::Call(CallError::Refused { reason, .. })) => {
                Err(ProvisionError::Refused(reason))
            }
            result => result.map_err(unavailable),
        }
    }

    async fn provision(&self, request: Request) -> Result<Volume, ProvisionError> {
        let request = convert::request(request);
        let made = self.call("provision", move |bindings, store| {
            let provisioner = bindings.k3s_storage_provisioner();
            provisioner.call_provision(store, &request)
        });
        made.await.map(convert::volume)
    }

    async fn delete(&self, volume: Existing) -> Result<(), ProvisionError> {
        let volume = convert::existing(volume);
        self.call("delete", move |bindings, store| {
            let provisioner = bindings.k3s_storage_provisioner();
            provisioner.call_delete(store, &volume)
        })
        .await
    }

    async fn expand(&self, volume: Existing, bytes: u64) -> Result<u64, ProvisionError> {
        let volume = convert::existing(volume);
        self.call("expand", move |bindings, store| {
            let provisioner = bindings.k3s_storage_provisioner();
            provisioner.call_expand(store, &volume, bytes)
        })
        .await
    }
}
