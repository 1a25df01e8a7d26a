//! What the contract of ingress controllers promises, tried on a component with a few Ingresses. Requests
//! are led as the data plane would lead them, without sockets.

use std::collections::{BTreeMap, BTreeSet};

use k3s_adapters::ingress::{CONTRACT, RoutingProbe};
use k3s_base::error::chain;
use k3s_client::Obj;
use k3s_ingress::compiler::rehearse::Rehearsal;
use k3s_ingress::model::{Change, Interest, ObjectKey, Outcome, Severity};
use k3s_meta::tree;
use k3s_plugin_host::LoadError;
use serde_json::{Value, json};

use crate::suite::{Case, CheckError, Tried, Verdict, ensure, refuses_unknown};

/// More than the objects of any case.
const MANY: u32 = 100;
/// Answers to one question, of one change each.
const ROUNDS: usize = 100;
const NETWORKING: &str = "networking.k8s.io/v1";

/// One component, and what follows from each object so far.
struct Rig {
    probe: RoutingProbe,
    interests: Vec<Interest>,
    given: BTreeSet<ObjectKey>,
    decided: BTreeMap<ObjectKey, Outcome>,
}

impl Rig {
    fn new(tried: Tried<'_>, config: Vec<u8>) -> Verdict<Self> {
        let probe = load(tried, config)?;
        let interests = probe.interests()?;
        Ok(Self {
            probe,
            interests,
            given: BTreeSet::new(),
            decided: BTreeMap::new(),
        })
    }

    /// Gives objects through the masks that the plugin asked for, and has it decide.
    fn give(&mut self, objects: &[Value]) -> Verdict<usize> {
        let mut given = Vec::new();
        for object in objects {
            let key = key_of(object);
            let object = Obj::from_value(object.clone())?;
            self.given.insert(key.clone());
            given.push((key, object));
        }
        self.probe.upsert(given)?;
        self.compile(MANY)
    }

    fn remove(&mut self, object: &Value) -> Verdict<usize> {
        self.probe.remove(&key_of(object))?;
        self.compile(MANY)
    }

    /// All that is to be decided, at most `max` at a time; the number of changes.
    fn compile(&mut self, max: u32) -> Verdict<usize> {
        let mut count = 0;
        for _ in 0..ROUNDS {
            let changes = self.probe.compile(max)?;
            if changes.is_empty() {
                return Ok(count);
            }
            ensure(
                changes.len() <= max as usize,
                &format!("{max} changes were asked for, {} came", changes.len()),
            )?;
            count += changes.len();
            changes
                .into_iter()
                .try_for_each(|change| self.note(change))?;
        }
        Err("it has no end of changes".into())
    }

    fn note(&mut self, change: Change) -> Verdict {
        let (Change::Put(Outcome { key, .. }) | Change::Gone(key)) = &change;
        let key = key.clone();
        let known = self.given.contains(&key);
        ensure(
            known,
            &format!(
                "it decided on {} {}/{}, which it was not given",
                key.kind, key.namespace, key.name
            ),
        )?;
        match change {
            Change::Put(outcome) => self.decided.insert(key, outcome),
            Change::Gone(_) => self.decided.remove(&key),
        };
        Ok(())
    }

    /// `service:port` of the backend that a request is led to; nothing where no route fits.
    fn leads(&self, host: &str, path: &str) -> Verdict<Option<String>> {
        let routes = self
            .decided
            .values()
            .flat_map(|outcome| outcome.routes.clone());
        let rehearsal = Rehearsal::new(routes).map_err(|error| chain(&error))?;
        let backend = rehearsal
            .route(host, path)
            .and_then(|route| route.target.backends.first());
        Ok(backend.map(|b| {
            format!(
                "{}/{}:{}",
                b.service.namespace, b.service.name, b.port_number
            )
        }))
    }

    fn must_lead(&self, host: &str, path: &str, to: Option<&str>) -> Verdict {
        let led = self.leads(host, path)?;
        let wanted = to.map(|name| format!("shop/{name}:80"));
        let shown = |to: &Option<String>| to.clone().unwrap_or_else(|| "nothing".to_owned());
        ensure(
            led == wanted,
            &format!(
                "{host}{path} is led to {}, not to {}",
                shown(&led),
                shown(&wanted)
            ),
        )
    }

    fn of(&self, name: &str) -> Option<&Outcome> {
        let key = key_of(&ingress(name, json!({})));
        self.decided.get(&key)
    }

    /// Whether an Ingress has a diagnostic of an error.
    fn is_reported(&self, name: &str) -> bool {
        let diagnostics = self
            .of(name)
            .map(|outcome| outcome.diagnostics.as_slice())
            .unwrap_or_default();
        diagnostics
            .iter()
            .any(|d| d.severity == Severity::Error && !d.reason.is_empty() && !d.message.is_empty())
    }

    fn routes(&self, name: &str) -> usize {
        self.of(name).map_or(0, |outcome| outcome.routes.len())
    }
}

fn load(tried: Tried<'_>, config: Vec<u8>) -> Result<RoutingProbe, LoadError> {
    RoutingProbe::load(tried.host, tried.source, config, &Tried::environment())
}

