//! The route table: what is looked up per request. A table is never changed; a new one takes its place,
//! and requests under way keep the old one until they are done.

pub(crate) mod build;
pub(crate) mod index;
pub(crate) mod query;
pub(crate) mod rule;

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::EntryPoint;
use crate::middleware::Layer;
use crate::upstream::balance::Balancer;
use index::{Index, Ranked};
use rule::Rule;

/// A route that can be served.
pub(crate) struct Served {
    pub(crate) name: String,
    pub(crate) entry_points: Vec<String>,
    pub(crate) rule: Rule,
    pub(crate) priority: i64,
    pub(crate) tls_only: bool,
    pub(crate) layers: Vec<Arc<dyn Layer>>,
    pub(crate) target: Arc<Balancer>,
    pub(crate) tls: Option<TlsSettings>,
}

/// Settings of handshakes that a route asks for.
#[derive(Clone)]
pub(crate) struct TlsSettings {
    /// Equal for equal settings.
    pub(crate) key: Arc<str>,
    pub(crate) config: Arc<ServerConfig>,
}

/// A route of connections.
pub(crate) struct ServedTcp {
    pub(crate) name: String,
    pub(crate) entry_points: Vec<String>,
    pub(crate) rule: Rule,
    pub(crate) priority: i64,
    pub(crate) tls: crate::model::TcpTls,
    pub(crate) target: Arc<Balancer>,
    pub(crate) tls_settings: Option<TlsSettings>,
}

/// Routes of one entry point.
pub(crate) struct EntryTable {
    pub(crate) http: Index<Arc<Served>>,
    pub(crate) tcp: Index<Arc<ServedTcp>>,
}

/// All routes.
#[derive(Default)]
pub(crate) struct Table {
    entry_points: HashMap<&'static str, EntryTable>,
    /// TLS settings by server name, where routes ask for their own.
    tls: HashMap<String, TlsSettings>,
    pub(crate) routes: usize,
}

impl Ranked for Arc<Served> {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn priority(&self) -> i64 {
        self.priority
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Ranked for Arc<ServedTcp> {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn priority(&self) -> i64 {
        self.priority
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Table {
    /// A table of these routes.
    pub(crate) fn new(
        entry_points: &[EntryPoint],
        http: &[Arc<Served>],
        tcp: &[Arc<ServedTcp>],
    ) -> Self {
        let listed = |names: &[String], entry: &EntryPoint| {
            names.is_empty() || names.iter().any(|n| n == entry.name)
        };
        let table = |entry: &EntryPoint| {
            let http = http
                .iter()
                .filter(|r| listed(&r.entry_points, entry) && (entry.tls || !r.tls_only));
            let tcp = tcp.iter().filter(|r| listed(&r.entry_points, entry));
            EntryTable {
                http: Index::new(http.cloned().collect()),
                tcp: Index::new(tcp.cloned().collect()),
            }
        };
        Self {
            entry_points: entry_points
                .iter()
                .map(|entry| (entry.name, table(entry)))
                .collect(),
            tls: tls_by_name(http, tcp),
            routes: http.len() + tcp.len(),
        }
    }

    /// An entry point's routes.
    pub(crate) fn of(&self, entry_point: &str) -> Option<&EntryTable> {
        self.entry_points.get(entry_point)
    }

    /// The settings of handshakes for a server name, where they are not the default ones.
    pub(crate) fn tls_of(&self, name: &str) -> Option<&TlsSettings> {
        let suffix = name.find('.').and_then(|dot| name.get(dot..));
        self.tls.get(name).or_else(|| self.tls.get(suffix?))
    }
}

/// The settings of the best route that names a host. Routes of one host with different settings cannot
/// be told apart in the handshake; the one whose name comes first decides.
fn tls_by_name(http: &[Arc<Served>], tcp: &[Arc<ServedTcp>]) -> HashMap<String, TlsSettings> {
    let http = http
        .iter()
        .filter_map(|r| Some((&r.name, r.rule.hosts()?, r.tls.as_ref()?)));
    let tcp = tcp
        .iter()
        .filter_map(|r| Some((&r.name, r.rule.server_names()?, r.tls_settings.as_ref()?)));
    let mut all: Vec<_> = http.chain(tcp).collect();
    all.sort_by_key(|(name, ..)| *name);
    let mut by_name = HashMap::new();
    for (_, hosts, config) in all {
        for host in hosts {
            by_name
                .entry(host.to_owned())
                .or_insert_with(|| config.clone());
        }
    }
    by_name
}
