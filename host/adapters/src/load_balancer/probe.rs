//! A component called directly, one call of the contract at a time, for contract suites.

use std::sync::Arc;

use k3s_base::error::Sentence;
use k3s_battery::{Component, Environment};
use k3s_plugin_host::{CallError, Host, LoadError, Source};
use k3s_servicelb::{Changes, Inputs, Proposal};
use k3s_wit_bindings::feed::exports::k3s::common::feed::Error as FeedError;
use k3s_wit_bindings::load_balancer as wit;

use super::calls::{Calls, object_key};
use super::kind::{BalancerKind, one_page};

/// A load balancer component without driver. Every call blocks.
pub struct BalancerProbe {
    kind: Arc<BalancerKind>,
    component: Component<BalancerKind>,
}

impl BalancerProbe {
    /// Loads a component.
    ///
    /// # Errors
    /// When it is refused.
    pub fn load(
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
        environment: &Environment,
    ) -> Result<Self, LoadError> {
        let kind: Arc<BalancerKind> = Arc::default();
        let component = Component::load(kind.clone(), host, source, config, environment)?;
        Ok(Self { kind, component })
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// When it fails or refuses its configuration.
    pub fn start(&self) -> Result<(), CallError> {
        self.component.start()
    }

    /// Drops the instance, as a failure would.
    pub fn recycle(&self) {
        self.component.recycle();
    }

    /// Tells what changed, and gives all that is proposed, asked for `page` at a time.
    ///
    /// # Errors
    /// When the component fails.
    pub fn propose(&self, changes: Changes, page: u32) -> Result<Vec<Proposal>, CallError> {
        let changes = self.kind.inputs.lock().apply(changes);
        BalancerKind::propose(&self.component, &changes, page)
    }

    /// The same, asked for once.
    ///
    /// # Errors
    /// When the component fails.
    pub fn propose_once(&self, changes: Changes, page: u32) -> Result<Vec<Proposal>, CallError> {
        let changes = self.kind.inputs.lock().apply(changes);
        self.component.call("assign", |bindings, store| {
            let calls = Calls::of(&changes, &mut self.component.session().lock());
            calls.make(bindings, &mut *store)?;
            one_page(bindings, store, page)
        })
    }

    /// Gives a Service as these bytes. Inside: whether the component could read it.
    ///
    /// # Errors
    /// When the component fails.
    pub fn upsert_bytes(&self, service: &[u8]) -> Result<Result<(), Sentence>, CallError> {
        let unreadable = wit::Object {
            key: object_key(wit::SERVICE, "default/unreadable"),
            json: service.to_vec(),
        };
        let result = self.component.call("upsert", |bindings, store| {
            bindings.call_upsert(&mut *store, &[unreadable])
        })?;
        Ok(result.map_err(|(FeedError::Invalid(why) | FeedError::Other(why))| why.into()))
    }

    /// Looks at everything that the component was given.
    pub fn with_inputs<R>(&self, read: impl FnOnce(&Inputs) -> R) -> R {
        read(&self.kind.inputs.lock())
    }
}
