//! An ingress controller that breaks its contract in the way of its configuration (`mode`), as careless
//! authors do; `k3s plugin check` must find it. It decides on all Ingresses whenever anything changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use k3s_plugin_sdk::ingress::bindings;
use k3s_plugin_sdk::ingress::{
    Backend, Change, Diagnostic, Error, Interest, Matcher, Object, ObjectKey, Outcome, Reference,
    Route, Severity,
};
use k3s_plugin_sdk::serde_json::{self, Value};

use bindings::exports::k3s::common::feed::{Error as FeedError, Guest as Feed};
use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use bindings::exports::k3s::ingress::routing::Guest as Routing;

struct Careless;

bindings::export_raw!(Careless with_types_in bindings);

#[derive(Default)]
struct State {
    mode: String,
    ingresses: BTreeMap<String, (ObjectKey, Value)>,
    services: BTreeSet<String>,
    due: Vec<Change>,
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

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
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
        if config.get("no-such-setting").is_some() {
            return Err(ConfigError::Invalid("unknown setting".to_owned()));
        }
        STATE.set(State {
            mode: text(&config, "/mode").to_owned(),
            ..State::default()
        });
        Ok(())
    }
}

impl State {
    fn is(&self, mode: &str) -> bool {
        self.mode == mode
    }

    fn decide_all(&mut self) {
        let due: Vec<Change> = self
            .ingresses
            .values()
            .map(|(key, ingress)| self.decide(key, ingress))
            .collect();
        self.due = due;
        if self.is("invents") {
            let key = ObjectKey {
                name: "unknown".to_owned(),
                ..self.any_key()
            };
            self.due.push(Change::Gone(key));
        }
    }

    fn any_key(&self) -> ObjectKey {
        let (group, kind) = ("networking.k8s.io".to_owned(), "Ingress".to_owned());
        ObjectKey {
            group,
            kind,
            namespace: "shop".to_owned(),
            name: String::new(),
        }
    }

    fn decide(&self, key: &ObjectKey, ingress: &Value) -> Change {
        let class = text(ingress, "/spec/ingressClassName");
        if class == "nginx" && !self.is("takes-all-classes") {
            return Change::Gone(key.clone());
        }
        let mut outcome = Outcome {
            key: key.clone(),
            routes: Vec::new(),
            tcp_routes: Vec::new(),
            certificates: Vec::new(),
            diagnostics: Vec::new(),
            publish_address: true,
        };
        let broken = ingress
            .pointer("/spec/rules")
            .is_some_and(|rules| !rules.is_array());
        if broken && !self.is("is-silent") {
            outcome.diagnostics.push(error("rules are no list"));
        }
        for (at, rule) in list(ingress, "/spec/rules").enumerate() {
            for (number, path) in list(rule, "/http/paths").enumerate() {
                let service = text(path, "/backend/service/name");
                if !self.services.contains(service) && !self.is("is-blind") {
                    if !self.is("is-silent") {
                        outcome
                            .diagnostics
                            .push(error(&format!("service {service} does not exist")));
                    }
                    continue;
                }
                outcome
                    .routes
                    .push(self.route(key, (at, number), rule, path));
            }
        }
        Change::Put(outcome)
    }

    fn route(
        &self,
        key: &ObjectKey,
        (at, number): (usize, usize),
        rule: &Value,
        path: &Value,
    ) -> Route {
        let (text_of_path, exact) = (text(path, "/path"), text(path, "/pathType") == "Exact");
        let condition = match (exact, self.is("matches-text")) {
            (true, _) => Matcher::Path(text_of_path.to_owned()),
            (false, true) => Matcher::PathPrefix(text_of_path.to_owned()),
            (false, false) => Matcher::PathSegments(text_of_path.trim_end_matches('/').to_owned()),
        };
        let host = text(rule, "/host");
        let mut rule = vec![Matcher::Host(host.to_owned()), condition, Matcher::All(2)];
        if self.is("is-malformed") {
            rule.push(Matcher::All(7));
        }
        let length = i64::try_from(text_of_path.len()).unwrap_or_default();
        let exact_host = i64::from(!host.starts_with('*'));
        let priority = if self.is("has-no-order") {
            0
        } else {
            10_000 * exact_host + 2 * length + i64::from(exact)
        };
        let name = if self.is("reuses-names") {
            "route".to_owned()
        } else {
            format!("{}/{at}/{number}", key.name)
        };
        let service = Reference {
            namespace: key.namespace.clone(),
            name: text(path, "/backend/service/name").to_owned(),
        };
        Route::to(
            Backend::of(service, "http".to_owned(), 80),
            name,
            rule,
            priority,
        )
    }
}

fn error(message: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        reason: "Careless".to_owned(),
        message: message.to_owned(),
    }
}

fn interest(group: &str, plural: &str, kind: &str, fields: &[&str]) -> Interest {
    Interest {
        group: group.to_owned(),
        version: "v1".to_owned(),
        plural: plural.to_owned(),
        kind: kind.to_owned(),
        namespaced: true,
        optional: false,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    }
}

impl Feed for Careless {
    fn interests() -> Vec<Interest> {
        STATE.with_borrow(|state| {
            // A field that is not in the mask is not passed.
            let fields: &[&str] = if state.is("asks-for-nothing") {
                &[]
            } else {
                &["spec"]
            };
            let mut all = vec![interest(
                "networking.k8s.io",
                "ingresses",
                "Ingress",
                fields,
            )];
            all.push(interest("", "services", "Service", &[]));
            if state.is("wants-secrets") {
                all.push(interest("", "secrets", "Secret", &["data"]));
            }
            all
        })
    }

    fn upsert(objects: Vec<Object>) -> Result<(), FeedError> {
        STATE.with_borrow_mut(|state| {
            for object in objects {
                let json: Value = serde_json::from_slice(&object.json).unwrap_or_default();
                match object.key.kind.as_str() {
                    "Service" => drop(state.services.insert(object.key.name)),
                    _ => drop(
                        state
                            .ingresses
                            .insert(object.key.name.clone(), (object.key, json)),
                    ),
                }
            }
            state.decide_all();
        });
        Ok(())
    }

    fn remove(keys: Vec<ObjectKey>) -> Result<(), FeedError> {
        STATE.with_borrow_mut(|state| {
            for key in keys {
                state.services.remove(&key.name);
                if state.is("remembers") || state.ingresses.remove(&key.name).is_none() {
                    continue;
                }
                state.decide_all();
                state.due.push(Change::Gone(key));
            }
        });
        Ok(())
    }
}

impl Routing for Careless {
    fn compile(max: u32) -> Result<Vec<Change>, Error> {
        STATE.with_borrow_mut(|state| {
            if state.is("traps") {
                panic!("on purpose");
            }
            if state.is("has-no-end") {
                state.decide_all();
            }
            let count = if state.is("floods") {
                usize::MAX
            } else {
                usize::try_from(max).unwrap_or(usize::MAX)
            };
            let rest = state.due.split_off(count.min(state.due.len()));
            Ok(std::mem::replace(&mut state.due, rest))
        })
    }
}
