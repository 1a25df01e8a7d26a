//! From changes to calls: what the plugin sees of each object, whether that differs from what it saw
//! last, and how much goes into one call.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k3s_client::{Obj, Object};
use k3s_meta::mask::Mask;
use k3s_plugin_host::PluginState;
use k3s_servicelb::Changes;
use k3s_wit_bindings::feed::exports::k3s::common::feed::Error as FeedError;
use k3s_wit_bindings::load_balancer::{self as wit, LoadBalancer as Bindings};
use wasmtime::Store;

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

/// What the plugin saw of one kind.
#[derive(Debug)]
struct Seen {
    kind: &'static str,
    /// None if the plugin did not ask for the kind.
    mask: Option<Mask>,
    documents: HashMap<Arc<str>, Vec<u8>>,
}

/// The calls of one update.
#[derive(Debug, Default)]
pub(super) struct Calls {
    nodes: Vec<wit::Object>,
    gone: Vec<wit::ObjectKey>,
    services: Vec<wit::Object>,
    ready: Vec<wit::ReadyNodes>,
}

impl View {
    /// # Errors
    /// When the plugin asks for another kind than Services and Nodes; one sentence.
    pub(super) fn new(interests: &[wit::Interest]) -> Result<Self, String> {
        let mut view = Self {
            services: Seen::new(wit::SERVICE),
            nodes: Seen::new(wit::NODE),
        };
        for interest in interests {
            let seen = match (interest.group.as_str(), interest.kind.as_str()) {
                ("", wit::SERVICE) => &mut view.services,
                ("", wit::NODE) => &mut view.nodes,
                _ => return Err(format!("load balancers are not given {}", interest.plural)),
            };
            seen.mask = Some(Mask::new(&interest.fields));
        }
        Ok(view)
    }

    /// The calls that bring the plugin up to date.
    pub(super) fn calls(&mut self, changes: Changes) -> Calls {
        let mut gone = Vec::new();
        let nodes = self.nodes.split(changes.nodes, &mut gone);
        let services = self.services.split(changes.services, &mut gone);
        let ready = changes.ready.iter();
        Calls {
            nodes,
            gone,
            services,
            ready: ready.map(|(key, nodes)| ready_nodes(key, nodes)).collect(),
        }
    }
}

impl Seen {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            mask: None,
            documents: HashMap::new(),
        }
    }

    /// Objects that look different from before; keys of deleted ones are added to `gone`.
    fn split(
        &mut self,
        changes: Vec<(Arc<str>, Option<Object>)>,
        gone: &mut Vec<wit::ObjectKey>,
    ) -> Vec<wit::Object> {
        let mut objects = Vec::new();
        for (key, object) in changes {
            match object {
                Some(object) => objects.extend(self.difference(&key, &object)),
                None => {
                    self.documents.remove(&key);
                    gone.push(object_key(self.kind, &key));
                }
            }
        }
        objects
    }

    /// The object through the mask, if it looks different from before.
    fn difference(&mut self, key: &Arc<str>, object: &Obj) -> Option<wit::Object> {
        let json = self.mask.as_ref()?.apply(object.value());
        if json.len() > OBJECT_LIMIT {
            tracing::warn!(object = %key, bytes = json.len(), "too large for the load balancer, which keeps what it had");
            return None;
        }
        if self.documents.get(key) == Some(&json) {
            return None;
        }
        self.documents.insert(key.clone(), json.clone());
        let key = object_key(self.kind, key);
        Some(wit::Object { key, json })
    }
}

/// From the key of a Service, `namespace/name`, or the name of a Node.
fn object_key(kind: &str, key: &str) -> wit::ObjectKey {
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

impl Calls {
    /// Calls the plugin. An object that it cannot read is logged, and the others are passed all the same.
    pub(super) fn tell(
        &self,
        plugin: &Bindings,
        store: &mut Store<PluginState<()>>,
    ) -> wasmtime::Result<()> {
        for batch in batches(&self.nodes) {
            accepted(plugin.call_upsert(&mut *store, batch)?)?;
        }
        for batch in self.gone.chunks(KEYS_LIMIT) {
            accepted(plugin.call_remove(&mut *store, batch)?)?;
        }
        for batch in batches(&self.services) {
            accepted(plugin.call_upsert(&mut *store, batch)?)?;
        }
        for batch in self.ready.chunks(KEYS_LIMIT) {
            plugin.call_set_ready_nodes(&mut *store, batch)?;
        }
        Ok(())
    }
}

fn accepted(result: Result<(), FeedError>) -> wasmtime::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(FeedError::Invalid(why)) => {
            tracing::warn!(why, "the load balancer cannot read an object");
            Ok(())
        }
        Err(FeedError::Other(why)) => Err(wasmtime::Error::msg(format!(
            "it does not accept objects: {why}"
        ))),
    }
}

/// Runs of objects that fit into one call.
fn batches(objects: &[wit::Object]) -> Vec<&[wit::Object]> {
    let (mut batches, mut rest) = (Vec::new(), objects);
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fits = |object: &&wit::Object| {
            bytes = bytes.saturating_add(object.json.len());
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
        let interest = wit::Interest {
            group: String::new(),
            version: "v1".into(),
            plural: "services".into(),
            kind: wit::SERVICE.into(),
            namespaced: true,
            optional: false,
            fields: vec!["spec.type".into()],
        };
        let mut view = View::new(&[interest]).unwrap();
        let mut upserts = |kind, version| {
            let calls = view.calls(change(Some(service(kind, version))));
            calls.services.len()
        };
        assert_eq!(upserts("LoadBalancer", "1"), 1);
        assert_eq!(upserts("LoadBalancer", "2"), 0);
        assert_eq!(upserts("NodePort", "3"), 1);
        let gone = view.calls(change(None)).gone;
        assert_eq!(gone, [object_key(wit::SERVICE, "n/s")]);
        let again = view.calls(change(Some(service("NodePort", "4"))));
        assert_eq!(again.services.len(), 1);
    }

    #[test]
    fn calls_are_bounded_by_bytes() {
        let object = |bytes| wit::Object {
            key: object_key(wit::NODE, "n"),
            json: vec![0; bytes],
        };
        let objects = vec![object(CALL_LIMIT / 2); 5];
        assert_eq!(
            batches(&objects)
                .iter()
                .map(|b| b.len())
                .collect::<Vec<_>>(),
            [2, 2, 1]
        );
        assert_eq!(batches(&[object(CALL_LIMIT + 1)]).len(), 1);
    }
}
