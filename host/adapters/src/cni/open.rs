//! From a component to a pod network.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_plugin_host::{Host, Limits, LoadError, Plugin, PluginSpec, Policy, Source};
use k3s_wit_bindings::cni::Cni;
use k3s_wit_bindings::cni::exports::k3s::common::plugin::ConfigError;
use parking_lot::Mutex;

use super::CONTRACT;
use super::capability::{self, Grant};
use super::ipam::Ipam;
use super::net::NetHost;
use super::network::{CniNetwork, LastSync};

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

/// Loads `source` (see [`crate::bundled::cni_flannel`]) with the node's network as its capability.
///
/// # Errors
/// When the component is refused.
pub fn open_cni(host: &Host, source: Source<'_>, options: CniOptions) -> Result<CniNetwork, LoadError> {
    let loaded = host.load(source, &CONTRACT)?;
    let mut linker = host.linker::<Grant>()?;
    capability::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
    let grant = Grant { net: Arc::new(options.net), ipam: Arc::new(Ipam::new(options.leases)) };
    let last_sync: Arc<Mutex<Option<LastSync>>> = Arc::default();
    let (net, replay, config) = (grant.net.clone(), last_sync.clone(), options.config);
    let spec = PluginSpec {
        limits: limits(),
        policy: options.policy,
        clock: options.clock,
        random: options.random,
        state: Box::new(move || grant.clone()),
        bind: Box::new(move |store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            let bindings = Cni::new(&mut *store, &instance)?;
            match bindings.k3s_common_plugin().call_configure(&mut *store, &config)? {
                Ok(()) => {}
                Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => {
                    return Err(wasmtime::Error::msg(format!("it refuses its configuration: {why}")));
                }
            }
            let last = replay.lock().clone();
            if let Some(last) = last {
                let result = bindings.k3s_cni_network().call_sync(&mut *store, &last.this_node, &last.nodes)?;
                if let Err(error) = result {
                    tracing::warn!(?error, "a fresh pod network instance could not repeat the last sync");
                }
            }
            Ok(bindings)
        }),
    };
    let plugin = Plugin::new(host, &loaded, &linker, spec)?;
    Ok(CniNetwork::new(plugin, net, last_sync))
}

/// A plan of a large cluster is a few MiB of routes; the guest's own work is microseconds per node.
fn limits() -> Limits {
    Limits { call: Duration::from_secs(5), ..Limits::default() }
}
