//! A load balancer that breaks its contract as its configuration says (`mode`), as careless authors do:
//! `k3s plugin check` must find it. Without a mode it keeps the contract, but for `Local` policies, which it
//! does not know. It speaks the contract itself, as the SDK would keep some of the promises for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use k3s_plugin_sdk::load_balancer::bindings;
use k3s_plugin_sdk::load_balancer::{Assignment, Error, Forward, Ingress, IpMode, Mask, ReadyNodes};
use k3s_plugin_sdk::serde_json::{self, Value};

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
    /// In the order in which they came.
    came: Vec<String>,
    said: BTreeMap<String, Assignment>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn key(service: &Value) -> String {
    format!("{}/{}", text(service, "/metadata/namespace"), text(service, "/metadata/name"))
}

fn port(service: &Value) -> u64 {
    service.pointer("/spec/ports/0/port").and_then(Value::as_u64).unwrap_or_default()
}

impl Plugin for Careless {
    fn describe() -> Description {
        Description { name: "careless".to_owned(), version: "0.1.0".to_owned() }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        let config: Value = serde_json::from_slice(&config).unwrap_or_default();
        let mode = text(&config, "/mode").to_owned();
        if config.get("no-such-setting").is_some() && mode != "takes-any-setting" {
            return Err(ConfigError::Invalid("unknown setting".to_owned()));
        }
        let reserved = config.get("reserved").and_then(Value::as_array).into_iter().flatten();
        let reserved = reserved.filter_map(|entry| entry.get("port")?.as_u64()).collect();
        STATE.set(State { mode, reserved, ..State::default() });
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
            services = self.came.iter().filter_map(|key| self.services.get(key)).collect();
        } else {
            services.sort_by_key(|s| (text(s, "/metadata/creationTimestamp"), key(s)));
        }
        let mut taken = if self.is("takes-reserved") { BTreeSet::new() } else { self.reserved.clone() };
        services.into_iter().map(|service| self.one(service, &mut taken)).collect()
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
            let address = if self.is("lies") { "198.51.100.1".to_owned() } else { address.clone() };
            assignment.ingress.push(Ingress { ip: address.clone(), mode: IpMode::Vip });
            assignment.forwards.push(Forward { node: node.clone(), addresses: vec![address] });
        }
        assignment
    }
}

impl Balancer for Careless {
    fn wanted() -> Mask {
        let owned = |fields: &[&str]| fields.iter().map(|f| (*f).to_owned()).collect();
        Mask { services: owned(&["metadata", "spec"]), nodes: owned(&["status.addresses"]) }
    }

    fn upsert_services(objects: Vec<Vec<u8>>) -> Result<(), Error> {
        STATE.with_borrow_mut(|state| {
            for object in objects {
                let Ok(service) = serde_json::from_slice::<Value>(&object) else {
                    if state.is("swallows") {
                        continue;
                    }
                    return Err(Error::Invalid("a Service is no JSON".to_owned()));
                };
                state.came.push(key(&service));
                state.services.insert(key(&service), service);
            }
            Ok(())
        })
    }

    fn remove_services(keys: Vec<String>) {
        STATE.with_borrow_mut(|state| {
            if state.is("remembers") {
                return;
            }
            for key in &keys {
                state.services.remove(key);
                state.said.remove(key);
            }
        });
    }

    fn upsert_nodes(objects: Vec<Vec<u8>>) -> Result<(), Error> {
        STATE.with_borrow_mut(|state| {
            for object in objects {
                let node: Value = serde_json::from_slice(&object).unwrap_or_default();
                let address = text(&node, "/status/addresses/0/address").to_owned();
                state.nodes.insert(text(&node, "/metadata/name").to_owned(), address);
            }
        });
        Ok(())
    }

    fn remove_nodes(names: Vec<String>) {
        STATE.with_borrow_mut(|state| names.iter().for_each(|name| drop(state.nodes.remove(name))));
    }

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
                state.said.insert(assignment.service.clone(), assignment.clone());
            }
            all
        })
    }
}
