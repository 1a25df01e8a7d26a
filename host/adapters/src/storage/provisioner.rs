//! The component as the driver calls it: one call at a time, off the runtime's threads, replaceable
//! while the driver runs.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_plugin_host::{Host, LoadError, Plugin, PluginState, Source, Status};
use k3s_storage::{Class, Existing, Node, ProvisionError, Provisioner, Request, Volume};
use k3s_wit_bindings::storage::Storage;
use k3s_wit_bindings::storage::exports::k3s::common::plugin::ConfigError;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::Store;

use super::capability::Grant;
use super::convert;
use super::open::{Config, Ground, load};

/// The component with its capability.
pub(super) type Instance = Plugin<Grant, Storage>;

/// A component and what it is configured with.
#[derive(Clone)]
struct Running {
    plugin: Arc<Instance>,
    config: Config,
}

/// A provisioner by plugin.
pub struct StorageProvisioner {
    running: RwLock<Running>,
    ground: Ground,
    /// One call at a time, so that waiting callers hold no threads. Callers are the driver's few
    /// workers, so the line is short.
    turn: Semaphore,
}

impl StorageProvisioner {
    pub(super) fn new(plugin: Instance, config: Config, ground: Ground) -> Self {
        let running = RwLock::new(Running {
            plugin: Arc::new(plugin),
            config,
        });
        Self {
            running,
            ground,
            turn: Semaphore::new(1),
        }
    }

    /// How the instance is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.running().plugin.status()
    }

    fn running(&self) -> Running {
        self.running.read().clone()
    }

    /// Puts another component in its place. The new one is loaded and has taken its configuration
    /// before the old one goes; calls under way end on the old one. Blocks.
    ///
    /// # Errors
    /// When the new one is refused or does not start; the old one goes on.
    pub fn swap(&self, host: &Host, source: Source<'_>, config: Vec<u8>) -> Result<(), LoadError> {
        let name = source.name.to_owned();
        let config = Arc::new(Mutex::new(config));
        let fresh = load(host, source, &self.ground, config.clone())?;
        fresh
            .call("describe", |b, store| {
                b.k3s_common_plugin().call_describe(store)
            })
            .map_err(|error| LoadError::Invalid {
                name,
                reason: error.to_string(),
            })?;
        *self.running.write() = Running {
            plugin: Arc::new(fresh),
            config,
        };
        Ok(())
    }

    /// Room for new volumes of a class on a node, in bytes.
    ///
    /// # Errors
    /// When the plugin cannot say.
    pub async fn capacity(&self, class: Class, node: Node) -> Result<u64, ProvisionError> {
        let (class, node) = (convert::class(class), convert::node(node));
        self.call("capacity", move |b, store| {
            b.k3s_storage_provisioner()
                .call_capacity(store, &class, &node)
        })
        .await?
        .map_err(convert::error)
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Storage, &mut Store<PluginState<Grant>>) -> wasmtime::Result<T>
        + Send
        + 'static,
    ) -> Result<T, ProvisionError> {
        let _turn = self.turn().await?;
        run(self.running().plugin, function, call).await
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, ProvisionError> {
        let turn = self.turn.acquire().await;
        turn.map_err(|closed| ProvisionError::Unavailable(closed.into()))
    }
}

async fn run<T: Send + 'static>(
    plugin: Arc<Instance>,
    function: &'static str,
    call: impl FnOnce(&Storage, &mut Store<PluginState<Grant>>) -> wasmtime::Result<T> + Send + 'static,
) -> Result<T, ProvisionError> {
    tokio::task::spawn_blocking(move || plugin.call(function, call))
        .await
        .map_err(|lost| ProvisionError::Unavailable(lost.into()))?
        .map_err(|error| ProvisionError::Unavailable(error.into()))
}

#[async_trait]
impl Provisioner for StorageProvisioner {
    async fn configure(&self, config: Vec<u8>) -> Result<(), ProvisionError> {
        let running = self.running();
        if *running.config.lock() == config {
            return Ok(());
        }
        let given = config.clone();
        let configure = move |b: &Storage, store: &mut Store<PluginState<Grant>>| {
            b.k3s_common_plugin().call_configure(store, &given)
        };
        let result = {
            let _turn = self.turn().await?;
            run(running.plugin.clone(), "configure", configure).await?
        };
        match result {
            Ok(()) => {
                *running.config.lock() = config;
                Ok(())
            }
            Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => {
                // What the refused attempt left behind is dropped with the instance.
                running.plugin.recycle();
                Err(ProvisionError::Refused(why))
            }
        }
    }

    async fn provision(&self, request: Request) -> Result<Volume, ProvisionError> {
        let request = convert::request(request);
        self.call("provision", move |b, store| {
            b.k3s_storage_provisioner().call_provision(store, &request)
        })
        .await?
        .map(convert::volume)
        .map_err(convert::error)
    }

    async fn delete(&self, volume: Existing) -> Result<(), ProvisionError> {
        let volume = convert::existing(volume);
        self.call("delete", move |b, store| {
            b.k3s_storage_provisioner().call_delete(store, &volume)
        })
        .await?
        .map_err(convert::error)
    }

    async fn expand(&self, volume: Existing, bytes: u64) -> Result<u64, ProvisionError> {
        let volume = convert::existing(volume);
        self.call("expand", move |b, store| {
            b.k3s_storage_provisioner()
                .call_expand(store, &volume, bytes)
        })
        .await?
        .map_err(convert::error)
    }
}