fn key_of(object: &Value) -> ObjectKey {
    let text = |path| tree::text(object, path).to_owned();
    let version = text("apiVersion");
    let group = version
        .rsplit_once('/')
        .map_or("", |(group, _)| group)
        .to_owned();
    ObjectKey {
        group,
        kind: text("kind"),
        namespace: text("metadata.namespace"),
        name: text("metadata.name"),
    }
}

/// The class that the server makes.
fn class() -> Value {
    let annotations = json!({"ingressclass.kubernetes.io/is-default-class": "true"});
    json!({"apiVersion": NETWORKING, "kind": "IngressClass", "metadata": {"name": "traefik", "annotations": annotations},
        "spec": {"controller": "traefik.io/ingress-controller"}})
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"type": "ClusterIP", "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]}})
}

fn ingress(name: &str, spec: Value) -> Value {
    json!({"apiVersion": NETWORKING, "kind": "Ingress", "spec": spec,
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"}})
}

fn path(path: &str, kind: &str, service: &str) -> Value {
    json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}})
}

/// An Ingress of the server's class for one host.
fn of_host(name: &str, host: &str, paths: &[Value]) -> Value {
    ingress(
        name,
        json!({"ingressClassName": "traefik", "rules": [{"host": host, "http": {"paths": paths}}]}),
    )
}

type Test = fn(Rig) -> Verdict;

const TESTS: &[(&str, Test)] = &[
    ("it asks for Ingresses, and for no Secrets", asks),
    (
        "a rule leads to its Service, by host and path",
        leads_by_host_and_path,
    ),
    (
        "prefixes go by segments, longer paths and exact ones come first",
        prefers_by_path,
    ),
    (
        "an exact host comes before a wildcard, which is one label",
        prefers_by_host,
    ),
    (
        "a port by name and the default backend are found",
        finds_names_and_defaults,
    ),
    (
        "an Ingress of another class is left alone",
        leaves_other_classes,
    ),
    (
        "a missing backend is reported, and served once it exists",
        follows_services,
    ),
    (
        "a broken Ingress has no routes and a diagnostic, and costs no other",
        contains_the_broken,
    ),
    ("a removed Ingress is not served", forgets),
    ("certificates are named by Secret", names_certificates),
    (
        "changes come once, in pages of the requested size",
        answers_once,
    ),
    ("a fresh instance decides the same", survives_a_restart),
];

pub(crate) fn run(tried: Tried<'_>) -> Result<Vec<Case>, CheckError> {
    // Refused before anything is tried.
    tried.host.load(tried.source, &CONTRACT)?;
    let unknown = load(tried, tried.config_with_unknown(json!({})))?;
    let unknown = refuses_unknown(unknown.interests().map(drop));
    let mut cases = vec![Case {
        name: "unknown settings are refused",
        outcome: unknown,
    }];
    for (name, test) in TESTS {
        let outcome = Rig::new(tried, tried.config(json!({}))).and_then(test);
        cases.push(Case { name, outcome });
    }
    Ok(cases)
}

fn asks(rig: Rig) -> Verdict {
    let is = |interest: &&Interest, group: &str, plural: &str| {
        interest.group == group && interest.plural == plural
    };
    let secrets = rig.interests.iter().any(|i| is(&i, "", "secrets"));
    ensure(!secrets, "it asks for Secrets, which no plugin may have")?;
    let ingresses = rig
        .interests
        .iter()
        .any(|i| is(&i, "networking.k8s.io", "ingresses") && i.kind == "Ingress");
    ensure(
        ingresses,
        "it does not ask for Ingresses (networking.k8s.io/v1)",
    )
}

fn leads_by_host_and_path(mut rig: Rig) -> Verdict {
    rig.give(&[
        class(),
        service("web"),
        of_host("web", "a.b", &[path("/x", "Prefix", "web")]),
    ])?;
    rig.must_lead("a.b", "/x", Some("web"))?;
    rig.must_lead("a.b", "/x/y", Some("web"))?;
    rig.must_lead("a.b", "/other", None)?;
    rig.must_lead("c.d", "/x", None)
}

fn prefers_by_path(mut rig: Rig) -> Verdict {
    let paths = [
        path("/", "Prefix", "root"),
        path("/foo", "Prefix", "short"),
        path("/foo", "Exact", "exact"),
        path("/foo/bar", "Prefix", "long"),
    ];
    let services = ["root", "short", "exact", "long"].map(service);
    rig.give(&[class(), of_host("web", "a.b", &paths)])?;
    rig.give(&services)?;
    rig.must_lead("a.b", "/foo", Some("exact"))?;
    rig.must_lead("a.b", "/foo/x", Some("short"))?;
    rig.must_lead("a.b", "/foo/bar/x", Some("long"))?;
    rig.must_lead("a.b", "/foobar", Some("root"))
}

