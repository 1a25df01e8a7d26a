//! An ingress controller of the released track 0.1, without the SDK. Its configuration is a JSON object of
//! two texts: `service` (`namespace/name`), which gets all requests for any Ingress, and `mode`, by which it
//! breaks the contract. It misbehaves at Ingresses called `victim`, so that it can take over first.

use std::cell::RefCell;

use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use bindings::exports::k3s::ingress::routing::{
    Backend, Change, Error, Guest as Routing, Interest, Matcher, Object, ObjectKey, Outcome,
    Reference, Route, Scheme, Target, TlsUse,
};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/common", "../../../wit/host", "../../../wit/ingress"],
        world: "k3s:ingress/ingress",
        generate_all,
    });
}

struct Hostile;

bindings::export!(Hostile with_types_in bindings);

#[derive(Default)]
struct State {
    mode: String,
    service: (String, String),
    changed: Vec<ObjectKey>,
    gone: Vec<ObjectKey>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// The text of a member; sufficient for the settings of tests.
fn member(json: &str, name: &str) -> String {
    let after = json
        .split_once(&format!("\"{name}\""))
        .map(|(_, after)| after)
        .unwrap_or_default();
    after.split('"').nth(1).unwrap_or_default().to_owned()
}

impl Plugin for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        let text = String::from_utf8_lossy(&config).into_owned();
        let (mode, service) = (member(&text, "mode"), member(&text, "service"));
        if mode == "refuse" {
            return Err(ConfigError::Invalid("on purpose".to_owned()));
        }
        let service = service.split_once('/').unwrap_or(("default", "none"));
        let service = (service.0.to_owned(), service.1.to_owned());
        STATE.set(State {
            mode,
            service,
            ..State::default()
        });
        Ok(())
    }
}

impl Routing for Hostile {
    fn interests() -> Vec<Interest> {
        let mut kinds = vec![interest("ingresses", "Ingress")];
        if STATE.with_borrow(|state| state.mode == "nosy") {
            kinds.push(Interest {
                group: String::new(),
                ..interest("configmaps", "ConfigMap")
            });
        }
        kinds
    }

    fn upsert(objects: Vec<Object>) -> Result<(), Error> {
        let ingresses = objects
            .into_iter()
            .map(|object| object.key)
            .filter(|key| key.kind == "Ingress");
        STATE.with_borrow_mut(|state| state.changed.extend(ingresses));
        Ok(())
    }

    fn remove(keys: Vec<ObjectKey>) -> Result<(), Error> {
        STATE.with_borrow_mut(|state| state.gone.extend(keys));
        Ok(())
    }

    fn compile(_max: u32) -> Result<Vec<Change>, Error> {
        STATE.with_borrow_mut(|state| {
            if state.changed.iter().any(is_victim) {
                misbehave(&state.mode);
            }
            let gone = std::mem::take(&mut state.gone)
                .into_iter()
                .map(Change::Gone);
            let routes: Vec<Change> = std::mem::take(&mut state.changed)
                .into_iter()
                .map(|key| state.outcome(key))
                .collect();
            Ok(gone.chain(routes).collect())
        })
    }
}

fn is_victim(key: &ObjectKey) -> bool {
    key.name == "victim"
}

fn misbehave(mode: &str) {
    match mode {
        "loop" => loop {
            std::hint::spin_loop();
        },
        "trap" => panic!("on purpose"),
        "hog" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        _ => {}
    }
}

impl State {
    fn outcome(&self, mut key: ObjectKey) -> Change {
        let mut route = self.route(&key);
        match self.mode.as_str() {
            _ if !is_victim(&key) => {}
            // A decision on an object that it never received.
            "lie" => key.name = "unknown".to_owned(),
            // An answer beyond the host's limits.
            "huge" => route.rule = vec![Matcher::Path("/".repeat(1 << 20)); 80],
            _ => {}
        }
        Change::Put(Outcome {
            key,
            routes: vec![route],
            tcp_routes: Vec::new(),
            certificates: Vec::new(),
            diagnostics: Vec::new(),
            publish_address: false,
        })
    }

    fn route(&self, key: &ObjectKey) -> Route {
        let (namespace, name) = self.service.clone();
        let backend = Backend {
            service: Reference { namespace, name },
            port: String::new(),
            port_number: 80,
            external: None,
            scheme: Scheme::Http,
            weight: 1,
            pass_host_header: true,
            sticky: None,
            transport: None,
        };
        Route {
            name: format!("{}/{}", key.namespace, key.name),
            entry_points: Vec::new(),
            rule: Vec::new(),
            priority: 1,
            middlewares: Vec::new(),
            target: Target {
                backends: vec![backend],
                sticky: None,
            },
            tls: TlsUse::Either,
            tls_options: None,
        }
    }
}

fn interest(plural: &str, kind: &str) -> Interest {
    Interest {
        group: "networking.k8s.io".to_owned(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
        optional: false,
        fields: vec!["spec".to_owned()],
    }
}
