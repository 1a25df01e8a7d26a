//! How a battery that runs gets another component.

use anyhow::Result;
use k3s_battery::Replaceable;
use k3s_plugin_host::Host;
use serde_json::{Map, Value};

use super::Component;

/// Settings of a component that follow from those that the server started with.
type KnownSettings = Box<dyn Fn(&Component) -> Map<String, Value> + Send + Sync>;

/// Called with the configuration that is in force after a replacement.
type OnReplaced = Box<dyn Fn(&[u8]) + Send + Sync>;

/// A battery that runs.
pub(crate) struct Running {
    battery: Box<dyn Replaceable>,
    /// The plugin host, without grants.
    host: Host,
    known: KnownSettings,
    on_replaced: Option<OnReplaced>,
}

impl Running {
    /// A component of this battery is configured with what is `known` and the operator's settings.
    pub(crate) fn new(
        battery: impl Replaceable + 'static,
        host: &Host,
        known: impl Fn(&Component) -> Map<String, Value> + Send + Sync + 'static,
    ) -> Self {
        Self {
            battery: Box::new(battery),
            host: host.clone(),
            known: Box::new(known),
            on_replaced: None,
        }
    }

    /// Calls `notify` with the configuration that is in force after each replacement.
    pub(crate) fn on_replaced(self, notify: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self {
            on_replaced: Some(Box::new(notify)),
            ..self
        }
    }

    /// Puts `new` in the running component's place, or fails and leaves that.
    pub(super) async fn replace(&self, new: &Component) -> Result<()> {
        let config = new.config((self.known)(new));
        let host = new.host(&self.host);
        self.battery
            .replace(&host, new.source(), config.clone())
            .await?;
        if let Some(on_replaced) = &self.on_replaced {
            tokio::task::block_in_place(|| on_replaced(&config));
        }
        Ok(())
    }
}
