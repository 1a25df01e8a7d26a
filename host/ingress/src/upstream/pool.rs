//! The endpoints of a Service's port, as routes hold them: they change without a new route table.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::uri::Authority;
use k3s_base::error::chain;
use k3s_client::{Informer, Obj, Object};
use k3s_objects::EndpointSlice;
use k3s_objects::endpoint_slice::{EndpointConditions, SERVICE_NAME_LABEL};
use parking_lot::Mutex;

use crate::model::{Backend, NamespacedName};

/// Index of EndpointSlices by their Service's key.
pub(crate) const BY_SERVICE: &str = "service";

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) authority: Authority,
    /// The value of a sticky cookie: it does not reveal the address to clients.
    pub(crate) id: String,
}

/// The servers of one port.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    endpoints: ArcSwap<Vec<Endpoint>>,
    turn: AtomicUsize,
}

/// Service and port name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    service: NamespacedName,
    port: String,
}

/// All pools that routes hold. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pools {
    slices: Informer,
    pools: Arc<Mutex<HashMap<PoolKey, Arc<Pool>>>>,
}

impl Endpoint {
    pub(crate) fn new(authority: Authority) -> Self {
        let mut hasher = std::hash::DefaultHasher::new();
        authority.as_str().hash(&mut hasher);
        Self {
            id: format!("{:016x}", hasher.finish()),
            authority,
        }
    }
}

impl Pool {
    /// A pool of servers known beforehand.
    pub(crate) fn fixed(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints: ArcSwap::from_pointee(endpoints),
            turn: AtomicUsize::new(0),
        }
    }

    /// At most `limit` servers to try in this order: the one whose turn it is, and those after it; or
    /// first the one whose id a client brought.
    pub(crate) fn candidates(&self, limit: usize, preferred: Option<&str>) -> Vec<Endpoint> {
        let all = self.endpoints.load();
        let count = all.len();
        let sticky = preferred.and_then(|id| all.iter().position(|endpoint| endpoint.id == id));
        let start = sticky.unwrap_or_else(|| self.turn.fetch_add(1, Ordering::Relaxed));
        let positions = (0..count.min(limit)).map(|step| start.wrapping_add(step) % count);
        positions
            .filter_map(|position| all.get(position).cloned())
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.endpoints.load().is_empty()
    }

    fn set(&self, endpoints: Vec<Endpoint>) {
        if **self.endpoints.load() != endpoints {
            self.endpoints.store(Arc::new(endpoints));
        }
    }
}

impl Pools {
    /// Pools filled from `slices`.
    pub(crate) fn new(slices: Informer) -> Self {
        slices.add_index(BY_SERVICE, service_of);
        Self {
            slices,
            pools: Arc::default(),
        }
    }

    /// The pool of a backend; the same one for the same Service and port.
    pub(crate) fn of(&self, backend: &Backend) -> Arc<Pool> {
        if let Some((host, port)) = &backend.external {
            let authority = format!("{host}:{port}").parse().ok();
            return Arc::new(Pool::fixed(
                authority.map(Endpoint::new).into_iter().collect(),
            ));
        }
        let key = PoolKey {
            service: NamespacedName::from(&backend.service),
            port: backend.port.clone(),
        };
        let pool = self.pools.lock().entry(key.clone()).or_default().clone();
        pool.set(self.read(&key));
        pool
    }

    /// Slices of a Service (`namespace/name`) changed.
    pub(crate) fn refresh(&self, service: &str) {
        let mut pools = self.pools.lock();
        // Pools that no route holds any more go.
        pools.retain(|_, pool| Arc::strong_count(pool) > 1);
        for (key, pool) in pools
            .iter()
            .filter(|(key, _)| key.service.to_string() == service)
        {
            pool.set(self.read(key));
        }
    }

    fn read(&self, key: &PoolKey) -> Vec<Endpoint> {
        let objects = self.slices.by_index(BY_SERVICE, &key.service.to_string());
        let slices: Vec<&EndpointSlice> = objects.iter().filter_map(view).collect();
        endpoints(&slices, &key.port)
    }
}

