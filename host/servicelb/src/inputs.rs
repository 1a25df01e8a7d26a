//! What a balancer is given: changes, and the state that they add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k3s_client::{Obj, Object};
use k3s_meta::tree;

/// What happened since the last call: `None` for an object that was deleted.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// LoadBalancer Services by key, `namespace/name`.
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

/// The desired state of a balancer. Objects are shared with the informers.
#[derive(Debug, Default)]
pub struct Inputs {
    services: BTreeMap<Arc<str>, Object>,
    nodes: BTreeMap<Arc<str>, Object>,
    ready: BTreeMap<Arc<str>, BTreeSet<String>>,
}

impl Inputs {
    /// Adds changes, and returns those that are news to a balancer: not the deletion of an object that it
    /// was never given, nor endpoints that are the same or of no Service.
    pub fn apply(&mut self, changes: Changes) -> Changes {
        let mut news = Changes::default();
        for (key, object) in changes.services {
            let is_news = match object.clone() {
                Some(object) => {
                    self.services.insert(key.clone(), object);
                    true
                }
                None => {
                    self.ready.remove(&key);
                    self.services.remove(&key).is_some()
                }
            };
            news.services.extend(is_news.then_some((key, object)));
        }
        for (name, object) in changes.nodes {
            let is_news = match object.clone() {
                Some(object) => {
                    self.nodes.insert(name.clone(), object);
                    true
                }
                None => self.nodes.remove(&name).is_some(),
            };
            news.nodes.extend(is_news.then_some((name, object)));
        }
        for (key, nodes) in changes.ready {
            if self.services.contains_key(&key) && self.ready.get(&key) != Some(&nodes) {
                self.ready.insert(key.clone(), nodes.clone());
                news.ready.push((key, nodes));
            }
        }
        news
    }

    /// Everything, as changes for a balancer that knows nothing.
    #[must_use]
    pub fn everything(&self) -> Changes {
        let all = |objects: &BTreeMap<Arc<str>, Object>| {
            let entries = objects.iter();
            entries
                .map(|(key, object)| (key.clone(), Some(object.clone())))
                .collect()
        };
        let ready = self.ready.iter();
        Changes {
            services: all(&self.services),
            nodes: all(&self.nodes),
            ready: ready
                .map(|(key, nodes)| (key.clone(), nodes.clone()))
                .collect(),
        }
    }

    /// The key of a Service that the balancer was given.
    #[must_use]
    pub fn service_key(&self, key: &str) -> Option<&Arc<str>> {
        self.services.get_key_value(key).map(|(key, _)| key)
    }

    /// The addresses of a node that the balancer was given.
    #[must_use]
    pub fn addresses_of(&self, node: &str) -> Option<BTreeSet<IpAddr>> {
        self.nodes.get(node).map(|node| node_addresses(node))
    }
}

/// The addresses in a node's status.
#[must_use]
pub fn node_addresses(node: &Obj) -> BTreeSet<IpAddr> {
    let all = tree::list(node.value(), "status.addresses");
    let text = all.iter().filter_map(|a| a.get("address")?.as_str());
    text.filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Object {
        Obj::from_value(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "s", "namespace": "n"}}))
        .unwrap()
    }

    fn of_service(object: Option<Object>) -> Changes {
        Changes {
            services: vec![("n/s".into(), object)],
            ..Changes::default()
        }
    }

    fn of_endpoints(node: &str) -> Changes {
        Changes {
            ready: vec![("n/s".into(), BTreeSet::from([node.to_owned()]))],
            ..Changes::default()
        }
    }

    #[test]
    fn only_news_is_returned() {
        let mut inputs = Inputs::default();
        assert!(inputs.apply(of_service(None)).is_empty(), "never given");
        assert!(inputs.apply(of_endpoints("a")).is_empty(), "of no Service");
        assert_eq!(inputs.apply(of_service(Some(service()))).services.len(), 1);
        assert_eq!(inputs.apply(of_endpoints("a")).ready.len(), 1);
        assert!(inputs.apply(of_endpoints("a")).is_empty(), "the same");
        let all = inputs.everything();
        assert_eq!((all.services.len(), all.ready.len()), (1, 1));
        assert_eq!(inputs.apply(of_service(None)).services.len(), 1);
        assert!(inputs.everything().is_empty());
    }
}
