//! Objects whose work multiplies: each is refused by itself, with a report, and all others are served.

use serde_json::{Value, json};

use crate::tests::{Lab, ingress};
use crate::wit::{Change, Outcome};

fn named(kind: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": "evil"}, "spec": spec})
}

fn route(name: &str, spec: Value) -> Value {
    let mut route = json!({"match": "Host(`evil`)", "services": [{"name": "s", "port": 80}]});
    let extra = spec.as_object().unwrap().clone();
    route.as_object_mut().unwrap().extend(extra);
    named("IngressRoute", name, json!({"routes": [route]}))
}

fn service(annotations: Value) -> Value {
    json!({"kind": "Service", "metadata": {"name": "s", "namespace": "evil", "annotations": annotations},
        "spec": {"ports": [{"port": 80}]}})
}

/// Puts the objects beside an ordinary Ingress, and gives what becomes of the one with this name.
fn outcome_of(name: &str, objects: Vec<Value>) -> Outcome {
    let mut lab = Lab::new();
    lab.put(service(json!({})));
    objects.into_iter().for_each(|object| lab.put(object));
    lab.put(ingress(
        json!({"rules": [{"host": "good", "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}),
    ));
    let mut all = Vec::new();
    loop {
        let some = lab.changes();
        if some.is_empty() {
            break;
        }
        all.extend(some.into_iter().filter_map(|change| match change {
            Change::Put(outcome) => Some(outcome),
            Change::Gone(_) => None,
        }));
    }
    let good = all.iter().find(|outcome| outcome.key.name == "web");
    assert_eq!(good.unwrap().routes.len(), 1, "the other object is served");
    all.into_iter()
        .find(|outcome| outcome.key.name == name)
        .unwrap()
}

fn assert_refused(outcome: &Outcome) {
    assert!(outcome.routes.is_empty(), "{} routes", outcome.routes.len());
    let report = &outcome.diagnostics[0];
    assert_eq!(report.reason, "TooMuchWork", "{}", report.message);
    assert!(report.message.contains("not served"), "{}", report.message);
}

#[test]
fn chains_of_chains_do_not_multiply() {
    let mut objects = vec![
        named("Middleware", "m8", json!({"chain": {"middlewares": []}})),
        route("evil", json!({"middlewares": [{"name": "m0"}]})),
    ];
    for at in 0..8 {
        let inner = vec![json!({"name": format!("m{}", at + 1)}); 8];
        let chain = json!({"chain": {"middlewares": inner}});
        objects.push(named("Middleware", &format!("m{at}"), chain));
    }
    assert_refused(&outcome_of("evil", objects));
}

#[test]
fn weighted_services_do_not_multiply() {
    let group = |inner: Value| json!({"weighted": {"services": vec![inner; 8]}});
    let top = json!({"name": "t0", "kind": "TraefikService"});
    let mut objects = vec![
        named(
            "TraefikService",
            "t7",
            group(json!({"name": "s", "port": 80})),
        ),
        route("evil", json!({"services": [top]})),
    ];
    for at in 0..7 {
        let inner = json!({"name": format!("t{}", at + 1), "kind": "TraefikService"});
        objects.push(named("TraefikService", &format!("t{at}"), group(inner)));
    }
    assert_refused(&outcome_of("evil", objects));
}

#[test]
fn what_many_routes_share_does_not_multiply() {
    let long = "x".repeat(200_000);
    let paths = |count: usize| {
        let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}});
        json!({"rules": [{"host": "evil", "http": {"paths": vec![path; count]}}]})
    };
    let mut evil = named("Ingress", "evil", paths(5000));
    evil["metadata"]["annotations"] =
        json!({"traefik.ingress.kubernetes.io/router.entrypoints": long});
    assert_refused(&outcome_of("evil", vec![evil]));
    // The annotations of a Service that many paths lead to.
    let cookie = json!({"traefik.ingress.kubernetes.io/service.sticky.cookie": "true",
        "traefik.ingress.kubernetes.io/service.sticky.cookie.name": long});
    let objects = vec![named("Ingress", "evil", paths(5000)), service(cookie)];
    assert_refused(&outcome_of("evil", objects));
    // The TLS options of all routes of an object.
    let one = json!({"match": "Host(`evil`)", "services": [{"name": "s", "port": 80}]});
    let spec = json!({"routes": vec![one; 2000], "tls": {"options": {"name": "o"}}});
    let options = named("TLSOption", "o", json!({"cipherSuites": [long]}));
    let objects = vec![named("IngressRoute", "evil", spec), options];
    assert_refused(&outcome_of("evil", objects));
}

#[test]
fn a_name_of_dashes_is_not_split_everywhere() {
    let mut evil = named("Ingress", "evil", json!({}));
    let name = format!("{}@kubernetescrd", "a-".repeat(100_000));
    evil["metadata"]["annotations"] =
        json!({"traefik.ingress.kubernetes.io/router.middlewares": name});
    let outcome = outcome_of("evil", vec![evil]);
    assert_eq!(outcome.diagnostics[0].reason, "InvalidReference");
}

#[test]
fn weights_do_not_overflow() {
    let inner =
        json!({"weighted": {"services": [{"name": "s", "port": 80, "weight": 4_294_967_295_u32}]}});
    let objects = vec![
        named("TraefikService", "t", inner),
        route(
            "fine",
            json!({"services": [{"name": "t", "kind": "TraefikService", "weight": 4_294_967_295_u32}, {"name": "s", "port": 80}]}),
        ),
    ];
    assert_eq!(
        outcome_of("fine", objects).routes[0].target.backends.len(),
        2
    );
}
