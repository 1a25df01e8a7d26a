//! Addresses of this node that serve LoadBalancer Services, as the load balancer assigns them.
//!
//! A status shows what callers should use; where something in front of the node translates, packets
//! arrive for another of its addresses.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::state::ServiceKey;

/// The node's share of the assignment. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Forwards(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    books: Mutex<Books>,
    wake: Notify,
}

/// Bounded by the number of Services.
#[derive(Debug, Default)]
struct Books {
    addresses: HashMap<ServiceKey, Vec<Ipv4Addr>>,
    changed: BTreeSet<ServiceKey>,
}

impl Forwards {
    /// Says on which addresses of this node all ports of a Service (`namespace/name`) are answered;
    /// none takes it back. Returns at once, the proxy follows.
    pub fn set(&self, service: &str, addresses: Vec<Ipv4Addr>) {
        let mut books = self.0.books.lock();
        let key = ServiceKey::from(service);
        let before = if addresses.is_empty() {
            books.addresses.remove(&key).unwrap_or_default()
        } else {
            books
                .addresses
                .insert(key.clone(), addresses.clone())
                .unwrap_or_default()
        };
        if before != addresses {
            books.changed.insert(key);
            self.0.wake.notify_one();
        }
    }

    /// The addresses of a Service.
    pub(crate) fn of(&self, service: &str) -> Vec<Ipv4Addr> {
        self.0
            .books
            .lock()
            .addresses
            .get(service)
            .cloned()
            .unwrap_or_default()
    }

    /// Waits for a change.
    pub(crate) async fn changed(&self) {
        self.0.wake.notified().await;
    }

    /// The Services that changed since the last call.
    pub(crate) fn take_changed(&self) -> BTreeSet<ServiceKey> {
        std::mem::take(&mut self.0.books.lock().changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_differences_count() {
        let forwards = Forwards::default();
        let address = Ipv4Addr::new(192, 0, 2, 1);
        forwards.set("n/a", vec![address]);
        assert_eq!(forwards.take_changed().len(), 1);
        forwards.set("n/a", vec![address]);
        forwards.set("n/b", Vec::new());
        assert!(forwards.take_changed().is_empty());
        assert_eq!(forwards.of("n/a"), [address]);
        forwards.set("n/a", Vec::new());
        assert_eq!(forwards.take_changed().len(), 1);
        assert!(forwards.of("n/a").is_empty());
    }
}
