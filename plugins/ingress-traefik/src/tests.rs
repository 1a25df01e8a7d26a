//! What the plugin decides, from objects to routes, as the host sees it.

use k3s_plugin_sdk::ingress::{Incremental, IngressController as _, Object, ObjectKey};
use serde_json::{Value, json};

use crate::config::Config;
use crate::traefik::Traefik;
use crate::wit::{Change, Matcher, Outcome, Scheme};

pub(crate) struct Lab(pub(crate) Incremental<Traefik>);

impl Lab {
    fn with(config: Config) -> Self {
        Self(Incremental::new(Traefik::new(config).unwrap()))
    }

    pub(crate) fn new() -> Self {
        let mut lab = Self::with(Config::default());
        lab.put(
            json!({"kind": "IngressClass", "metadata": {"name": "traefik",
            "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "traefik.io/ingress-controller"}}),
        );
        lab.put(json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 9000, "appProtocol": "kubernetes.io/h2c"}]}}));
        lab.changes();
        lab
    }

    pub(crate) fn put(&mut self, object: Value) {
        let key = key(&object);
        self.0.upsert(vec![Object {
            key,
            json: serde_json::to_vec(&object).unwrap(),
        }]);
    }

    pub(crate) fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        let object = json!({"kind": kind, "metadata": {"name": name, "namespace": namespace}});
        self.0.remove(vec![key(&object)]);
    }

    pub(crate) fn changes(&mut self) -> Vec<Change> {
        self.0.compile(u32::MAX)
    }

    /// The only change there is.
    pub(crate) fn outcome(&mut self) -> Outcome {
        let changes = self.changes();
        match changes.as_slice() {
            [Change::Put(outcome)] => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn key(object: &Value) -> ObjectKey {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let group = match kind.as_str() {
        "Ingress" | "IngressClass" => "networking.k8s.io",
        "Service" => "",
        _ => "traefik.io",
    };
    let meta = &object["metadata"];
    ObjectKey {
        group: group.to_owned(),
        kind,
        namespace: text(&meta["namespace"]),
        name: text(&meta["name"]),
    }
}

pub(crate) fn ingress(spec: Value) -> Value {
    json!({"kind": "Ingress", "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
}

fn to_web(host: &str, path: &str, path_type: &str) -> Value {
    json!({"host": host, "http": {"paths": [{"path": path, "pathType": path_type,
        "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}})
}

fn reasons(outcome: &Outcome) -> Vec<&str> {
    outcome
        .diagnostics
        .iter()
        .map(|d| d.reason.as_str())
        .collect()
}

#[test]
fn paths_become_rules_by_their_type() {
    for (host, path, path_type, rule) in [
        (
            "a.b",
            "/x",
            "Exact",
            vec![
                Matcher::Host("a.b".into()),
                Matcher::Path("/x".into()),
                Matcher::All(2),
            ],
        ),
        (
            "a.b",
            "/x/",
            "Prefix",
            vec![
                Matcher::Host("a.b".into()),
                Matcher::PathSegments("/x".into()),
                Matcher::All(2),
            ],
        ),
        ("*.b.c", "/", "Prefix", vec![Matcher::Host("*.b.c".into())]),
        (
            "",
            "/x",
            "ImplementationSpecific",
            vec![Matcher::PathPrefix("/x".into())],
        ),
        ("", "/", "Prefix", vec![]),
    ] {
        let mut lab = Lab::new();
        lab.put(ingress(json!({"rules": [to_web(host, path, path_type)]})));
        let outcome = lab.outcome();
        assert_eq!(outcome.routes[0].rule, rule, "{host}{path}");
        assert!(
            outcome.publish_address && outcome.diagnostics.is_empty(),
            "{outcome:?}"
        );
        let backend = &outcome.routes[0].target.backends[0];
        assert_eq!(
            (backend.port.as_str(), backend.port_number, backend.scheme),
            ("http", 80, Scheme::Http)
        );
    }
}

#[test]
fn classes_decide_whose_an_ingress_is() {
    let spec = || json!({"rules": [to_web("a", "/", "Prefix")]});
    let with_class = |name: &str| {
        let mut object = ingress(spec());
        object["spec"]["ingressClassName"] = name.into();
        object
    };
    let annotated = |value: &str| {
        let mut object = ingress(spec());
        object["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": value});
        object
    };
    for (object, ours) in [
        (ingress(spec()), true),
        (with_class("traefik"), true),
        (with_class("nginx"), false),
        (annotated("traefik"), true),
        (annotated("nginx"), false),
    ] {
        let mut lab = Lab::new();
        lab.put(object.clone());
        assert_eq!(matches!(lab.changes()[0], Change::Put(_)), ours, "{object}");
    }
    // Without a default class, nobody's is nobody's; when the class comes back, so does the route.
    let mut lab = Lab::new();
    lab.put(ingress(spec()));
    lab.outcome();
    lab.remove("IngressClass", "", "traefik");
    assert!(matches!(lab.changes()[..], [Change::Gone(_)]));
    lab.put(json!({"kind": "IngressClass", "metadata": {"name": "traefik"}, "spec": {"controller": "traefik.io/ingress-controller"}}));
    assert!(
        matches!(lab.changes()[..], [Change::Gone(_)]),
        "it is not the default any more"
    );
    lab.put(with_class("traefik"));
    lab.outcome();
}

#[test]
fn a_missing_service_disables_its_path_only_and_comes_back() {
    let mut lab = Lab::new();
    let mut missing = to_web("a", "/y", "Prefix");
    missing["http"]["paths"][0]["backend"]["service"]["name"] = "later".into();
    lab.put(ingress(
        json!({"rules": [to_web("a", "/x", "Prefix"), missing], "tls": [{"hosts": ["a"], "secretName": "cert"}]}),
    ));
    let outcome = lab.outcome();
    assert_eq!(
        (outcome.routes.len(), reasons(&outcome)),
        (1, vec!["BackendNotFound"])
    );
    assert!(
        outcome.diagnostics[0]
            .message
            .contains("shop/later does not exist")
    );
    assert_eq!(outcome.certificates[0].name, "cert");
    lab.put(json!({"kind": "Service", "metadata": {"name": "later", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}));
    assert_eq!(lab.outcome().routes.len(), 2);
    // The port may be named; a Service's port must exist.
    lab.put(ingress(
        json!({"defaultBackend": {"service": {"name": "web", "port": {"name": "grpc"}}}}),
    ));
    let outcome = lab.outcome();
    assert_eq!(outcome.routes[0].target.backends[0].scheme, Scheme::H2c);
    assert_eq!(
        (outcome.routes[0].rule.len(), outcome.routes[0].priority),
        (0, crate::priority::DEFAULT_BACKEND)
    );
    lab.put(ingress(
        json!({"defaultBackend": {"service": {"name": "web", "port": {"name": "admin"}}}}),
    ));
    assert!(
        lab.outcome().diagnostics[0]
            .message
            .contains("has no port admin")
    );
}

#[test]
fn what_would_weaken_security_disables_the_object() {
    let mut lab = Lab::new();
    for (name, value) in [
        ("router.middlewares", "shop-auth@kubernetescrd"),
        ("router.midlewares", "x"),
        ("router.tls", "1"),
    ] {
        let mut object = ingress(json!({"rules": [to_web("a", "/", "Prefix")]}));
        object["metadata"]["annotations"] =
            json!({format!("traefik.ingress.kubernetes.io/{name}"): value});
        lab.put(object);
        let outcome = lab.outcome();
        assert!(
            outcome.routes.is_empty() && outcome.diagnostics[0].message.contains("not served"),
            "{outcome:?}"
        );
    }
    lab.put(
        json!({"kind": "Service", "metadata": {"name": "out", "namespace": "shop"},
        "spec": {"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 80}]}}),
    );
    lab.put(ingress(
        json!({"defaultBackend": {"service": {"name": "out", "port": {"number": 80}}}}),
    ));
    assert!(lab.outcome().diagnostics[0].message.contains("not allowed"));
}

#[test]
fn a_broken_object_disables_only_itself() {
    let mut lab = Lab::new();
    lab.put(ingress(json!({"rules": "none"})));
    let outcome = lab.outcome();
    assert_eq!(
        (outcome.routes.len(), reasons(&outcome)),
        (0, vec!["InvalidIngress"])
    );
    let mut other = ingress(json!({"rules": [to_web("a", "/", "Prefix")]}));
    other["metadata"]["name"] = "other".into();
    lab.put(other);
    assert_eq!(lab.outcome().routes.len(), 1);
    lab.remove("Ingress", "shop", "other");
    assert!(matches!(lab.changes()[..], [Change::Gone(_)]));
    assert!(lab.changes().is_empty());
}

fn custom(kind: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn ingress_route(rule: &str, extra: Value) -> Value {
    let mut route =
        json!({"match": rule, "kind": "Rule", "services": [{"name": "web", "port": 80}]});
    route
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    custom(
        "IngressRoute",
        "route",
        json!({"entryPoints": ["websecure"], "routes": [route], "tls": {"secretName": "cert"}}),
    )
}

#[test]
fn an_ingress_route_with_its_middlewares() {
    let mut lab = Lab::new();
    lab.put(ingress_route(
        "Host(`a`) && Method(`GET`)",
        json!({"middlewares": [{"name": "all"}]}),
    ));
    let outcome = lab.outcome();
    assert_eq!(
        (
            outcome.routes.len(),
            outcome.diagnostics[0]
                .message
                .contains("Middleware shop/all does not exist")
        ),
        (0, true)
    );
    lab.put(custom(
        "Middleware",
        "all",
        json!({"chain": {"middlewares": [{"name": "strip"}, {"name": "auth"}]}}),
    ));
    lab.put(custom(
        "Middleware",
        "strip",
        json!({"stripPrefix": {"prefixes": ["/api"]}}),
    ));
    lab.put(custom(
        "Middleware",
        "auth",
        json!({"basicAuth": {"secret": "users"}}),
    ));
    let outcome = lab.outcome();
    let names: Vec<_> = outcome.routes[0]
        .middlewares
        .iter()
        .map(|m| m.name.as_str())
        .collect();
    assert_eq!(names, ["shop/strip", "shop/auth"]);
    assert_eq!(
        (
            outcome.routes[0].priority,
            outcome.certificates[0].name.as_str()
        ),
        (26_000, "cert")
    );
    assert_eq!(outcome.routes[0].tls, crate::wit::TlsUse::Required);
    // What a middleware asks for and nobody knows disables the routes that rely on it.
    for (spec, part) in [
        (
            json!({"basicAuth": {"secret": "users", "digest": true}}),
            "digest",
        ),
        (json!({"plugin": {"waf": {}}}), "plugin"),
        (
            json!({"circuitBreaker": {"expression": "Magic() > 1"}}),
            "Magic",
        ),
        (json!({}), "cannot be used"),
    ] {
        lab.put(custom("Middleware", "auth", spec));
        let outcome = lab.outcome();
        assert!(
            outcome.routes.is_empty() && outcome.diagnostics[0].message.contains(part),
            "{outcome:?}"
        );
    }
    // An Ingress names the same objects by annotation.
    let mut object = ingress(json!({"rules": [to_web("a", "/", "Prefix")]}));
    object["metadata"]["annotations"] =
        json!({"traefik.ingress.kubernetes.io/router.middlewares": "shop-strip@kubernetescrd"});
    lab.put(object);
    assert_eq!(lab.outcome().routes[0].middlewares[0].name, "shop/strip");
}

#[test]
fn an_ingress_names_middlewares_of_every_namespace_and_an_ingress_route_its_own() {
    let mut lab = Lab::new();
    lab.put(
        json!({"kind": "Middleware", "metadata": {"name": "x", "namespace": "shared-auth"},
        "spec": {"replacePath": {"path": "/"}}}),
    );
    let mut object = ingress(json!({"rules": [to_web("a", "/", "Prefix")]}));
    object["metadata"]["annotations"] =
        json!({"traefik.ingress.kubernetes.io/router.middlewares": "shared-auth-x@kubernetescrd"});
    lab.put(object);
    assert_eq!(lab.outcome().routes[0].middlewares[0].name, "shared-auth/x");
    for reference in [
        json!({"name": "shared-auth-x@kubernetescrd"}),
        json!({"name": "x", "namespace": "shared-auth"}),
    ] {
        lab.put(ingress_route(
            "Host(`a`)",
            json!({"middlewares": [reference]}),
        ));
        let outcome = lab.outcome();
        assert!(
            outcome.routes.is_empty()
                && outcome.diagnostics[0].message.contains("another namespace")
        );
    }
    // What the middleware itself names is up to its own namespace.
    lab.put(
        json!({"kind": "Middleware", "metadata": {"name": "x", "namespace": "shared-auth"},
        "spec": {"chain": {"middlewares": [{"name": "y", "namespace": "shop"}]}}}),
    );
    let outcomes = lab.changes();
    assert!(
        outcomes
            .iter()
            .all(|change| matches!(change, Change::Put(outcome) if outcome.routes.is_empty()))
    );
}

#[test]
fn a_field_that_keeps_nothing_out_does_not_cost_the_route() {
    for (spec, told) in [
        (
            json!({"headers": {"frameDeny": true, "hostsProxyHeaders": ["X-Forwarded-Host"]}}),
            Some("hostsProxyHeaders"),
        ),
        (
            json!({"headers": {"sslProxyHeaders": {"X-Forwarded-Proto": "https"}}}),
            Some("sslProxyHeaders"),
        ),
        (
            json!({"headers": {"isDevelopment": true, "stsSeconds": 5}}),
            None,
        ),
        (
            json!({"forwardAuth": {"address": "http://a", "tls": {"insecureSkipVerify": true}}}),
            Some("tls"),
        ),
        (
            json!({"forwardAuth": {"address": "http://a", "addAuthCookiesToResponse": ["s"]}}),
            Some("addAuthCookies"),
        ),
        (
            json!({"forwardAuth": {"address": "http://a", "maxBodySize": 10}}),
            None,
        ),
        (
            json!({"forwardAuth": {"address": "http://a", "trustForwardHeader": true}}),
            Some("trustForwardHeader"),
        ),
        (
            json!({"buffering": {"retryExpression": "IsNetworkError() && Attempts() < 2"}}),
            Some("retryExpression"),
        ),
        (
            json!({"compress": {"encodings": ["zstd", "br"]}}),
            Some("gzip"),
        ),
        (
            json!({"retry": {"attempts": 2, "timeout": "1s"}}),
            Some("timeout"),
        ),
        (
            json!({"rateLimit": {"average": 1, "redis": {"endpoints": ["a:1"]}}}),
            Some("redis"),
        ),
        (
            json!({"ipAllowList": {"sourceRange": ["10.0.0.0/8"], "rejectStatusCode": 404}}),
            Some("rejectStatusCode"),
        ),
        (
            json!({"stripPrefix": {"prefixes": ["/a"], "forceSlash": false}}),
            Some("forceSlash"),
        ),
        (
            json!({"passTLSClientCert": {"pem": true}}),
            Some("passTLSClientCert"),
        ),
        (json!({"contentType": {}}), Some("contentType")),
    ] {
        let mut lab = Lab::new();
        lab.put(custom("Middleware", "m", spec.clone()));
        lab.put(ingress_route(
            "Host(`a`)",
            json!({"middlewares": [{"name": "m"}]}),
        ));
        let outcome = lab.outcome();
        assert_eq!(outcome.routes.len(), 1, "{spec}: {:?}", outcome.diagnostics);
        let messages: Vec<_> = outcome
            .diagnostics
            .iter()
            .map(|d| d.message.as_str())
            .collect();
        match told {
            Some(part) => assert!(
                messages.iter().any(|m| m.contains(part)),
                "{spec}: {messages:?}"
            ),
            None => assert!(messages.is_empty(), "{spec}: {messages:?}"),
        }
    }
    // What keeps requests out is not left out.
    for spec in [
        json!({"forwardAuth": {"address": "http://a", "forwardBody": true}}),
        json!({"forwardAuth": {"address": "http://a", "preserveRequestMethod": true}}),
        json!({"digestAuth": {"secret": "users"}}),
        json!({"encodedCharacters": {}}),
        json!({"plugin": {"waf": {}}}),
    ] {
        let mut lab = Lab::new();
        lab.put(custom("Middleware", "m", spec.clone()));
        lab.put(ingress_route(
            "Host(`a`)",
            json!({"middlewares": [{"name": "m"}]}),
        ));
        let outcome = lab.outcome();
        assert!(
            outcome.routes.is_empty() && !outcome.diagnostics.is_empty(),
            "{spec}"
        );
    }
}

#[test]
fn services_of_services_are_served_and_told_apart() {
    for (spec, told) in [
        (
            json!({"mirroring": {"name": "web", "port": 80, "mirrors": [{"name": "web", "port": 80, "percent": 10}]}}),
            "mirrors get no copies",
        ),
        (
            json!({"highestRandomWeight": {"services": [{"name": "web", "port": 80, "weight": 2}]}}),
            "does not stay",
        ),
        (
            json!({"weighted": {"services": [{"name": "web", "port": 80, "healthCheck": {"path": "/"}}]}}),
            "healthCheck",
        ),
        (
            json!({"weighted": {"services": [{"name": "web", "port": 80, "strategy": "p2c"}]}}),
            "p2c",
        ),
    ] {
        let mut lab = Lab::new();
        lab.put(custom("TraefikService", "t", spec.clone()));
        let services = json!({"services": [{"name": "t", "kind": "TraefikService"}]});
        lab.put(ingress_route("Host(`a`)", services));
        let outcome = lab.outcome();
        assert_eq!(outcome.routes[0].target.backends.len(), 1, "{spec}");
        assert!(
            outcome.diagnostics[0].message.contains(told),
            "{:?}",
            outcome.diagnostics
        );
    }
    // A field of a service that keeps requests out.
    let mut lab = Lab::new();
    lab.put(custom(
        "TraefikService",
        "t",
        json!({"mirroring": {"name": "web", "port": 80, "middlewares": [{"name": "auth"}]}}),
    ));
    lab.put(ingress_route(
        "Host(`a`)",
        json!({"services": [{"name": "t", "kind": "TraefikService"}]}),
    ));
    assert!(lab.outcome().diagnostics[0].message.contains("middlewares"));
}

#[test]
fn weights_of_nested_services_multiply() {
    let mut lab = Lab::new();
    for name in ["b", "c"] {
        lab.put(json!({"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}));
    }
    lab.put(custom(
        "TraefikService",
        "half",
        json!({"weighted": {"services": [
        {"name": "b", "port": 80, "weight": 1}, {"name": "c", "port": 80, "weight": 3}]}}),
    ));
    let services = json!({"services": [{"name": "web", "port": "http", "weight": 1}, {"name": "half", "kind": "TraefikService", "weight": 2}]});
    lab.put(ingress_route("Host(`a`)", services));
    let outcome = lab.outcome();
    let weights: Vec<_> = outcome.routes[0]
        .target
        .backends
        .iter()
        .map(|b| b.weight)
        .collect();
    assert_eq!(weights, [10_000, 5000, 15_000], "{:?}", outcome.diagnostics);
    // A service in another namespace is not ours to give.
    lab.put(ingress_route(
        "Host(`a`)",
        json!({"services": [{"name": "web", "namespace": "other", "port": 80}]}),
    ));
    assert!(
        lab.outcome().diagnostics[0]
            .message
            .contains("another namespace")
    );
    lab.put(custom(
        "TraefikService",
        "half",
        json!({"weighted": {"services": [{"name": "half", "kind": "TraefikService"}]}}),
    ));
    lab.put(ingress_route(
        "Host(`a`)",
        json!({"services": [{"name": "half", "kind": "TraefikService"}]}),
    ));
    assert!(lab.outcome().diagnostics[0].message.contains("too deeply"));
}

#[test]
fn a_store_names_its_default_certificate_first() {
    let mut lab = Lab::new();
    lab.put(custom(
        "TLSStore",
        "default",
        json!({"certificates": [{"secretName": "other"}], "defaultCertificate": {"secretName": "wild"}}),
    ));
    let outcome = lab.outcome();
    let names: Vec<_> = outcome
        .certificates
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(
        (names, outcome.diagnostics.len()),
        (vec!["wild", "other"], 0)
    );
    // With two of them, neither is used, and both authors are told.
    let mut second = custom(
        "TLSStore",
        "default",
        json!({"defaultCertificate": {"secretName": "x"}}),
    );
    second["metadata"]["namespace"] = "other".into();
    lab.put(second);
    let told = |change: &Change| {
        matches!(change, Change::Put(outcome) if outcome.certificates.is_empty()
        && outcome.diagnostics[0].message.contains("several"))
    };
    let changes = lab.changes();
    assert!(
        changes.len() == 2 && changes.iter().all(told),
        "{changes:?}"
    );
}

#[test]
fn kinds_without_effect_say_so() {
    for kind in ["IngressRouteUDP", "MiddlewareTCP", "ServersTransportTCP"] {
        let mut lab = Lab::new();
        lab.put(custom(kind, "x", json!({})));
        let outcome = lab.outcome();
        assert_eq!(reasons(&outcome), ["NotSupported"]);
        assert!(outcome.diagnostics[0].message.contains(kind));
    }
}

#[test]
fn tls_options_and_connections() {
    let mut lab = Lab::new();
    lab.put(custom(
        "TLSOption",
        "mtls",
        json!({"minVersion": "VersionTLS13", "clientAuth":
        {"secretNames": ["ca"], "clientAuthType": "RequireAndVerifyClientCert"}}),
    ));
    let mut route = ingress_route("Host(`a`)", json!({}));
    route["spec"]["tls"]["options"] = json!({"name": "mtls"});
    lab.put(route.clone());
    let options = lab.outcome().routes[0].tls_options.clone().unwrap();
    assert_eq!(
        (options.client_auth, options.client_cas[0].name.as_str()),
        (crate::wit::ClientAuth::RequireAndVerify, "ca")
    );
    route["spec"]["tls"]["options"]["name"] = "missing".into();
    lab.put(route);
    let outcome = lab.outcome();
    assert!(
        outcome.routes.is_empty() && outcome.diagnostics[0].message.contains("does not exist"),
        "{outcome:?}"
    );
    lab.put(custom(
        "IngressRouteTCP",
        "db",
        json!({"entryPoints": ["websecure"], "tls": {"passthrough": true},
        "routes": [{"match": "HostSNI(`db.example.com`)", "services": [{"name": "web", "port": 80}]}]}),
    ));
    let outcome = lab.outcome();
    assert_eq!(
        (outcome.tcp_routes.len(), outcome.tcp_routes[0].tls),
        (1, crate::wit::TcpTls::Passthrough),
        "{outcome:?}"
    );
    // The cluster's default options hold for every route without its own.
    lab.put(custom("TLSOption", "default", json!({"sniStrict": true})));
    lab.changes();
    lab.put(ingress(json!({"rules": [to_web("a", "/", "Prefix")]})));
    assert!(
        lab.outcome().routes[0]
            .tls_options
            .as_ref()
            .unwrap()
            .sni_strict
    );
}
