//! Builds routes that can be served from the plugin's outcomes. An error is reported on the object it
//! came from, and disables only the route that needs the broken part.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use k3s_base::error::chain;
use k3s_base::{Clock, Random};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use rustls::RootCertStore;

use super::rule::Rule;
use super::{Served, ServedTcp, TlsSettings};
use crate::driver::secrets::{Lookup, Secrets};
use crate::error::{RouteError, SecretDataError, SecretError, TargetError, TlsError};
use crate::middleware::{Layer, make};
use crate::model::{
    Backend, Diagnostic, Middleware, NamespacedName, ObjectKey, Outcome, Reference, Route, Scheme,
    Severity, Target, TcpRoute, TlsOptions, TlsUse, Transport,
};
use crate::tls::certs::{self, Certificate, Certificates};
use crate::tls::options;
use crate::upstream::balance::{Balancer, Choice};
use crate::upstream::client::Client;
use crate::upstream::dial::Dialer;
use crate::upstream::pool::Pools;
use k3s_serve::trust;

/// The routes and certificates of one object.
pub(crate) struct Built {
    pub(crate) outcome: Outcome,
    pub(crate) http: Vec<Arc<Served>>,
    pub(crate) tcp: Vec<Arc<ServedTcp>>,
    pub(crate) certificates: Vec<Certificate>,
    /// The one for names that no certificate covers.
    pub(crate) default_certificate: Option<Certificate>,
    /// Problems that the plugin reported, and those found here.
    pub(crate) problems: Vec<Diagnostic>,
    /// Secrets that it uses, whether they exist or not.
    pub(crate) secrets: BTreeSet<NamespacedName>,
    layers: Layers,
}

/// By route and position, each with its settings.
type Layers = HashMap<(String, usize), (Middleware, Arc<dyn Layer>)>;

/// Time, randomness, and the way to servers.
pub(crate) struct Ambient {
    pub(crate) dialer: Dialer,
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
    dialer: Dialer,
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
    secrets: BTreeSet<NamespacedName>,
}

impl Builder {
    pub(crate) fn new(
        pools: Pools,
        secrets: Secrets,
        certificates: Arc<ArcSwap<Certificates>>,
        Ambient {
            clock,
            random,
            dialer,
        }: Ambient,
        upstream: Tasks,
    ) -> Self {
        Self {
            pools,
            secrets,
            certificates,
            clock,
            random,
            dialer,
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
            default_certificate: None,
            problems: outcome.diagnostics.clone(),
            secrets: BTreeSet::new(),
            layers: HashMap::new(),
            outcome,
        };
        let is_store = is_default_store(&built.outcome.key);
        for (at, reference) in built.outcome.certificates.iter().enumerate() {
            match build.certificate(reference) {
                Ok(found) => {
                    if at == 0 && is_store {
                        built.default_certificate.clone_from(&found);
                    }
                    built.certificates.extend(found);
                }
                Err(error) => built.problems.push(bad_certificate(&error)),
            }
        }
        for route in &built.outcome.routes {
            match build.route(route, before, &mut built.layers) {
                Ok(served) => built.http.extend(served.map(Arc::new)),
                Err(error) => built.problems.push(disabled(&route.name, &error)),
            }
        }
        for route in &built.outcome.tcp_routes {
            match build.tcp_route(route) {
                Ok(served) => built.tcp.extend(served.map(Arc::new)),
                Err(error) => built.problems.push(disabled(&route.name, &error)),
            }
        }
        built.secrets = build.secrets;
        built
    }

