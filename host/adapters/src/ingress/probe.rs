//! A component called directly, one call of the contract at a time, for contract suites.

use std::sync::Arc;

use k3s_battery::{Component, Environment};
use k3s_client::Object;
use k3s_ingress::Batch;
use k3s_ingress::model::{Change, Interest, ObjectKey};
use k3s_plugin_host::{CallError, Host, LoadError, Source};

use super::kind::{RoutingKind, changes, remove, upsert};

/// An ingress component without data plane. Every call blocks.
pub struct RoutingProbe {
    kind: Arc<RoutingKind>,
    component: Component<RoutingKind>,
}

impl RoutingProbe {
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
        let kind: Arc<RoutingKind> = Arc::default();
        let component = Component::load(kind.clone(), host, source, config, environment)?;
        Ok(Self { kind, component })
    }

    /// What it asks for. Makes an instance.
    ///
    /// # Errors
    /// When it fails or refuses its configuration.
    pub fn interests(&self) -> Result<Vec<Interest>, CallError> {
        self.component.call("interests", |bindings, store| {
            bindings.call_interests(store)
        })
    }

    /// Gives objects, through the masks that the component asked for.
    ///
    /// # Errors
    /// When it fails or does not accept them.
    pub fn upsert(&self, objects: Vec<(ObjectKey, Object)>) -> Result<(), CallError> {
        let batch = Batch {
            upserts: objects,
            removals: Vec::new(),
        };
        self.kind.apply(&batch);
        self.component.call("upsert", |bindings, store| {
            let documents = self.component.session().documents(&batch.upserts);
            upsert(bindings, store, documents)
        })
    }

    /// Takes an object away.
    ///
    /// # Errors
    /// When it fails or does not accept that.
    pub fn remove(&self, key: &ObjectKey) -> Result<(), CallError> {
        let batch = Batch {
            upserts: Vec::new(),
            removals: vec![key.clone()],
        };
        self.kind.apply(&batch);
        self.component.call("remove", |bindings, store| {
            let keys = self.component.session().forget(&batch.removals);
            remove(bindings, store, &keys)
        })
    }

    /// One portion of what follows; empty when nothing does any more.
    ///
    /// # Errors
    /// When it fails.
    pub fn compile(&self, limit: u32) -> Result<Vec<Change>, CallError> {
        self.component
            .call("compile", |bindings, store| changes(bindings, store, limit))
    }

    /// Drops the instance, as a failure would.
    pub fn recycle(&self) {
        self.component.recycle();
    }
}
