//! What is special about pod network plugins: a candidate plans without effect, and takes over by
//! setting up the node.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_battery::{Component, Kind, Stage, SwapError};
use k3s_plugin_host::{Contract, Limits, PluginState, Refused};
use k3s_podnetwork::{NodeNetwork, Rehearsal};
use k3s_wit_bindings::cni::Cni;
use k3s_wit_bindings::cni::exports::k3s::cni::network as wit;
use k3s_wit_bindings::cni::exports::k3s::common::plugin::ConfigError;
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use super::capability::{self, Grant};
use super::convert;

/// The arguments of the last `sync`, for instances to come.
#[derive(Clone, Debug)]
pub(super) struct LastSync {
    pub(super) this_node: String,
    pub(super) nodes: Vec<wit::Node>,
}

/// A component runs and cannot set the node up.
#[derive(Debug, thiserror::Error)]
#[error("it cannot set up the node's network: {0}")]
struct SetUpError(String);

/// The pod network of a node.
pub struct CniKind {
    grant: Grant,
    last_sync: Mutex<Option<LastSync>>,
}

impl CniKind {
    pub(super) fn new(grant: Grant) -> Self {
        Self {
            grant,
            last_sync: Mutex::default(),
        }
    }

    /// Later instances get the same.
    pub(super) fn set_last_sync(&self, last: LastSync) {
        *self.last_sync.lock() = Some(last);
    }

    /// The last `sync` again, if there was one. That the node is not ready is not the component's fault.
    fn set_up_node(&self, component: &Component<Self>) -> Result<(), SwapError> {
        let Some(last) = self.last_sync.lock().clone() else {
            return Ok(());
        };
        let result = component.try_call("sync", "", |bindings, store| {
            let network = bindings.k3s_cni_network();
            network.call_sync(store, &last.this_node, &last.nodes)
        });
        match result? {
            Ok(_) | Err(wit::Error::NotReady(_)) => Ok(()),
            Err(error) => {
                let why = convert::error(error).message;
                Err(SwapError::Unfit(Box::new(SetUpError(why))))
            }
        }
    }
}

impl Kind for CniKind {
    const CONTRACT: Contract = super::CONTRACT;

    type Grant = Grant;
    type Bindings = Cni;
    /// The node as the component reaches it.
    type Session = Arc<dyn NodeNetwork>;
    type Handover = ();

    /// A plan of a large cluster is a few MiB of routes; the guest's own work is microseconds per
    /// node.
    fn limits(&self) -> Limits {
        Limits {
            call: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    fn add_to_linker(&self, linker: &mut Linker<PluginState<Grant>>) -> wasmtime::Result<()> {
        capability::add_to_linker(linker)
    }

    fn session(&self, stage: &Stage) -> Self::Session {
        Arc::new(Rehearsal::new(self.grant.net.clone(), stage.flag()))
    }

    fn grant(&self, session: &Self::Session) -> Grant {
        Grant {
            net: session.clone(),
            ipam: self.grant.ipam.clone(),
        }
    }

    fn instantiate(
        &self,
        store: &mut Store<PluginState<Grant>>,
        pre: &InstancePre<PluginState<Grant>>,
    ) -> wasmtime::Result<Cni> {
        let instance = pre.instantiate(&mut *store)?;
        Cni::new(&mut *store, &instance)
    }

    fn configure(
        &self,
        bindings: &Cni,
        store: &mut Store<PluginState<Grant>>,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), Refused>> {
        let result = bindings.k3s_common_plugin().call_configure(store, config)?;
        Ok(result.map_err(|(ConfigError::Invalid(why) | ConfigError::Other(why))| Refused(why)))
    }

    /// Does nothing for a candidate: its first `sync` is part of its rehearsal.
    fn replay(
        &self,
        bindings: &Cni,
        store: &mut Store<PluginState<Grant>>,
        _session: &Self::Session,
        stage: &Stage,
    ) -> wasmtime::Result<()> {
        let last = self.last_sync.lock().clone();
        let Some(last) = last.filter(|_| stage.is_active()) else {
            return Ok(());
        };
        let network = bindings.k3s_cni_network();
        if let Err(error) = network.call_sync(store, &last.this_node, &last.nodes)? {
            tracing::warn!(
                ?error,
                "a fresh pod network instance could not repeat the last sync"
            );
        }
        Ok(())
    }

    fn rehearse(&self, candidate: &Component<Self>) -> Result<(), SwapError> {
        candidate.start()?;
        self.set_up_node(candidate)
    }

    /// Pods that run keep what was made for them, as far as the set-up of the node leaves it.
    fn take_over(&self, candidate: &Component<Self>) -> Result<Option<()>, SwapError> {
        self.set_up_node(candidate)?;
        Ok(None)
    }

    fn restore(&self, active: &Component<Self>) {
        if let Err(error) = self.set_up_node(active) {
            let error = chain(&error);
            tracing::warn!(
                error,
                "the active pod network could not set up the node again"
            );
        }
    }
}