/// The key of a slice's Service.
pub(crate) fn service_of(slice: &Obj) -> Vec<String> {
    let name = slice.label(SERVICE_NAME_LABEL);
    name.map(|name| format!("{}/{name}", slice.namespace()))
        .into_iter()
        .collect()
}

/// A slice that cannot be read adds no endpoints.
fn view(slice: &Object) -> Option<&EndpointSlice> {
    let view = slice.typed();
    if let Err(error) = &view {
        let (object, error) = (slice.key(), chain(error));
        tracing::warn!(%object, error, "an EndpointSlice cannot be read");
    }
    view.ok()
}

/// Ready endpoints; while there is none, those that still serve though they terminate, as the service
/// proxy does (KEP-1669). In a stable order.
fn endpoints(slices: &[&EndpointSlice], port: &str) -> Vec<Endpoint> {
    let ready = authorities(slices, port, EndpointConditions::is_ready);
    let found = if ready.is_empty() {
        authorities(slices, port, EndpointConditions::is_serving)
    } else {
        ready
    };
    found.into_iter().map(Endpoint::new).collect()
}

/// The addresses, with port, of the endpoints whose conditions are `wanted`; sorted.
fn authorities(
    slices: &[&EndpointSlice],
    port: &str,
    wanted: fn(&EndpointConditions) -> bool,
) -> Vec<Authority> {
    let mut found = Vec::new();
    for slice in slices {
        let named = slice.ports.iter().find(|it| it.name == port);
        let Some(number) = named.and_then(|it| it.port) else {
            continue;
        };
        let endpoints = slice.endpoints.iter().filter(|it| wanted(&it.conditions));
        let addresses = endpoints.filter_map(|it| it.addresses.first());
        found.extend(addresses.filter_map(|address| authority(address, number)));
    }
    found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    found.dedup();
    found
}

fn authority(address: &str, port: u16) -> Option<Authority> {
    let text = if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: Value) -> EndpointSlice {
        let value = json!({"ports": [{"name": "http", "port": 8080}, {"name": "", "port": 9}], "endpoints": endpoints});
        serde_json::from_value(value).unwrap()
    }

    fn read(endpoints_json: Value, port: &str) -> Vec<String> {
        endpoints(&[&slice(endpoints_json)], port)
            .iter()
            .map(|e| e.authority.to_string())
            .collect()
    }

    #[test]
    fn ready_endpoints_first_then_those_that_serve() {
        let ready = json!({"addresses": ["10.0.0.2"], "conditions": {"ready": true}});
        let leaving = json!({"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true, "terminating": true}});
        let unready =
            json!({"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": false}});
        let silent = json!({"addresses": ["fd00::1"], "conditions": {}});
        assert_eq!(
            read(json!([ready, leaving, unready]), "http"),
            ["10.0.0.2:8080"]
        );
        assert_eq!(read(json!([leaving, unready]), "http"), ["10.0.0.1:8080"]);
        assert_eq!(read(json!([silent]), ""), ["[fd00::1]:9"]);
        assert!(read(json!([ready]), "other").is_empty());
    }

    #[test]
    fn turns_go_round_and_ids_stick() {
        let endpoint = |text: &str| Endpoint::new(text.parse().unwrap());
        let pool = Pool::fixed(vec![endpoint("a:1"), endpoint("b:1"), endpoint("c:1")]);
        let first =
            |preferred: Option<&str>| pool.candidates(3, preferred)[0].authority.to_string();
        assert_eq!(
            [first(None), first(None), first(None), first(None)],
            ["a:1", "b:1", "c:1", "a:1"]
        );
        let id = endpoint("c:1").id;
        assert_eq!([first(Some(&id)), first(Some(&id))], ["c:1", "c:1"]);
        assert_eq!(pool.candidates(2, None).len(), 2);
        assert!(Pool::default().candidates(3, None).is_empty());
    }
}
