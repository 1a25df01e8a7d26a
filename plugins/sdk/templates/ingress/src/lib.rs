//! An ingress controller to start from: Ingress rules become routes to the endpoints of Services, by host
//! and by exact path or prefix, with TLS. It has no middlewares; `k3s/wit/ingress-0.2/ingress.wit` lists
//! what else a route can do.
//!
//! The host serves the traffic and reads the Secrets. It calls the plugin when an object changes, never
//! per request: `decide` returns the routes of one Ingress. The SDK records what it looks up (a Service,
//! the class) and calls it again when that changes.

use k3s_plugin_sdk::ingress::{
    Backend, Cluster, IngressController, Key, Kind, Matcher, Outcome, Reference, Route,
};
use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::{Sentence, export_ingress};

static INGRESS: Kind = Kind::new("networking.k8s.io", "v1", "ingresses", "Ingress")
    .fields(&["spec"])
    .routed();
static CLASS: Kind = Kind::new("networking.k8s.io", "v1", "ingressclasses", "IngressClass")
    .fields(&["metadata.annotations", "spec.controller"])
    .cluster_scoped();
static SERVICE: Kind =
    Kind::new("", "v1", "services", "Service").fields(&["spec.type", "spec.ports"]);

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    /// The controller that IngressClasses name; empty means that of the server's own class.
    #[serde(default)]
    controller: String,
}

// The fields of objects that matter here.

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Ingress {
    spec: IngressSpec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default, rename_all = "camelCase")]
struct IngressSpec {
    ingress_class_name: Option<String>,
    default_backend: Option<IngressBackend>,
    tls: Vec<Tls>,
    rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default, rename_all = "camelCase")]
