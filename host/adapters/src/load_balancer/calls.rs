//! From changes to calls: what the plugin sees of each object, whether that differs from what it saw
//! last, and how much goes into one call.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k3s_client::{Obj, Object};
use k3s_plugin_host::PluginState;
use k3s_servicelb::Changes;
use k3s_wit_bindings::load_balancer::LoadBalancer as Bindings;
use k3s_wit_bindings::load_balancer::exports::k3s::load_balancer::balancer as wit;
use wasmtime::Store;

use super::mask::Mask;

/// Largest document of one object, and of one call; the contract's limits.
const OBJECT_LIMIT: usize = 64 << 10;
const CALL_LIMIT: usize = 1 << 20;
/// Keys in one call.
const KEYS_LIMIT: usize = 10_000;

/// The plugin's masks, and what it saw last through them.
#[derive(Debug)]
pub(super) struct View {
    services: Seen,
    nodes: Seen,
}

#[derive(Debug)]
struct Seen {
    mask: Mask,
    documents: HashMap<Arc<str>, Vec<u8>>,
}

/// The calls of one update.
#[derive(Debug, Default)]
pub(super) struct Calls {
    services: Vec<Vec<u8>>,
    gone_services: Vec<String>,
    nodes: Vec<Vec<u8>>,
    gone_nodes: Vec<String>,
    ready: Vec<wit::ReadyNodes>,
}

impl View {
    pub(super) fn new(masks: &wit::Mask) -> Self {
        Self {
            services: Seen::new(&masks.services),
            nodes: Seen::new(&masks.nodes),
        }
    }

    /// The calls that bring the plugin up to date.
    pub(super) fn calls(&mut self, changes: Changes) -> Calls {
        let (services, gone_services) = self.services.split(changes.services);
        let (nodes, gone_nodes) = self.nodes.split(changes.nodes);
        let ready = changes.ready.iter();
        Calls {
            services,
            gone_services,
            nodes,
            gone_nodes,
            ready: ready.map(|(key, nodes)| ready_nodes(key, nodes)).collect(),
        }
    }
}

impl Seen {
    fn new(fields: &[String]) -> Self {
        Self {
            mask: Mask::new(fields),
            documents: HashMap::new(),
        }
    }

    /// Documents that look different from before, and keys of what was deleted.
    fn split(&mut self, changes: Vec<(Arc<str>, Option<Object>)>) -> (Vec<Vec<u8>>, Vec<String>) {
        let (mut documents, mut gone) = (Vec::new(), Vec::new());
        for (key, object) in changes {
            match object {
                Some(object) => documents.extend(self.difference(&key, &object)),
                None => {
                    self.documents.remove(&key);
                    gone.push(key.to_string());
                }
            }
        }
        (documents, gone)
    }

    /// The object through the mask, if it looks different from before.
    fn difference(&mut self, key: &Arc<str>, object: &Obj) -> Option<Vec<u8>> {
        let bytes = self.mask.apply(object.value());
        if bytes.len() > OBJECT_LIMIT {
            tracing::warn!(object = %key, bytes = bytes.len(), "too large for the load balancer, which keeps what it had");
            return None;
        }
        if self.documents.get(key) == Some(&bytes) {
            return None;
        }
        self.documents.insert(key.clone(), bytes.clone());
        Some(bytes)
    }
}

fn ready_nodes(key: &str, nodes: &BTreeSet<String>) -> wit::ReadyNodes {
    wit::ReadyNodes {
        service: key.to_owned(),
        nodes: nodes.iter().cloned().collect(),
    }
}

impl Calls {
    /// Tells the plugin. What it cannot read is its own loss, with a warning.
    pub(super) fn tell(
        &self,
        plugin: &Bindings,
        store: &mut Store<PluginState<()>>,
    ) -> wasmtime::Result<()> {
        let balancer = plugin.k3s_load_balancer_balancer();
        for batch in batches(&self.nodes) {
            understood(balancer.call_upsert_nodes(&mut *store, batch)?);
        }
        for batch in self.gone_nodes.chunks(KEYS_LIMIT) {
            balancer.call_remove_nodes(&mut *store, batch)?;
        }
        for batch in self.gone_services.chunks(KEYS_LIMIT) {
            balancer.call_remove_services(&mut *store, batch)?;
        }
        for batch in batches(&self.services) {
            understood(balancer.call_upsert_services(&mut *store, batch)?);
        }
        for batch in self.ready.chunks(KEYS_LIMIT) {
            balancer.call_set_ready_nodes(&mut *store, batch)?;
        }
        Ok(())
    }
}

fn understood(result: Result<(), wit::Error>) {
    if let Err(wit::Error::Invalid(why) | wit::Error::Other(why)) = result {
        tracing::warn!(why, "the load balancer cannot read an object");
    }
}

/// Runs of documents that fit into one call.
fn batches(documents: &[Vec<u8>]) -> Vec<&[Vec<u8>]> {
    let (mut batches, mut rest) = (Vec::new(), documents);
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fits = |document: &&Vec<u8>| {
            bytes = bytes.saturating_add(document.len());
            bytes <= CALL_LIMIT
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (batch, after) = rest.split_at(count.min(rest.len()));
        batches.push(batch);
        rest = after;
    }
    batches
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(kind: &str, version: &str) -> Object {
        let object = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": kind},
            "metadata": {"name": "s", "namespace": "n", "resourceVersion": version}});
        Obj::from_value(object).unwrap()
    }

    fn change(object: Option<Object>) -> Changes {
        Changes {
            services: vec![("n/s".into(), object)],
            ..Changes::default()
        }
    }

    #[test]
    fn only_visible_differences_are_told() {
        let mut view = View::new(&wit::Mask {
            services: vec!["spec.type".into()],
            nodes: Vec::new(),
        });
        let mut upserts = |kind, version| {
            let calls = view.calls(change(Some(service(kind, version))));
            calls.services.len()
        };
        assert_eq!(upserts("LoadBalancer", "1"), 1);
        assert_eq!(upserts("LoadBalancer", "2"), 0);
        assert_eq!(upserts("NodePort", "3"), 1);
        assert_eq!(view.calls(change(None)).gone_services, ["n/s"]);
        let again = view.calls(change(Some(service("NodePort", "4"))));
        assert_eq!(again.services.len(), 1);
    }

    #[test]
    fn calls_are_bounded_by_bytes() {
        let documents = vec![vec![0_u8; CALL_LIMIT / 2]; 5];
        assert_eq!(
            batches(&documents)
                .iter()
                .map(|b| b.len())
                .collect::<Vec<_>>(),
            [2, 2, 1]
        );
        assert_eq!(batches(&[vec![0; CALL_LIMIT + 1]]).len(), 1);
    }
}
