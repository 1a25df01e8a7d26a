//! Objects as the ingress component takes them.

use std::collections::BTreeSet;

use k3s_ingress_traefik::{Config, Traefik};
use k3s_plugin_sdk::ingress::{
    Change, Incremental, IngressController as _, Matcher, Object, ObjectKey, Outcome,
};
use serde_json::{Value, json};

/// Most objects that are taken from one input.
const MAX_OBJECTS: usize = 16;
/// As the contract has it.
const MAX_DIAGNOSTICS: usize = 100;
const MAX_MESSAGE_BYTES: usize = 1024;

fn object(value: &Value) -> Object {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&value["kind"]);
    let group = match kind.as_str() {
        "Ingress" | "IngressClass" => "networking.k8s.io",
        "Service" => "",
        _ => "traefik.io",
    };
    let metadata = &value["metadata"];
    Object {
        key: ObjectKey {
            group: group.to_owned(),
            kind,
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
        },
        json: serde_json::to_vec(value).unwrap(),
    }
}

/// Objects that others refer to.
fn base() -> Vec<Value> {
    vec![
        json!({"kind": "IngressClass", "metadata": {"name": "traefik",
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "traefik.io/ingress-controller"}}),
        json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"ports": [{"name": "http", "port": 80}]}}),
    ]
}

/// All that the component decides on these objects, in the order of its texts.
fn decided(objects: &[Value]) -> Vec<Outcome> {
    let mut controller = Incremental::new(Traefik::new(Config::default()).unwrap());
    controller.upsert(base().iter().chain(objects).map(object).collect());
    let mut outcomes = Vec::new();
    loop {
        let changes = controller.compile(u32::MAX);
        if changes.is_empty() {
            break;
        }
        outcomes.extend(changes.into_iter().filter_map(|change| match change {
            Change::Put(outcome) => Some(outcome),
            Change::Gone(_) => None,
        }));
    }
    outcomes.sort_by_key(|outcome| format!("{:?}", outcome.key));
    outcomes
}

fn check(outcome: &Outcome) {
    assert!(outcome.diagnostics.len() <= MAX_DIAGNOSTICS);
    for diagnostic in &outcome.diagnostics {
        assert!(diagnostic.message.len() <= MAX_MESSAGE_BYTES);
    }
    let rules = outcome.routes.iter().map(|route| &route.rule);
    let tcp = outcome.tcp_routes.iter().map(|route| &route.rule);
    for rule in rules.chain(tcp) {
        assert!(is_postfix(rule), "{rule:?}");
    }
}

/// Whether each operator finds its operands, and one rule is left, or none was there.
fn is_postfix(rule: &[Matcher]) -> bool {
    let mut left = 0_usize;
    for matcher in rule {
        let operands = match matcher {
            Matcher::All(count) | Matcher::Any(count) => usize::try_from(*count).unwrap(),
            Matcher::Not => 1,
            _ => 0,
        };
        let Some(rest) = left.checked_sub(operands) else {
            return false;
        };
        left = rest + 1;
    }
    left == 1 || rule.is_empty()
}

/// Objects as JSON, one in each line. What is decided does not depend on the order in which they come.
pub fn ingress_objects(data: &[u8]) {
    let mut seen = BTreeSet::new();
    let mut objects = Vec::new();
    for line in data.split(|byte| *byte == b'\n').take(MAX_OBJECTS) {
        let Ok(value) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let key = object(&value).key;
        let is_base = base().iter().any(|it| object(it).key == key);
        if !is_base && seen.insert(format!("{key:?}")) {
            objects.push(value);
        }
    }
    let outcomes = decided(&objects);
    outcomes.iter().for_each(check);
    objects.reverse();
    // Numbers in them may be none (`NaN`), which equals nothing.
    assert_eq!(format!("{:?}", decided(&objects)), format!("{outcomes:?}"));
}

/// A rule in Traefik's language, of HTTP and of TCP.
pub fn router_rule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let service = json!([{"name": "web", "port": 80}]);
    for kind in ["IngressRoute", "IngressRouteTCP"] {
        let route = json!({"match": text, "services": service});
        let object = json!({"kind": kind, "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"routes": [route]}});
        let outcomes = decided(&[object]);
        let [outcome] = outcomes.as_slice() else {
            panic!("{outcomes:?}");
        };
        check(outcome);
        let routes = outcome.routes.len() + outcome.tcp_routes.len();
        assert!(
            routes == 1 || !outcome.diagnostics.is_empty(),
            "{outcome:?}"
        );
    }
}
