//! The component as the driver's port.

use async_trait::async_trait;
use k3s_battery::{Battery, BatteryOptions, Environment};
use k3s_plugin_host::{CallError, Host, LoadError, Source};
use k3s_servicelb::{Assignment, Balancer, BalancerError, Changes};

use super::kind::BalancerKind;

/// Calls that wait for their turn. There is one caller, the driver's loop.
const MAX_WAITING: usize = 16;

/// How to run a load balancer.
#[derive(Clone, Debug)]
pub struct LoadBalancerOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For klipper: `reserved`, a list of
    /// `protocol`, `port` and `by`.
    pub config: Vec<u8>,
    /// What instances are run with.
    pub environment: Environment,
}

/// Why a load balancer did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The component is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It fails, or refuses its configuration.
    #[error(transparent)]
    Start(#[from] CallError),
}

/// A load balancer by plugin.
pub struct LoadBalancer {
    battery: Battery<BalancerKind>,
}

/// Loads `source` (see [`crate::bundled`]) and starts it. Blocks.
///
/// # Errors
/// When the component is refused, or refuses its configuration.
pub fn open_load_balancer(
    host: &Host,
    source: Source<'_>,
    options: LoadBalancerOptions,
) -> Result<LoadBalancer, OpenError> {
    let options = BatteryOptions {
        config: options.config,
        max_waiting: MAX_WAITING,
        environment: options.environment,
    };
    let battery = Battery::load(BalancerKind::default(), host, source, options)?;
    battery.start()?;
    Ok(LoadBalancer { battery })
}

impl LoadBalancer {
    /// The engine that runs it.
    #[must_use]
    pub fn battery(&self) -> &Battery<BalancerKind> {
        &self.battery
    }
}

#[async_trait]
impl Balancer for LoadBalancer {
    async fn update(&self, changes: Changes) -> Result<Vec<Assignment>, BalancerError> {
        let kind = self.battery.kind().clone();
        // Before anything can fail, so that a later instance is given them in any case.
        let changes = kind.inputs.lock().apply(changes);
        let assigned = self.battery.run_with_handover(move |component, handover| {
            let newer = kind.assign(component, &changes)?;
            let mut all = handover.take().unwrap_or_default();
            all.extend(newer);
            Ok(all)
        });
        assigned.await.map_err(|error| BalancerError(error.into()))
    }

    async fn replaced(&self) {
        self.battery.replaced().await;
    }
}
