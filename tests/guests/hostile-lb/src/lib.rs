//! A service load balancer of the released track 0.1, without the SDK. It misbehaves as its configuration
//! demands (`{"mode": "trap"}`): `loop`, `trap`, `lie` (an address that is not the node's), `huge` (more
//! than it has memory for). Without a mode every node answers for every Service. It reads only the name and
//! the addresses of an object.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use bindings::exports::k3s::load_balancer::balancer::{
    Assignment, Error, Forward, Guest as Balancer, Ingress, IpMode, Mask, ReadyNodes,
};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/common", "../../../wit/host", "../../../wit/load-balancer"],
        world: "k3s:load-balancer/load-balancer",
        generate_all,
    });
}

struct Hostile;

bindings::export!(Hostile with_types_in bindings);

#[derive(Default)]
struct State {
    mode: String,
    /// Names and addresses.
    nodes: BTreeMap<String, Vec<String>>,
    services: BTreeSet<String>,
    /// Not assigned yet.
    waiting: BTreeSet<String>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The texts of all members of this name, at any depth; sufficient for the masks here.
fn members<'a>(json: &'a str, name: &str) -> Vec<&'a str> {
    let key = format!("\"{name}\":\"");
    json.split(key.as_str())
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

fn first(json: &str, name: &str) -> String {
    members(json, name)
        .first()
        .copied()
        .unwrap_or_default()
        .to_owned()
}

impl Plugin for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        let text = String::from_utf8_lossy(&config).replace(": ", ":");
        STATE.set(State {
            mode: first(&text, "mode"),
            ..State::default()
        });
        Ok(())
    }
}

impl Balancer for Hostile {
    fn wanted() -> Mask {
        Mask {
            services: Vec::new(),
            nodes: vec!["status.addresses".to_owned()],
        }
    }

    fn upsert_services(objects: Vec<Vec<u8>>) -> Result<(), Error> {
        let texts = objects.iter().map(|json| String::from_utf8_lossy(json));
        let keys =
            texts.map(|text| format!("{}/{}", first(&text, "namespace"), first(&text, "name")));
        STATE.with_borrow_mut(|state| {
            for key in keys {
                state.waiting.insert(key.clone());
                state.services.insert(key);
            }
        });
        Ok(())
    }

    fn remove_services(keys: Vec<String>) {
        STATE.with_borrow_mut(|state| {
            for key in &keys {
                state.services.remove(key);
                state.waiting.remove(key);
            }
        });
    }

    fn upsert_nodes(objects: Vec<Vec<u8>>) -> Result<(), Error> {
        STATE.with_borrow_mut(|state| {
            for text in objects.iter().map(|json| String::from_utf8_lossy(json)) {
                let addresses = members(&text, "address")
                    .into_iter()
                    .filter(|a| a.parse::<std::net::IpAddr>().is_ok());
                state
                    .nodes
                    .insert(first(&text, "name"), addresses.map(str::to_owned).collect());
            }
            state.waiting = state.services.clone();
        });
        Ok(())
    }

    fn remove_nodes(names: Vec<String>) {
        STATE.with_borrow_mut(|state| names.iter().for_each(|name| drop(state.nodes.remove(name))));
    }

    fn set_ready_nodes(_services: Vec<ReadyNodes>) {}

    fn assign(limit: u32) -> Vec<Assignment> {
        STATE.with_borrow_mut(|state| {
            let mut answers = Vec::new();
            while answers.len() < limit as usize
                && let Some(service) = state.waiting.pop_first()
            {
                // It misbehaves only at Services for this purpose, so that it can take over first.
                if service.contains("/victim") {
                    misbehave(&state.mode);
                }
                answers.push(state.assignment(service));
            }
            answers
        })
    }
}

fn misbehave(mode: &str) {
    match mode {
        "loop" => loop {
            std::hint::spin_loop();
        },
        "trap" => panic!("on purpose"),
        _ => {}
    }
}

impl State {
    fn assignment(&self, service: String) -> Assignment {
        let victim = service.contains("/victim");
        let addresses = |own: &[String]| match self.mode.as_str() {
            "lie" if victim => vec!["198.51.100.1".to_owned()],
            "huge" if victim => vec!["198.51.100.1 ".repeat(1 << 16); 40],
            _ => own.to_vec(),
        };
        let forwards: Vec<Forward> = self
            .nodes
            .iter()
            .map(|(node, own)| Forward {
                node: node.clone(),
                addresses: addresses(own),
            })
            .collect();
        let shown = forwards.iter().flat_map(|forward| &forward.addresses);
        let ingress = shown
            .map(|ip| Ingress {
                ip: ip.clone(),
                mode: IpMode::Vip,
            })
            .collect();
        Assignment {
            service,
            claimed: true,
            ingress,
            forwards,
            problems: Vec::new(),
        }
    }
}
