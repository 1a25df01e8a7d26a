//! From a component to a pod network.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_plugin_host::{Host, Limits, LoadError, Plugin, PluginSpec, PluginState, Policy, Source};
use k3s_podnetwork::{Ipam, NetHost, NodeNetwork, Rehearsal};
use k3s_wit_bindings::cni::Cni;
use k3s_wit_bindings::cni::exports::k3s::common::plugin::ConfigError;
use parking_lot::Mutex;
use wasmtime::Store;

use super::CONTRACT;
use super::capability::{self, Grant};
use super::network::{CniNetwork, Instance, LastSync};

/// How to run a pod network.
pub struct CniOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For flannel: `network`, `backend`
    /// (`vxlan`, `host-gw`), `ipMasq`.
    pub config: Vec<u8>,
    /// Where leases are kept; `/var/lib/cni/networks`.
    pub leases: PathBuf,
    /// The node's network.
    pub net: NetHost,
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

/// What every component of this node's network is run with, one after the other.
pub(super) struct Parts {
    pub(super) grant: Grant,
    pub(super) last_sync: Arc<Mutex<Option<LastSync>>>,
    policy: Policy,
    clock: Clock,
    random: Random,
}

/// Loads `source` (see [`crate::bundled::cni_flannel`]) with the node's network as its capability.
///
/// # Errors
/// When the component is refused.
pub fn open_cni(
    host: &Host,
    source: Source<'_>,
    options: CniOptions,
) -> Result<CniNetwork, LoadError> {
    let CniOptions {
        config,
        leases,
        net,
        policy,
        clock,
        random,
    } = options;
    open_on(
        host,
        source,
        config,
        Parts::new(Arc::new(net), Ipam::new(leases), policy, clock, random),
    )
}

/// The same on any network.
pub(super) fn open_on(
    host: &Host,
    source: Source<'_>,
    config: Vec<u8>,
    parts: Parts,
) -> Result<CniNetwork, LoadError> {
    let (plugin, _) = parts.instance(host, source, config, true)?;
    Ok(CniNetwork::new(plugin, parts))
}

impl Parts {
    pub(super) fn new(
        net: Arc<dyn NodeNetwork>,
        ipam: Ipam,
        policy: Policy,
        clock: Clock,
        random: Random,
    ) -> Self {
        let grant = Grant {
            net,
            ipam: Arc::new(ipam),
        };
        Self {
            grant,
            last_sync: Arc::default(),
            policy,
            clock,
            random,
        }
    }

    /// A component with this node's capabilities. Until it is live nothing that it plans is done, and a
    /// fresh instance is not told of the last `sync`, so that it can be tried without touching the node.
    pub(super) fn instance(
        &self,
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
        live: bool,
    ) -> Result<(Instance, Arc<AtomicBool>), LoadError> {
        let loaded = host.load(source, &CONTRACT)?;
        let mut linker = host.linker::<Grant>()?;
        capability::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        let switch = Arc::new(AtomicBool::new(live));
        let net = Arc::new(Rehearsal::new(self.grant.net.clone(), switch.clone()));
        let grant = Grant {
            net,
            ipam: self.grant.ipam.clone(),
        };
        let (last_sync, live) = (self.last_sync.clone(), switch.clone());
        let spec = PluginSpec {
            limits: limits(),
            policy: self.policy,
            clock: self.clock.clone(),
            random: self.random.clone(),
            state: Box::new(move || grant.clone()),
            bind: Box::new(move |store, pre| {
                let instance = pre.instantiate(&mut *store)?;
                let bindings = Cni::new(&mut *store, &instance)?;
                configure(&bindings, store, &config)?;
                let last = last_sync
                    .lock()
                    .clone()
                    .filter(|_| live.load(Ordering::Relaxed));
                if let Some(last) = last {
                    replay(&bindings, store, &last)?;
                }
                Ok(bindings)
            }),
        };
        Ok((Plugin::new(host, &loaded, &linker, spec)?, switch))
    }
}

fn configure(
    bindings: &Cni,
    store: &mut Store<PluginState<Grant>>,
    config: &[u8],
) -> wasmtime::Result<()> {
    match bindings.k3s_common_plugin().call_configure(store, config)? {
        Ok(()) => Ok(()),
        Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => Err(wasmtime::Error::msg(
            format!("it refuses its configuration: {why}"),
        )),
    }
}

fn replay(
    bindings: &Cni,
    store: &mut Store<PluginState<Grant>>,
    last: &LastSync,
) -> wasmtime::Result<()> {
    let result = bindings
        .k3s_cni_network()
        .call_sync(store, &last.this_node, &last.nodes)?;
    if let Err(error) = result {
        tracing::warn!(
            ?error,
            "a fresh pod network instance could not repeat the last sync"
        );
    }
    Ok(())
}

/// A plan of a large cluster is a few MiB of routes; the guest's own work is microseconds per node.
fn limits() -> Limits {
    Limits {
        call: Duration::from_secs(5),
        ..Limits::default()
    }
}
