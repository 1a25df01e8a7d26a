//! What is special about storage plugins: nothing is kept for instances to come but the configuration.

use std::time::Duration;

use k3s_battery::{Component, Kind, Stage, SwapError};
use k3s_plugin_host::{Contract, Limits, PluginState, Refused};
use k3s_wit_bindings::storage::Storage;
use k3s_wit_bindings::storage::exports::k3s::common::plugin::ConfigError;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use super::capability::{self, Grant};

/// The storage provisioner of a node.
pub struct StorageKind {
    grant: Grant,
}

impl StorageKind {
    pub(super) fn new(grant: Grant) -> Self {
        Self { grant }
    }
}

impl Kind for StorageKind {
    const CONTRACT: Contract = super::CONTRACT;

    type Grant = Grant;
    type Bindings = Storage;
    type Session = ();
    type Handover = ();

    /// The disk's time does not count; what is left is choosing a path.
    fn limits(&self) -> Limits {
        Limits {
            call: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn add_to_linker(&self, linker: &mut Linker<PluginState<Grant>>) -> wasmtime::Result<()> {
        capability::add_to_linker(linker)
    }

    fn session(&self, _stage: &Stage) {}

    fn grant(&self, _session: &()) -> Grant {
        self.grant.clone()
    }

    fn instantiate(
        &self,
        store: &mut Store<PluginState<Grant>>,
        pre: &InstancePre<PluginState<Grant>>,
    ) -> wasmtime::Result<Storage> {
        let instance = pre.instantiate(&mut *store)?;
        Storage::new(&mut *store, &instance)
    }

    fn configure(
        &self,
        bindings: &Storage,
        store: &mut Store<PluginState<Grant>>,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), Refused>> {
        let result = bindings.k3s_common_plugin().call_configure(store, config)?;
        Ok(result.map_err(|(ConfigError::Invalid(why) | ConfigError::Other(why))| Refused(why)))
    }

    fn rehearse(&self, candidate: &Component<Self>) -> Result<(), SwapError> {
        Ok(candidate.start()?)
    }
}