    fn client(
        &self,
        scheme: Scheme,
        transport: Option<&Transport>,
        tls: impl FnOnce() -> Result<rustls::ClientConfig, TlsError>,
    ) -> Result<Arc<Client>, TlsError> {
        let key = (scheme, transport.cloned());
        if let Some((_, client)) = self.clients.lock().iter().find(|(other, _)| *other == key) {
            return Ok(client.clone());
        }
        let client = Arc::new(match scheme {
            Scheme::Http => Client::http(transport, &self.dialer, &self.upstream),
            Scheme::H2c => Client::h2c(transport, &self.dialer, &self.upstream),
            Scheme::Https => Client::https(transport, tls()?, &self.dialer, &self.upstream),
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

/// Whether an object's first certificate is the default one (`certificates` in `wit/ingress-0.2/ingress.wit`).
fn is_default_store(key: &ObjectKey) -> bool {
    key.kind == "TLSStore" && key.name == "default"
}

fn disabled(route: &str, error: &RouteError) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        reason: "RouteDisabled".to_owned(),
        message: format!("{route}: {}", chain(error)),
    }
}

fn bad_certificate(error: &SecretError) -> Diagnostic {
    let reason = match error {
        SecretError::NotFound(_) => "SecretNotFound",
        SecretError::Invalid { .. } => "InvalidSecret",
    };
    Diagnostic {
        severity: Severity::Error,
        reason: reason.to_owned(),
        message: format!("{}; another certificate is served instead", chain(error)),
    }
}

impl ObjectBuild<'_> {
    /// A certificate; none while the Secret is being read.
    fn certificate(&mut self, reference: &Reference) -> Result<Option<Certificate>, SecretError> {
        let name = NamespacedName::from(reference);
        let secret = match self.secret(&name) {
            Lookup::Unknown => return Ok(None),
            Lookup::Missing => return Err(SecretError::NotFound(name)),
            Lookup::Found(secret) => secret,
        };
        let parsed = match (secret.get("tls.crt"), secret.get("tls.key")) {
            (Some(chain), Some(key)) => {
                certs::parse(chain.reveal(), key.reveal()).map_err(SecretDataError::from)
            }
            _ => Err(SecretDataError::NoPair),
        };
        parsed.map(Some).map_err(|error| error.of(&name))
    }

    /// A Secret; the object is built again when it changes.
    pub(crate) fn secret(&mut self, name: &NamespacedName) -> Lookup {
        self.secrets.insert(name.clone());
        self.builder.secrets.get(name)
    }

    /// An HTTP route; none while a Secret is being read.
    fn route(
        &mut self,
        route: &Route,
        before: Option<&Built>,
        layers: &mut Layers,
    ) -> Result<Option<Served>, RouteError> {
        let Some(chain) = self.layers(route, before, layers)? else {
            return Ok(None);
        };
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

    /// The layers of a route, in order; none while a Secret is being read. A layer of the build before
    /// is kept, with its counters, if its settings are the same.
    fn layers(
        &mut self,
        route: &Route,
        before: Option<&Built>,
        layers: &mut Layers,
    ) -> Result<Option<Vec<Arc<dyn Layer>>>, RouteError> {
        let mut chain = Vec::new();
        for (at, middleware) in route.middlewares.iter().enumerate() {
            let key = (route.name.clone(), at);
            let kept = before
                .and_then(|built| built.layers.get(&key))
                .filter(|(old, _)| old == middleware && make::is_reusable(middleware));
            let layer = match kept {
                Some((_, layer)) => Some(layer.clone()),
                None => make::build_layer(self, &middleware.action).map_err(|source| {
                    RouteError::Middleware {
                        name: middleware.name.clone(),
                        source,
                    }
                })?,
            };
            let Some(layer) = layer else {
                return Ok(None);
            };
            layers.insert(key, (middleware.clone(), layer.clone()));
            chain.push(layer);
        }
        Ok(Some(chain))
    }

    /// A TCP route; none while a Secret is being read.
    fn tcp_route(&mut self, route: &TcpRoute) -> Result<Option<ServedTcp>, RouteError> {
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

    fn tls(&mut self, wanted: &TlsOptions) -> Result<Option<TlsSettings>, RouteError> {
        let Some(authorities) = self.authorities(&wanted.client_cas)? else {
            return Ok(None);
        };
        let config = options::config(wanted, authorities, self.builder.certificates.clone())
            .map_err(|source| RouteError::TlsOptions {
                name: wanted.name.clone(),
                source,
            })?;
        Ok(Some(TlsSettings {
            key: format!("{wanted:?}").into(),
            config,
        }))
    }

    /// The authorities in Secrets; none while one is being read.
    fn authorities(&mut self, secrets: &[Reference]) -> Result<Option<RootCertStore>, SecretError> {
        let mut all = RootCertStore::empty();
        for reference in secrets {
            let name = NamespacedName::from(reference);
            let secret = match self.secret(&name) {
                Lookup::Unknown => return Ok(None),
                Lookup::Missing => return Err(SecretError::NotFound(name)),
                Lookup::Found(secret) => secret,
            };
            let pem = secret.get("tls.ca").or_else(|| secret.get("ca.crt"));
            let pem = pem.ok_or_else(|| SecretDataError::NoAuthorityKey.of(&name))?;
            let found = trust::roots_from_pem(pem.reveal());
            if found.is_empty() {
                return Err(SecretDataError::NoAuthority.of(&name));
            }
            all.extend(found.roots);
        }
        Ok(Some(all))
    }

    /// A balancer; none while a Secret is being read.
    pub(crate) fn target(&mut self, target: &Target) -> Result<Option<Balancer>, TargetError> {
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

    /// A client with the default TLS settings.
    pub(crate) fn plain_client(
        &self,
        scheme: Scheme,
        transport: Option<&Transport>,
    ) -> Result<Arc<Client>, TargetError> {
        let tls = || options::client(None, None, false);
        Ok(self.builder.client(scheme, transport, tls)?)
    }

    /// The client for a backend; none while a Secret is being read.
    fn client(&mut self, backend: &Backend) -> Result<Option<Arc<Client>>, TargetError> {
        let (scheme, transport) = (backend.scheme, backend.transport.as_ref());
        let Some(settings) = transport.filter(|_| scheme == Scheme::Https) else {
            return self.plain_client(scheme, transport).map(Some);
        };
        let Some(tls) = self.client_tls(settings)? else {
            return Ok(None);
        };
        Ok(Some(self.builder.client(scheme, transport, || Ok(tls))?))
    }

    /// The TLS settings of a transport; none while a Secret is being read.
    fn client_tls(
        &mut self,
        transport: &Transport,
    ) -> Result<Option<rustls::ClientConfig>, TargetError> {
        let mut roots = None;
        if !transport.root_cas.is_empty() {
            let Some(found) = self.authorities(&transport.root_cas)? else {
                return Ok(None);
            };
            roots = Some(found);
        }
        let mut identity = None;
        if let Some(reference) = &transport.client_certificate {
            let Some(certificate) = self.certificate(reference)? else {
                return Ok(None);
            };
            identity = Some(certificate.key);
        }
        Ok(options::client(roots, identity, transport.insecure_skip_verify).map(Some)?)
    }
}
