//! A load balancer that breaks its contract in the way of its configuration (`mode`), as careless authors
//! do; `k3s plugin check` must find it. Without a mode it keeps the contract, except for `Local` policies,
//! which it ignores. It implements the contract without the SDK's trait, which would keep some promises for
//! it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use k3s_plugin_sdk::load_balancer::bindings;
use k3s_plugin_sdk::load_balancer::{
    Assignment, Error, Forward, Ingress, Interest, IpMode, Object, ObjectKey, ReadyNodes, interests,
};
use k3s_plugin_sdk::serde_json::{self, Value};

use bindings::exports::k3s::common::feed::Guest as Feed;
use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use bindings::exports::k3s::load_balancer::balancer::Guest as Balancer;

struct Careless;

bindings::export_raw!(Careless with_types_in bindings);

#[derive(Default)]
struct State {
    mode: String,
    reserved: BTreeSet<u64>,
    nodes: BTreeMap<String, String>,
    services: BTreeMap<String, Value>,
    /// In order of arrival.
    came: Vec<String>,
    said: BTreeMap<String, Assignment>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn key(service: &Value) -> String {
    format!(
        "{}/{}",
        text(service, "/metadata/namespace"),
        text(service, "/metadata/name")
    )
}

fn port(service: &Value) -> u64 {
    service
        .pointer("/spec/ports/0/port")
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

impl Plugin for Careless {
    fn describe() -> Description {
        Description {
            name: "careless".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        let mode = text(&config, "/mode").to_owned();
        if config.get("no-such-setting").is_some() && mode != "takes-any-setting" {
            return Err(ConfigError::Invalid("unknown setting".to_owned()));
        }
        let reserved = config
            .get("reserved")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let reserved = reserved
            .filter_map(|entry| entry.get("port")?.as_u64())
            .collect();
        STATE.set(State {
            mode,
            reserved,
            ..State::default()
        });
        Ok(())
    }
}

impl State {
    fn is(&self, mode: &str) -> bool {
        self.mode == mode
    }

    fn all(&self) -> Vec<Assignment> {
        let mut services: Vec<&Value> = self.services.values().collect();
        if self.is("first-come") {
            services = self
                .came
                .iter()
                .filter_map(|key| self.services.get(key))
                .collect();
        } else {
            services.sort_by_key(|s| (text(s, "/metadata/creationTimestamp"), key(s)));
        }
        let mut taken = if self.is("takes-reserved") {
            BTreeSet::new()
        } else {
            self.reserved.clone()
        };
        services
            .into_iter()
            .map(|service| self.one(service, &mut taken))
            .collect()
    }

    fn one(&self, service: &Value, taken: &mut BTreeSet<u64>) -> Assignment {
        let claimed = text(service, "/spec/loadBalancerClass").is_empty() || self.is("claims-all");
        let deleting = !text(service, "/metadata/deletionTimestamp").is_empty();
        let mut assignment = Assignment {
            service: key(service),
            claimed: claimed && !(deleting && self.is("drops-deleted")),
            ingress: Vec::new(),
            forwards: Vec::new(),
            problems: Vec::new(),
        };
        let free = taken.insert(port(service)) || self.is("shares-ports");
        if !claimed || !free || (deleting && !self.is("serves-deleted")) {
            return assignment;
        }
        for (node, address) in &self.nodes {
            let address = if self.is("lies") {
                "198.51.100.1".to_owned()
            } else {
                address.clone()
            };
            assignment.ingress.push(Ingress {
                ip: address.clone(),
                mode: IpMode::Vip,
            });
            assignment.forwards.push(Forward {
                node: node.clone(),
                addresses: vec![address],
            });
        }
        assignment
    }
}

impl State {
    fn upsert_service(&mut self, json: &[u8]) -> Result<(), Error> {
        let Ok(service) = serde_json::from_slice::<Value>(json) else {
            if self.is("swallows") {
                return Ok(());
            }
            return Err(Error::Invalid("a Service is not JSON".to_owned()));
        };
        self.came.push(key(&service));
        self.services.insert(key(&service), service);
        Ok(())
    }

    fn upsert_node(&mut self, json: &[u8]) {
        let node: Value = serde_json::from_slice(json).unwrap_or_default();
        let address = text(&node, "/status/addresses/0/address").to_owned();
        self.nodes
            .insert(text(&node, "/metadata/name").to_owned(), address);
    }

    fn remove_service(&mut self, key: &ObjectKey) {
        if !self.is("remembers") {
            let service = format!("{}/{}", key.namespace, key.name);
            self.services.remove(&service);
            self.said.remove(&service);
        }
    }
}

impl Feed for Careless {
    fn interests() -> Vec<Interest> {
        interests(&["metadata", "spec"], &["status.addresses"])
    }

    fn upsert(objects: Vec<Object>) -> Result<(), Error> {
        STATE.with_borrow_mut(|state| {
            for object in objects {
                match object.key.kind.as_str() {
                    "Service" => state.upsert_service(&object.json)?,
                    _ => state.upsert_node(&object.json),
                }
            }
            Ok(())
        })
    }

    fn remove(keys: Vec<ObjectKey>) -> Result<(), Error> {
        STATE.with_borrow_mut(|state| {
            for key in &keys {
                match key.kind.as_str() {
                    "Service" => state.remove_service(key),
                    _ => drop(state.nodes.remove(&key.name)),
                }
            }
        });
        Ok(())
    }
}

impl Balancer for Careless {
    fn set_ready_nodes(_: Vec<ReadyNodes>) {}

    fn assign(limit: u32) -> Vec<Assignment> {
        STATE.with_borrow_mut(|state| {
            if state.is("traps") {
                panic!("on purpose");
            }
            let mut all = state.all();
            if !state.is("repeats") {
                all.retain(|assignment| state.said.get(&assignment.service) != Some(assignment));
            }
            if state.is("repeats") && !all.is_empty() && state.said.len() == all.len() {
                all.truncate(1);
            }
            if !state.is("floods") {
                all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            }
            for assignment in &all {
                state
                    .said
                    .insert(assignment.service.clone(), assignment.clone());
            }
            all
        })
    }
}