fn prefers_by_host(mut rig: Rig) -> Verdict {
    let all = path("/", "Prefix", "any");
    rig.give(&[class(), service("any"), service("exact"), service("none")])?;
    rig.give(&[of_host("any", "*.b", &[all, path("/long", "Exact", "any")])])?;
    rig.give(&[of_host("exact", "a.b", &[path("/", "Prefix", "exact")])])?;
    rig.must_lead("a.b", "/long", Some("exact"))?;
    rig.must_lead("c.b", "/", Some("any"))?;
    rig.must_lead("a.c.b", "/", None)
}

fn finds_names_and_defaults(mut rig: Rig) -> Verdict {
    let named = json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}});
    let default = json!({"ingressClassName": "traefik", "defaultBackend": {"service": {"name": "rest", "port": {"number": 80}}}});
    rig.give(&[
        class(),
        service("web"),
        service("rest"),
        of_host("web", "a.b", &[named]),
        ingress("rest", default),
    ])?;
    rig.must_lead("a.b", "/", Some("web"))?;
    rig.must_lead("somewhere.else", "/", Some("rest"))
}

fn leaves_other_classes(mut rig: Rig) -> Verdict {
    let rules = json!([{"host": "a.b", "http": {"paths": [path("/", "Prefix", "web")]}}]);
    let foreign = ingress(
        "foreign",
        json!({"ingressClassName": "nginx", "rules": rules}),
    );
    let mut nginx = class();
    tree::set(&mut nginx, "metadata", json!({"name": "nginx"}));
    tree::set(&mut nginx, "spec.controller", "k8s.io/ingress-nginx");
    rig.give(&[class(), nginx, service("web"), foreign])?;
    ensure(
        rig.routes("foreign") == 0,
        "it serves an Ingress whose class names another controller",
    )
}

fn follows_services(mut rig: Rig) -> Verdict {
    rig.give(&[
        class(),
        of_host("web", "a.b", &[path("/", "Prefix", "web")]),
    ])?;
    ensure(
        rig.is_reported("web"),
        "the Service does not exist, and the Ingress has no diagnostic",
    )?;
    rig.must_lead("a.b", "/", None)?;
    rig.give(&[service("web")])?;
    rig.must_lead("a.b", "/", Some("web"))?;
    ensure(
        !rig.is_reported("web"),
        "the Service exists, and the Ingress still has a diagnostic",
    )
}

fn contains_the_broken(mut rig: Rig) -> Verdict {
    let broken = ingress("broken", json!({"ingressClassName": "traefik", "rules": 7}));
    rig.give(&[
        class(),
        service("web"),
        broken,
        of_host("web", "a.b", &[path("/", "Prefix", "web")]),
    ])?;
    ensure(
        rig.routes("broken") == 0,
        "it makes routes of an Ingress that cannot be read",
    )?;
    ensure(
        rig.is_reported("broken"),
        "an Ingress cannot be read, and has no diagnostic",
    )?;
    rig.must_lead("a.b", "/", Some("web"))
}

fn forgets(mut rig: Rig) -> Verdict {
    let web = of_host("web", "a.b", &[path("/", "Prefix", "web")]);
    rig.give(&[class(), service("web"), web.clone()])?;
    rig.must_lead("a.b", "/", Some("web"))?;
    rig.remove(&web)?;
    rig.must_lead("a.b", "/", None)
}

fn names_certificates(mut rig: Rig) -> Verdict {
    let rules = json!([{"host": "a.b", "http": {"paths": [path("/", "Prefix", "web")]}}]);
    let tls = json!([{"hosts": ["a.b"], "secretName": "cert"}]);
    rig.give(&[
        class(),
        service("web"),
        ingress(
            "web",
            json!({"ingressClassName": "traefik", "tls": tls, "rules": rules}),
        ),
    ])?;
    let certificates = rig
        .of("web")
        .map(|outcome| outcome.certificates.as_slice())
        .unwrap_or_default();
    let named = certificates
        .iter()
        .any(|secret| secret.namespace == "shop" && secret.name == "cert");
    ensure(
        named,
        "spec.tls names Secret shop/cert, and the outcome does not",
    )
}

fn answers_once(mut rig: Rig) -> Verdict {
    let web = |name: &str| of_host(name, &format!("{name}.b"), &[path("/", "Prefix", "web")]);
    rig.give(&[class(), service("web"), web("a"), web("b"), web("c")])?;
    let again = rig.compile(MANY)?;
    ensure(
        again == 0,
        &format!("nothing has changed, and {again} changes came"),
    )?;
    // Decided again, one by one.
    rig.probe.recycle();
    rig.decided.clear();
    rig.compile(1)?;
    ensure(
        ["a", "b", "c"].iter().all(|name| rig.routes(name) == 1),
        "asked for one change at a time, it left some out",
    )
}

fn survives_a_restart(mut rig: Rig) -> Verdict {
    let spec = json!({"ingressClassName": "traefik", "rules": 7});
    rig.give(&[
        class(),
        service("web"),
        ingress("broken", spec),
        of_host("web", "a.b", &[path("/", "Prefix", "web")]),
    ])?;
    let before = rig.decided.clone();
    rig.probe.recycle();
    rig.decided.clear();
    rig.compile(MANY)?;
    ensure(
        before == rig.decided,
        "with the same objects a fresh instance decides otherwise",
    )
}