struct Tls {
    secret_name: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Rule {
    host: String,
    http: Http,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Http {
    paths: Vec<Path>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default, rename_all = "camelCase")]
struct Path {
    path: String,
    path_type: String,
    backend: IngressBackend,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct IngressBackend {
    service: ServiceReference,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct ServiceReference {
    name: String,
    port: Port,
}

/// By number or by name.
#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Port {
    name: String,
    number: u16,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct IngressClass {
    metadata: Metadata,
    spec: ClassSpec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Metadata {
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct ClassSpec {
    controller: String,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct ServiceSpec {
    r#type: String,
    ports: Vec<ServicePort>,
}

#[derive(Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", default)]
struct ServicePort {
    name: String,
    port: u16,
}

struct MyIngress {
    controller: String,
}

impl MyIngress {
    /// The class decides; without one, the cluster's default class does.
    fn is_ours(&self, cluster: &Cluster<'_>, ingress: &Ingress) -> bool {
        const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
        let is_our = |class: &IngressClass| class.spec.controller == self.controller;
        match &ingress.spec.ingress_class_name {
            Some(name) => cluster
                .get(&CLASS, "", name)
                .is_some_and(|class| class.is_ok_and(|class| is_our(&class))),
            None => cluster.list(&CLASS).iter().any(|class: &IngressClass| {
                is_our(class)
                    && class
                        .metadata
                        .annotations
                        .get(DEFAULT)
                        .is_some_and(|value| value == "true")
            }),
        }
    }
}

impl IngressController for MyIngress {
    type Config = Config;

    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const KINDS: &'static [&'static Kind] = &[&INGRESS, &CLASS, &SERVICE];

    fn new(config: Config) -> Result<Self, Sentence> {
        let own = "traefik.io/ingress-controller".to_owned();
        Ok(Self {
            controller: if config.controller.is_empty() {
                own
            } else {
                config.controller
            },
        })
    }

    fn decide(&self, cluster: &Cluster<'_>, key: &Key) -> Result<Option<Outcome>, Sentence> {
        let ingress: Ingress = cluster.read(key)?;
        if !self.is_ours(cluster, &ingress) {
            return Ok(None);
        }
        let mut outcome = Outcome::of(key);
        // The host writes the node's addresses into the Ingress's status.
        outcome.publish_address = true;
        // The host reads the certificates and selects them by the names in them.
        let secrets = ingress.spec.tls.iter().map(|tls| &tls.secret_name);
        for secret in secrets.filter(|name| !name.is_empty()) {
            outcome.certificate(&key.namespace, secret);
        }
        for (at, rule) in ingress.spec.rules.iter().enumerate() {
            for (number, path) in rule.http.paths.iter().enumerate() {
                let name = format!("{key}/rule{at}/path{number}");
                match backend(cluster, key, &path.backend.service) {
                    Ok(backend) => {
                        outcome.routes.push(Route::to(
                            backend,
                            name,
                            condition(rule, path),
                            priority(rule, path),
                        ));
                    }
                    // The other routes are still served.
                    Err(why) => outcome.error("BackendNotFound", why),
                }
            }
        }
        if let Some(default) = &ingress.spec.default_backend {
            match backend(cluster, key, &default.service) {
                Ok(backend) => outcome.routes.push(Route::to(
                    backend,
                    format!("{key}/default"),
                    Vec::new(),
                    i64::MIN,
                )),
                Err(why) => outcome.error("BackendNotFound", why),
            }
        }
        Ok(Some(outcome))
    }
}

/// An object in the namespace of an Ingress.
fn reference(key: &Key, name: &str) -> Reference {
    Reference {
        namespace: key.namespace.clone(),
        name: name.to_owned(),
    }
}

/// The rule of a route: a list in postfix order, conditions before the `All` that joins them.
fn condition(rule: &Rule, path: &Path) -> Vec<Matcher> {
    let mut all = Vec::new();
    if !rule.host.is_empty() {
        all.push(Matcher::Host(rule.host.to_ascii_lowercase()));
    }
    match (path.path_type.as_str(), path.path.trim_end_matches('/')) {
        ("Exact", _) => all.push(Matcher::Path(path.path.clone())),
        // Every path begins with no segments.
        (_, "") => {}
        // `/foo` covers `/foo` and `/foo/bar`, not `/foobar`.
        (_, prefix) => all.push(Matcher::PathSegments(prefix.to_owned())),
    }
    if all.len() > 1 {
        all.push(Matcher::All(2));
    }
    all
}

/// The matching route with the highest priority is used. Ingress demands exact hosts before wildcards
/// before none, then longer paths before shorter ones, then exact paths before prefixes.
fn priority(rule: &Rule, path: &Path) -> i64 {
    let host = match rule.host.as_str() {
        "" => 0,
        host if host.starts_with('*') => 1,
        _ => 2,
    };
    let length = i64::try_from(path.path.len())
        .unwrap_or(i64::MAX)
        .min(100_000);
    host * 1_000_000 + 2 * length + i64::from(path.path_type == "Exact")
}

/// The endpoints of a Service on one of its ports.
fn backend(
    cluster: &Cluster<'_>,
    key: &Key,
    wanted: &ServiceReference,
) -> Result<Backend, Sentence> {
    let name = format!("{}/{}", key.namespace, wanted.name);
    let service: Service = match cluster.get(&SERVICE, &key.namespace, &wanted.name) {
        Some(service) => service.map_err(|why| format!("service {name} cannot be read: {why}"))?,
        None => return Err(format!("service {name} does not exist").into()),
    };
    if service.spec.r#type == "ExternalName" {
        return Err(
            format!("service {name} is of type ExternalName, which is not supported").into(),
        );
    }
    let fits = |port: &&ServicePort| match wanted.port.name.as_str() {
        "" => port.port == wanted.port.number,
        name => port.name == name,
    };
    let port = service.spec.ports.iter().find(fits);
    let port = port.ok_or_else(|| {
        format!(
            "service {name} has no port {}{}",
            wanted.port.name, wanted.port.number
        )
    })?;
    Ok(Backend::of(
        reference(key, &wanted.name),
        port.name.clone(),
        port.port,
    ))
}

export_ingress!(MyIngress);
