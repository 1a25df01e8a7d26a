//! From the plugin's outcomes to what can be served. What cannot be is a problem of the object it came
//! from, and costs only the route that needs it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use k3s_base::{Clock, Random};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use rustls::RootCertStore;

use super::rule::Rule;
use super::{Served, ServedTcp, TlsSettings};
use crate::driver::secrets::{Lookup, Secrets};
use crate::middleware::{Layer, make};
use crate::model::{
    Backend, Diagnostic, Middleware, Name, Outcome, Reference, Route, Scheme, Severity, Target,
    TcpRoute, TlsOptions, TlsUse, Transport,
};
use crate::tls::certs::{self, Certificate, Certificates};
use crate::tls::options;
use crate::upstream::balance::{Balancer, Choice};
use crate::upstream::client::Client;
use crate::upstream::pool::Pools;
use crate::upstream::roots;

/// What was made of one object.
pub(crate) struct Built {
    pub(crate) outcome: Outcome,
    pub(crate) http: Vec<Arc<Served>>,
    pub(crate) tcp: Vec<Arc<ServedTcp>>,
    pub(crate) certificates: Vec<Certificate>,
    /// What the plugin found, and what was found here.
    pub(crate) problems: Vec<Diagnostic>,
    /// Secrets that it was made from, or that are missing.
    pub(crate) secrets: BTreeSet<Name>,
    layers: Layers,
}

/// By route and position, with what each was made from.
type Layers = HashMap<(String, usize), (Middleware, Arc<dyn Layer>)>;

/// Time and randomness.
pub(crate) struct Ambient {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// Builds routes.
pub(crate) struct Builder {
    pub(crate) pools: Pools,
    pub(crate) secrets: Secrets,
    pub(crate) certificates: Arc<ArcSwap<Certificates>>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Connections to servers run here.
    pub(crate) upstream: Tasks,
    /// By scheme and transport, so that connections outlive tables.
    clients: Mutex<Clients>,
}

/// Few: one per scheme, and one per transport that is configured.
type Clients = Vec<((Scheme, Option<Transport>), Arc<Client>)>;

/// One object while it is built.
pub(crate) struct ObjectBuild<'a> {
    pub(crate) builder: &'a Builder,
    secrets: BTreeSet<Name>,
}

impl Builder {
    pub(crate) fn new(
        pools: Pools,
        secrets: Secrets,
        certificates: Arc<ArcSwap<Certificates>>,
        Ambient { clock, random }: Ambient,
        upstream: Tasks,
    ) -> Self {
        Self {
            pools,
            secrets,
            certificates,
            clock,
            random,
            upstream,
            clients: Mutex::default(),
        }
    }

    /// Builds what can be built. Layers whose settings did not change keep their counters.
    pub(crate) fn build(&self, outcome: Outcome, before: Option<&Built>) -> Built {
        let mut build = ObjectBuild {
            builder: self,
            secrets: BTreeSet::new(),
        };
        let mut built = Built {
            http: Vec::new(),
            tcp: Vec::new(),
            certificates: Vec::new(),
            problems: outcome.diagnostics.clone(),
            secrets: BTreeSet::new(),
            layers: HashMap::new(),
            outcome,
        };
        for reference in &built.outcome.certificates {
            match build.certificate(reference) {
                Ok(found) => built.certificates.extend(found),
                Err(problem) => built.problems.push(problem),
            }
        }
        for route in &built.outcome.routes {
            match build.route(route, before, &mut built.layers) {
                Ok(served) => built.http.extend(served.map(Arc::new)),
                Err(why) => built.problems.push(broken(&route.name, &why)),
            }
        }
        for route in &built.outcome.tcp_routes {
            match build.tcp_route(route) {
                Ok(served) => built.tcp.extend(served.map(Arc::new)),
                Err(why) => built.problems.push(broken(&route.name, &why)),
            }
        }
        built.secrets = build.secrets;
        built
    }

