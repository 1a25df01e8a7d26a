//! From a component to a load balancer.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_plugin_host::{Host, Limits, LoadError, Plugin, PluginSpec, Policy, Source};
use k3s_servicelb::Inputs;
use k3s_wit_bindings::common::exports::k3s::common::plugin::ConfigError;
use k3s_wit_bindings::load_balancer::LoadBalancer as Bindings;
use parking_lot::Mutex;

use super::CONTRACT;
use super::balancer::{Instance, LoadBalancer, Slot};
use super::calls::View;

/// How to run a load balancer.
#[derive(Clone, Debug)]
pub struct LoadBalancerOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For klipper: `reserved`, a list of
    /// `protocol`, `port` and `by`.
    pub config: Vec<u8>,
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

/// Loads `source` (see [`crate::bundled::lb_klipper`]), starts it and checks its configuration. Blocks.
///
/// # Errors
/// When the component is refused, or refuses its configuration.
pub fn open_load_balancer(
    host: &Host,
    source: Source<'_>,
    options: LoadBalancerOptions,
) -> Result<LoadBalancer, LoadError> {
    let inputs: Arc<Mutex<Inputs>> = Arc::default();
    Ok(LoadBalancer::new(
        slot(host, source, options, inputs.clone())?,
        inputs,
    ))
}

/// A component that will be given `inputs` whenever it starts.
pub(super) fn slot(
    host: &Host,
    source: Source<'_>,
    options: LoadBalancerOptions,
    inputs: Arc<Mutex<Inputs>>,
) -> Result<Slot, LoadError> {
    let loaded = host.load(source, &CONTRACT)?;
    let linker = host.linker::<()>()?;
    let config = options.config;
    let spec = PluginSpec {
        limits: limits(),
        policy: options.policy,
        clock: options.clock,
        random: options.random,
        state: Box::new(|| ()),
        bind: Box::new(move |store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            let bindings = Bindings::new(&mut *store, &instance)?;
            match bindings.call_configure(&mut *store, &config)? {
                Ok(()) => {}
                Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => {
                    return Err(wasmtime::Error::msg(format!(
                        "it refuses its configuration: {why}"
                    )));
                }
            }
            let interests = bindings.call_interests(&mut *store)?;
            let mut view = View::new(&interests).map_err(wasmtime::Error::msg)?;
            let calls = view.calls(inputs.lock().everything());
            calls.tell(&bindings, &mut *store)?;
            Ok(bindings)
        }),
    };
    let plugin: Instance = Plugin::new(host, &loaded, &linker, spec)?;
    let interests = plugin
        .call("interests", |b, store| b.call_interests(store))
        .map_err(|e| LoadError::Engine(e.to_string()))?;
    Ok(Slot {
        plugin: Arc::new(plugin),
        view: View::new(&interests).map_err(LoadError::Engine)?,
    })
}

/// Ten thousand Services are some 20 MiB in the guest; a call plans them all, and the first one of an
/// instance reads them all.
fn limits() -> Limits {
    let standard = Limits::default();
    Limits {
        call: Duration::from_secs(10),
        recycle_bytes: standard.memory_bytes,
        ..standard
    }
}
