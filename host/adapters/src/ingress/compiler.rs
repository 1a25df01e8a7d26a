//! The component as the data plane's port.

use std::time::Duration;

use async_trait::async_trait;
use k3s_battery::{Battery, BatteryOptions, Environment, Error};
use k3s_ingress::model::Interest;
use k3s_ingress::{Batch, Compiled, Compiler, CompilerError};
use k3s_plugin_host::{Host, LoadError, Source};

use super::kind::RoutingKind;

/// Calls that wait for their turn. There is one caller, the data plane's reload loop.
const MAX_WAITING: usize = 16;
/// After a failure that does not say when to come back.
const RETRY: Duration = Duration::from_millis(250);
/// A retry is never so soon that the loop spins.
const RETRY_MIN: Duration = Duration::from_millis(1);

/// How to run an ingress component.
#[derive(Clone, Debug)]
pub struct IngressOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For traefik:
    /// `allowExternalNameServices`, `allowCrossNamespace`.
    pub config: Vec<u8>,
    /// What instances are run with.
    pub environment: Environment,
}

/// Routes by plugin.
pub struct WasmCompiler {
    battery: Battery<RoutingKind>,
}

/// Loads `source` (see [`crate::bundled`]).
///
/// # Errors
/// When the component is refused.
pub fn open_ingress(
    host: &Host,
    source: Source<'_>,
    options: IngressOptions,
) -> Result<WasmCompiler, LoadError> {
    let options = BatteryOptions {
        config: options.config,
        max_waiting: MAX_WAITING,
        environment: options.environment,
    };
    let battery = Battery::load(RoutingKind::default(), host, source, options)?;
    Ok(WasmCompiler { battery })
}

impl WasmCompiler {
    /// The engine that runs it.
    #[must_use]
    pub fn battery(&self) -> &Battery<RoutingKind> {
        &self.battery
    }
}

fn no_answer(error: Error) -> CompilerError {
    let retry_after = error.retry_after().unwrap_or(RETRY).max(RETRY_MIN);
    CompilerError {
        source: error.into(),
        retry_after,
    }
}

#[async_trait]
impl Compiler for WasmCompiler {
    async fn interests(&self) -> Result<Vec<Interest>, CompilerError> {
        let asked = self.battery.run(|component| {
            component.call("interests", |bindings, store| {
                bindings.call_interests(store)
            })
        });
        let asked = asked.await.map_err(no_answer)?;
        let followed = &self.battery.kind().followed;
        Ok(followed.get_or_init(|| asked).clone())
    }

    async fn compile(&self, batch: Batch) -> Result<Compiled, CompilerError> {
        let kind = self.battery.kind().clone();
        // Before anything can fail, so that a later instance is given it in any case.
        kind.apply(&batch);
        let compiled = self.battery.run_with_handover(move |component, handover| {
            let new = kind.decide(component, batch)?;
            // What a replacement decided first, unless a fresh instance has repeated it since.
            Ok(match handover.take() {
                Some(mut first) if !new.complete => {
                    first.changes.extend(new.changes);
                    first
                }
                _ => new,
            })
        });
        compiled.await.map_err(no_answer)
    }

    async fn changed(&self) {
        self.battery.replaced().await;
    }
}
