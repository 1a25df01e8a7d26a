//! What the cluster's names stand for, kept current from the informers.

mod entry;
mod feed;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use entry::{Endpoint, Entry, Port, ServiceKind};
pub(crate) use feed::Feed;

/// Every fact that answers are made from.
#[derive(Debug, Default)]
pub(crate) struct Zone {
    services: HashMap<Arc<str>, Entry>,
    /// Which services have an address; several may (host network, external addresses).
    by_address: HashMap<IpAddr, Vec<Arc<str>>>,
    namespaces: HashSet<String>,
    nodes: HashMap<String, Vec<IpAddr>>,
    nodes_by_address: HashMap<IpAddr, String>,
}

impl Zone {
    /// The Service with this key, `namespace/name`.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Entry> {
        // Keys of a hash map can only be looked up whole.
        let mut key = String::with_capacity(namespace.len() + name.len() + 1);
        key.push_str(namespace);
        key.push('/');
        key.push_str(name);
        self.services.get(key.as_str())
    }

    pub(crate) fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    /// The addresses of the node with this name.
    pub(crate) fn node(&self, name: &str) -> Option<&[IpAddr]> {
        self.nodes.get(name).map(Vec::as_slice)
    }

    /// The node with this address.
    pub(crate) fn node_at(&self, address: IpAddr) -> Option<&str> {
        self.nodes_by_address.get(&address).map(String::as_str)
    }

    /// The services that have this address, as (namespace, name, entry).
    pub(crate) fn services_at(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = (&str, &str, &Entry)> {
        let keys = self.by_address.get(&address).into_iter().flatten();
        keys.filter_map(|key| {
            let (namespace, name) = key.split_once('/')?;
            Some((namespace, name, self.services.get(key)?))
        })
    }

    /// Puts a Service in, in place of what it was; None takes it out.
    pub(crate) fn set_service(&mut self, key: &Arc<str>, entry: Option<Entry>) {
        if let Some(old) = self.services.remove(key) {
            for address in old.addresses() {
                if let Some(keys) = self.by_address.get_mut(&address) {
                    keys.retain(|k| k != key);
                    if keys.is_empty() {
                        self.by_address.remove(&address);
                    }
                }
            }
        }
        let Some(entry) = entry else { return };
        for address in entry.addresses() {
            self.by_address
                .entry(address)
                .or_default()
                .push(key.clone());
        }
        self.services.insert(key.clone(), entry);
    }

    pub(crate) fn set_namespace(&mut self, name: &str, exists: bool) {
        if exists {
            self.namespaces.insert(name.to_owned());
        } else {
            self.namespaces.remove(name);
        }
    }

    /// Sets a node's addresses; none takes it out.
    pub(crate) fn set_node(&mut self, name: &str, addresses: Vec<IpAddr>) {
        let name = name.to_ascii_lowercase();
        for address in self.nodes.remove(&name).unwrap_or_default() {
            self.nodes_by_address.remove(&address);
        }
        if !addresses.is_empty() {
            self.nodes_by_address
                .extend(addresses.iter().map(|a| (*a, name.clone())));
            self.nodes.insert(name, addresses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_their_service() {
        let mut zone = Zone::default();
        let key: Arc<str> = "ns/web".into();
        let at = |last| IpAddr::from([10, 43, 0, last]);
        let entry = |last| Entry {
            cluster_ips: vec![at(last)],
            ..Entry::default()
        };
        zone.set_service(&key, Some(entry(1)));
        zone.set_service(&key, Some(entry(2)));
        assert_eq!(zone.services_at(at(1)).count(), 0);
        assert_eq!(
            zone.services_at(at(2))
                .map(|(ns, name, _)| (ns, name))
                .collect::<Vec<_>>(),
            [("ns", "web")]
        );
        zone.set_service(&key, None);
        assert!(zone.by_address.is_empty() && zone.services.is_empty());
    }
}
