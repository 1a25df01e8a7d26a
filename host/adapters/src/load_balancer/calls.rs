//! From changes to calls of the contract: documents and keys, as many at a time as a call may carry.

use std::collections::BTreeSet;
use std::sync::Arc;

use k3s_battery::feed::{View, batches};
use k3s_client::{Obj, Object};
use k3s_plugin_host::PluginState;
use k3s_servicelb::Changes;
use k3s_wit_bindings::load_balancer::{self as wit, LoadBalancer as Bindings};
use wasmtime::Store;

use crate::feed::accepted;

/// What a component has seen: Services by `namespace/name`, nodes by name.
pub(super) type Seen = View<Arc<str>>;

/// Largest document of one object, and of one call; the contract's limits.
const OBJECT_LIMIT: usize = 64 << 10;
const CALL_LIMIT: usize = 1 << 20;
/// Keys in one call.
const KEYS_LIMIT: usize = 10_000;

/// The calls of one update.
#[derive(Debug, Default)]
pub(super) struct Calls {
    nodes: Vec<wit::Object>,
    removals: Vec<wit::ObjectKey>,
    services: Vec<wit::Object>,
    ready: Vec<wit::ReadyNodes>,
}

impl Calls {
    /// The calls that bring a component with this view up to date.
    pub(super) fn of(changes: &Changes, view: &mut Seen) -> Self {
        let mut calls = Self::default();
        calls.nodes = calls.documents(wit::NODE, &changes.nodes, view);
        calls.services = calls.documents(wit::SERVICE, &changes.services, view);
        let ready = changes.ready.iter();
        calls.ready = ready.map(|(key, nodes)| ready_nodes(key, nodes)).collect();
        calls
    }

    /// Objects of which the component sees a difference; keys of deleted ones are added to the removals.
    fn documents(
        &mut self,
        kind: &str,
        changes: &[(Arc<str>, Option<Object>)],
        view: &mut Seen,
    ) -> Vec<wit::Object> {
        let mut documents = Vec::new();
        for (key, object) in changes {
            match object {
                Some(object) => documents.extend(document(kind, key, object, view)),
                None => {
                    view.forget(key);
                    self.removals.push(object_key(kind, key));
                }
            }
        }
        documents
    }

    /// Makes the calls.
    pub(super) fn make(
        self,
        bindings: &Bindings,
        store: &mut Store<PluginState<()>>,
    ) -> wasmtime::Result<()> {
        let size = |object: &wit::Object| object.json.len();
        for batch in batches(self.nodes, size, CALL_LIMIT) {
            accepted(bindings.call_upsert(&mut *store, &batch)?)?;
        }
        for batch in self.removals.chunks(KEYS_LIMIT) {
            accepted(bindings.call_remove(&mut *store, batch)?)?;
        }
        for batch in batches(self.services, size, CALL_LIMIT) {
            accepted(bindings.call_upsert(&mut *store, &batch)?)?;
        }
        for batch in self.ready.chunks(KEYS_LIMIT) {
            bindings.call_set_ready_nodes(&mut *store, batch)?;
        }
        Ok(())
    }
}

/// The masked object, if it differs from what the component saw last.
fn document(kind: &str, key: &Arc<str>, object: &Obj, view: &mut Seen) -> Option<wit::Object> {
    let json = view.difference(("", kind), key, object)?;
    if json.len() > OBJECT_LIMIT {
        let bytes = json.len();
        tracing::warn!(kind, object = %key, bytes, "too large for the load balancer, which keeps what it had");
        return None;
    }
    let key = object_key(kind, key);
    Some(wit::Object { key, json })
}

/// From the key of a Service, `namespace/name`, or the name of a Node.
pub(super) fn object_key(kind: &str, key: &str) -> wit::ObjectKey {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    wit::ObjectKey {
        group: String::new(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn ready_nodes(key: &str, nodes: &BTreeSet<String>) -> wit::ReadyNodes {
    wit::ReadyNodes {
        service: key.to_owned(),
        nodes: nodes.iter().cloned().collect(),
    }
}
