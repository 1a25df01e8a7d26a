//! From a component to a storage provisioner.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_plugin_host::{Host, Limits, LoadError, Plugin, PluginSpec, Policy, Source};
use k3s_wit_bindings::storage::Storage;
use k3s_wit_bindings::storage::exports::k3s::common::plugin::ConfigError;
use parking_lot::Mutex;

use super::CONTRACT;
use super::capability::{self, Grant};
use super::directories::Directories;
use super::provisioner::{Instance, StorageProvisioner};

/// How to run a storage provisioner.
pub struct StorageOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For local-path: `config.json`.
    pub config: Vec<u8>,
    /// Folders whose content is the plugin's.
    pub roots: Vec<PathBuf>,
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

/// A component's configuration, which changes while it runs.
pub(super) type Config = Arc<Mutex<Vec<u8>>>;

/// What instances to come are made with: of this component and of its successors.
#[derive(Clone)]
pub(super) struct Ground {
    grant: Grant,
    policy: Policy,
    clock: Clock,
    random: Random,
}

/// Loads `source` (see [`crate::bundled::storage_local_path`]) with the granted folders as its
/// capability.
///
/// # Errors
/// When the component is refused.
pub fn open_storage(
    host: &Host,
    source: Source<'_>,
    options: StorageOptions,
) -> Result<StorageProvisioner, LoadError> {
    let config = Arc::new(Mutex::new(options.config));
    let ground = Ground {
        grant: Grant {
            directories: Arc::new(Directories::new(options.roots)),
        },
        policy: options.policy,
        clock: options.clock,
        random: options.random,
    };
    let instance = load(host, source, &ground, config.clone())?;
    Ok(StorageProvisioner::new(instance, config, ground))
}

pub(super) fn load(
    host: &Host,
    source: Source<'_>,
    ground: &Ground,
    config: Config,
) -> Result<Instance, LoadError> {
    let loaded = host.load(source, &CONTRACT)?;
    let mut linker = host.linker::<Grant>()?;
    capability::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
    let grant = ground.grant.clone();
    let spec = PluginSpec {
        limits: limits(),
        policy: ground.policy,
        clock: ground.clock.clone(),
        random: ground.random.clone(),
        state: Box::new(move || grant.clone()),
        bind: Box::new(move |store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            let bindings = Storage::new(&mut *store, &instance)?;
            let config = config.lock().clone();
            match bindings
                .k3s_common_plugin()
                .call_configure(&mut *store, &config)?
            {
                Ok(()) => Ok(bindings),
                Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => Err(
                    wasmtime::Error::msg(format!("it refuses its configuration: {why}")),
                ),
            }
        }),
    };
    Plugin::new(host, &loaded, &linker, spec)
}

/// The disk's time does not count; what is left is choosing a path.
fn limits() -> Limits {
    Limits {
        call: Duration::from_secs(5),
        ..Limits::default()
    }
}
