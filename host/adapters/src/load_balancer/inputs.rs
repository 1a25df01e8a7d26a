//! What the plugin was given: kept to give it to an instance to come, and to send only differences.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use k3s_client::{Obj, Object};
use k3s_plugin_host::PluginState;
use k3s_wit_bindings::load_balancer::LoadBalancer as Bindings;
use k3s_wit_bindings::load_balancer::exports::k3s::load_balancer::balancer as wit;
use wasmtime::Store;

use super::mask::Mask;

/// Largest document of one object, and of one call; the contract's limits.
const OBJECT_LIMIT: usize = 64 << 10;
const CALL_LIMIT: usize = 1 << 20;
/// Keys in one call.
const KEYS_LIMIT: usize = 10_000;

/// What happened since the last call: `None` for what is gone.
#[derive(Debug, Default)]
pub struct Changes {
    /// LoadBalancer Services by key.
    pub services: Vec<(Arc<str>, Option<Object>)>,
    /// Nodes by name.
    pub nodes: Vec<(Arc<str>, Option<Object>)>,
    /// Nodes with ready endpoints, by Service.
    pub ready: Vec<(Arc<str>, BTreeSet<String>)>,
}

impl Changes {
    /// Nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.nodes.is_empty() && self.ready.is_empty()
    }
}

/// Everything that is true now. Objects are shared with the informers.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) services: BTreeMap<Arc<str>, Object>,
    pub(super) nodes: BTreeMap<Arc<str>, Object>,
    pub(super) ready: BTreeMap<Arc<str>, BTreeSet<String>>,
}

/// The plugin's masks, and what it saw last through them.
#[derive(Debug)]
pub(super) struct View {
    services: Mask,
    nodes: Mask,
    seen: HashMap<(Kind, Arc<str>), Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Service,
    Node,
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

impl Inputs {
    /// Takes changes in, and says what the plugin has to be told.
    pub(super) fn change(&mut self, changes: Changes, view: &mut View) -> Calls {
        let mut calls = Calls::default();
        for (key, object) in changes.services {
            match object {
                Some(object) => {
                    calls
                        .services
                        .extend(view.look(Kind::Service, &key, &object));
                    self.services.insert(key, object);
                }
                None if self.services.remove(&key).is_some() => {
                    self.ready.remove(&key);
                    view.forget(Kind::Service, &key);
                    calls.gone_services.push(key.to_string());
                }
                None => {}
            }
        }
        for (name, object) in changes.nodes {
            match object {
                Some(object) => {
                    calls.nodes.extend(view.look(Kind::Node, &name, &object));
                    self.nodes.insert(name, object);
                }
                None if self.nodes.remove(&name).is_some() => {
                    view.forget(Kind::Node, &name);
                    calls.gone_nodes.push(name.to_string());
                }
                None => {}
            }
        }
        for (key, nodes) in changes.ready {
            if self.services.contains_key(&key) && self.ready.get(&key) != Some(&nodes) {
                calls.ready.push(ready(&key, &nodes));
                self.ready.insert(key, nodes);
            }
        }
        calls
    }

    /// Everything, for an instance that knows nothing.
    pub(super) fn all(&self, masks: &wit::Mask) -> Calls {
        let mut view = View::new(masks);
        Calls {
            services: self
                .services
                .iter()
                .filter_map(|(key, o)| view.look(Kind::Service, key, o))
                .collect(),
            nodes: self
                .nodes
                .iter()
                .filter_map(|(name, o)| view.look(Kind::Node, name, o))
                .collect(),
            ready: self
                .ready
                .iter()
                .map(|(key, nodes)| ready(key, nodes))
                .collect(),
            ..Calls::default()
        }
    }
}

fn ready(key: &str, nodes: &BTreeSet<String>) -> wit::ReadyNodes {
    wit::ReadyNodes {
        service: key.to_owned(),
        nodes: nodes.iter().cloned().collect(),
    }
}

impl View {
    pub(super) fn new(masks: &wit::Mask) -> Self {
        Self {
            services: Mask::new(&masks.services),
            nodes: Mask::new(&masks.nodes),
            seen: HashMap::new(),
        }
    }

    /// The object through the mask, if it looks different from before.
    fn look(&mut self, kind: Kind, key: &Arc<str>, object: &Obj) -> Option<Vec<u8>> {
        let mask = match kind {
            Kind::Service => &self.services,
            Kind::Node => &self.nodes,
        };
        let bytes = mask.apply(object.value());
        if bytes.len() > OBJECT_LIMIT {
            tracing::warn!(object = %key, bytes = bytes.len(), "too large for the load balancer, which keeps what it had");
            return None;
        }
        let id = (kind, key.clone());
        if self.seen.get(&id) == Some(&bytes) {
            return None;
        }
        self.seen.insert(id, bytes.clone());
        Some(bytes)
    }

    fn forget(&mut self, kind: Kind, key: &Arc<str>) {
        self.seen.remove(&(kind, key.clone()));
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

/// The addresses that are a node's own.
pub(super) fn addresses(node: &Obj) -> BTreeSet<IpAddr> {
    let all = node
        .value()
        .pointer("/status/addresses")
        .and_then(|list| list.as_array());
    let text = all
        .into_iter()
        .flatten()
        .filter_map(|a| a.get("address")?.as_str());
    text.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> View {
        View::new(&wit::Mask {
            services: vec!["spec.type".into()],
            nodes: Vec::new(),
        })
    }

    fn service(kind: &str, version: &str) -> Object {
        let object = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": kind},
            "metadata": {"name": "s", "namespace": "n", "resourceVersion": version}});
        Obj::from_value(object).unwrap()
    }

    fn upsert(object: Object) -> Changes {
        Changes {
            services: vec![("n/s".into(), Some(object))],
            ..Changes::default()
        }
    }

    #[test]
    fn only_visible_differences_are_told() {
        let (mut inputs, mut view) = (Inputs::default(), view());
        assert_eq!(
            inputs
                .change(upsert(service("LoadBalancer", "1")), &mut view)
                .services
                .len(),
            1
        );
        assert_eq!(
            inputs
                .change(upsert(service("LoadBalancer", "2")), &mut view)
                .services
                .len(),
            0
        );
        assert_eq!(
            inputs
                .change(upsert(service("NodePort", "3")), &mut view)
                .services
                .len(),
            1
        );
        let gone = || Changes {
            services: vec![("n/s".into(), None)],
            ..Changes::default()
        };
        assert_eq!(inputs.change(gone(), &mut view).gone_services, ["n/s"]);
        assert!(inputs.change(gone(), &mut view).gone_services.is_empty());
        assert_eq!(
            inputs
                .change(upsert(service("NodePort", "4")), &mut view)
                .services
                .len(),
            1
        );
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
