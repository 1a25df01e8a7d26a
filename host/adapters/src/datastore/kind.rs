//! What is special about datastore plugins: several instances run at a time, each over a connection of
//! its own, and nothing is kept for instances to come but the configuration.

use std::sync::Arc;
use std::time::Duration;

use k3s_battery::{Kind, Stage};
use k3s_plugin_host::{Contract, Limits, PluginState, Refused};
use k3s_wit_bindings::datastore::Datastore;
use k3s_wit_bindings::datastore::exports::k3s::common::plugin::ConfigError;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use super::capability::{self, Grant};
use super::link::Connect;

/// The name under which a datastore finds its database.
const GRANT: &str = "datastore";

/// Instances that write, or those that read.
pub(super) struct DatastoreKind {
    connect: Arc<dyn Connect>,
}

impl DatastoreKind {
    pub(super) fn new(connect: Arc<dyn Connect>) -> Self {
        Self { connect }
    }
}

impl Kind for DatastoreKind {
    const CONTRACT: Contract = super::CONTRACT;

    type Grant = Grant;
    type Bindings = Datastore;
    type Session = ();
    type Handover = ();

    /// A datastore handles batches of some MiB; its own work per call is milliseconds.
    fn limits(&self) -> Limits {
        Limits {
            memory_bytes: 256 << 20,
            call: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn add_to_linker(&self, linker: &mut Linker<PluginState<Grant>>) -> wasmtime::Result<()> {
        capability::add_to_linker(linker)
    }

    fn session(&self, _stage: &Stage) {}

    fn grant(&self, _session: &()) -> Grant {
        Grant::new(GRANT, self.connect.clone())
    }

    fn instantiate(
        &self,
        store: &mut Store<PluginState<Grant>>,
        pre: &InstancePre<PluginState<Grant>>,
    ) -> wasmtime::Result<Datastore> {
        let instance = pre.instantiate(&mut *store)?;
        Datastore::new(&mut *store, &instance)
    }

    fn configure(
        &self,
        bindings: &Datastore,
        store: &mut Store<PluginState<Grant>>,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), Refused>> {
        let result = bindings.k3s_common_plugin().call_configure(store, config)?;
        Ok(result.map_err(|(ConfigError::Invalid(why) | ConfigError::Other(why))| Refused(why)))
    }
}