    fn client(
        &self,
        scheme: Scheme,
        transport: Option<&Transport>,
        tls: impl FnOnce() -> Result<rustls::ClientConfig, String>,
    ) -> Result<Arc<Client>, String> {
        let key = (scheme, transport.cloned());
        if let Some((_, client)) = self.clients.lock().iter().find(|(other, _)| *other == key) {
            return Ok(client.clone());
        }
        let client = Arc::new(match scheme {
            Scheme::Http => Client::http(transport, &self.upstream),
            Scheme::H2c => Client::h2c(transport, &self.upstream),
            Scheme::Https => Client::https(transport, tls()?, &self.upstream),
        });
        let mut clients = self.clients.lock();
        // Those that no route holds are dropped, with their idle connections.
        clients.retain(|(_, client)| Arc::strong_count(client) > 1);
        clients.push((key, client.clone()));
        Ok(client)
    }

    /// Forgets TLS clients, which may have been made from Secrets that changed.
    pub(crate) fn forget_tls_clients(&self) {
        self.clients
            .lock()
            .retain(|((scheme, _), _)| *scheme != Scheme::Https);
    }
}

fn broken(route: &str, why: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        reason: "RouteDisabled".to_owned(),
        message: format!("{route}: {why}"),
    }
}

impl ObjectBuild<'_> {
    /// None while the Secret is being read.
    fn certificate(&mut self, reference: &Reference) -> Result<Option<Certificate>, Diagnostic> {
        let name = Name::from(reference);
        let problem = |reason: &str, why: String| Diagnostic {
            severity: Severity::Error,
            reason: reason.to_owned(),
            message: format!("{why}; another certificate is served instead"),
        };
        let secret = match self.secret(&name) {
            Lookup::Unknown => return Ok(None),
            Lookup::Missing => {
                return Err(problem(
                    "SecretNotFound",
                    format!("secret {name} does not exist"),
                ));
            }
            Lookup::Found(secret) => secret,
        };
        let parsed = match (secret.get("tls.crt"), secret.get("tls.key")) {
            (Some(chain), Some(key)) => certs::parse(chain.reveal(), key.reveal()),
            _ => Err("tls.crt and tls.key are needed".to_owned()),
        };
        parsed
            .map(Some)
            .map_err(|why| problem("InvalidSecret", format!("secret {name}: {why}")))
    }

    /// A Secret; what is made now is made again when it changes.
    pub(crate) fn secret(&mut self, name: &Name) -> Lookup {
        self.secrets.insert(name.clone());
        self.builder.secrets.get(name)
    }

    /// None while a Secret is being read.
    fn route(
        &mut self,
        route: &Route,
        before: Option<&Built>,
        layers: &mut Layers,
    ) -> Result<Option<Served>, String> {
        let mut chain = Vec::new();
        for (at, middleware) in route.middlewares.iter().enumerate() {
            let key = (route.name.clone(), at);
            let kept = before
                .and_then(|b| b.layers.get(&key))
                .filter(|(old, _)| old == middleware && make::keeps(middleware));
            let layer = match kept {
                Some((_, layer)) => layer.clone(),
                None => match make::layer(self, &middleware.action)
                    .map_err(|why| format!("middleware {}: {why}", middleware.name))?
                {
                    Some(layer) => layer,
                    None => return Ok(None),
                },
            };
            layers.insert(key, (middleware.clone(), layer.clone()));
            chain.push(layer);
        }
        let tls = match &route.tls_options {
            Some(options) => match self.tls(options)? {
                Some(settings) => Some(settings),
                None => return Ok(None),
            },
            None => None,
        };
        let Some(target) = self.target(&route.target)? else {
            return Ok(None);
        };
        Ok(Some(Served {
            name: route.name.clone(),
            entry_points: route.entry_points.clone(),
            rule: Rule::build(&route.rule)?,
            priority: route.priority,
            tls_only: route.tls == TlsUse::Required,
            layers: chain,
            target: Arc::new(target),
            tls,
        }))
    }

    fn tcp_route(&mut self, route: &TcpRoute) -> Result<Option<ServedTcp>, String> {
        let tls = match &route.tls_options {
            Some(options) => match self.tls(options)? {
                Some(settings) => Some(settings),
                None => return Ok(None),
            },
            None => None,
        };
        let Some(target) = self.target(&route.target)? else {
            return Ok(None);
        };
        Ok(Some(ServedTcp {
            name: route.name.clone(),
            entry_points: route.entry_points.clone(),
            rule: Rule::build(&route.rule)?,
            priority: route.priority,
            tls: route.tls,
            target: Arc::new(target),
            tls_settings: tls,
        }))
    }

    fn tls(&mut self, wanted: &TlsOptions) -> Result<Option<TlsSettings>, String> {
        let Some(authorities) = self.authorities(&wanted.client_cas)? else {
            return Ok(None);
        };
        let config = options::config(wanted, authorities, self.builder.certificates.clone())
            .map_err(|why| format!("TLS options {}: {why}", wanted.name))?;
        Ok(Some(TlsSettings {
            key: format!("{wanted:?}").into(),
            config,
        }))
    }

    /// The authorities in Secrets; none while one is being read.
    fn authorities(&mut self, secrets: &[Reference]) -> Result<Option<RootCertStore>, String> {
        let mut all = RootCertStore::empty();
        for reference in secrets {
            let name = Name::from(reference);
            let secret = match self.secret(&name) {
                Lookup::Unknown => return Ok(None),
                Lookup::Missing => return Err(format!("secret {name} does not exist")),
                Lookup::Found(secret) => secret,
            };
            let pem = secret.get("tls.ca").or_else(|| secret.get("ca.crt"));
            let found = roots::from_pem(
                pem.ok_or_else(|| format!("secret {name} has neither tls.ca nor ca.crt"))?
                    .reveal(),
            );
            if found.is_empty() {
                return Err(format!("secret {name} holds no authority"));
            }
            all.extend(found.roots);
        }
        Ok(Some(all))
    }

    /// A balancer; none while a Secret is being read.
    pub(crate) fn target(&mut self, target: &Target) -> Result<Option<Balancer>, String> {
        let mut choices = Vec::new();
        for backend in &target.backends {
            let Some(client) = self.client(backend)? else {
                return Ok(None);
            };
            let service = &backend.service;
            choices.push(Choice {
                pool: self.builder.pools.of(backend),
                client,
                service: format!(
                    "{}-{}-{}",
                    service.namespace, service.name, backend.port_number
                )
                .into(),
                backend: backend.clone(),
            });
        }
        Ok(Some(Balancer::new(choices, target.sticky.clone())))
    }

    /// A client without settings of its own.
    pub(crate) fn plain_client(&self, scheme: Scheme) -> Result<Arc<Client>, String> {
        self.builder
            .client(scheme, None, || options::client(None, None, false))
    }

    fn client(&mut self, backend: &Backend) -> Result<Option<Arc<Client>>, String> {
        let transport = backend.transport.as_ref();
        let mut tls = None;
        if backend.scheme == Scheme::Https {
            match self.client_tls(transport)? {
                Some(config) => tls = Some(config),
                None => return Ok(None),
            }
        }
        let tls = || tls.ok_or_else(|| "no TLS settings".to_owned());
        self.builder
            .client(backend.scheme, transport, tls)
            .map(Some)
    }

    fn client_tls(
        &mut self,
        transport: Option<&Transport>,
    ) -> Result<Option<rustls::ClientConfig>, String> {
        let Some(transport) = transport else {
            return options::client(None, None, false).map(Some);
        };
        let roots = match transport.root_cas.is_empty() {
            true => None,
            false => match self.authorities(&transport.root_cas)? {
                Some(roots) => Some(roots),
                None => return Ok(None),
            },
        };
        let shown = match &transport.client_certificate {
            None => None,
            Some(reference) => match self
                .certificate(reference)
                .map_err(|problem| problem.message)?
            {
                Some(certificate) => Some(certificate.key),
                None => return Ok(None),
            },
        };
        options::client(roots, shown, transport.insecure_skip_verify).map(Some)
    }
}
