//! Metrics of requests, under upstream's names where it has them.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use k3s_meta::UserInfo;
use k3s_observe::Metrics;
use k3s_registry::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::request::RequestInfo;
use crate::store_metrics::StoreMetrics;

/// The families of this crate and the registry they are shown in.
pub(crate) struct ApiMetrics {
    shown: Metrics,
    requests: Family<RequestLabels, Counter>,
    clients: Family<ClientLabels, Counter>,
    durations: Family<VerbLabels, Histogram>,
    watches: Gauge<i64, AtomicI64>,
    inflight: Gauge<i64, AtomicI64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    code: u16,
}

/// Who asks for what: the series with which a client that asks without end is found.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClientLabels {
    client: String,
    verb: &'static str,
    group: String,
    resource: String,
    subresource: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerbLabels {
    verb: &'static str,
}

/// Seconds; upstream's request SLO buckets, thinned.
const BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 1.0, 2.0, 5.0, 60.0,
];

impl ApiMetrics {
    pub(crate) fn new(shown: Metrics, objects: &Registry) -> Self {
        let this = Self {
            shown,
            requests: Family::default(),
            clients: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            watches: Gauge::default(),
            inflight: Gauge::default(),
        };
        this.shown.register(|registry| {
            registry.register(
                "apiserver_request",
                "Counter of apiserver requests",
                this.requests.clone(),
            );
            registry.register(
                "k3s_apiserver_client_requests",
                "Counter of authenticated requests by who sent them",
                this.clients.clone(),
            );
            registry.register(
                "apiserver_request_duration_seconds",
                "Response latency distribution in seconds for each verb",
                this.durations.clone(),
            );
            registry.register(
                "apiserver_longrunning_requests",
                "Open watches",
                this.watches.clone(),
            );
            registry.register(
                "apiserver_current_inflight_requests",
                "Requests being served",
                this.inflight.clone(),
            );
            registry.register_collector(Box::new(StoreMetrics(objects.clone())));
        });
        this
    }

    /// One finished request. Only names that exist are labels, so that clients cannot make series.
    pub(crate) fn record(&self, info: &RequestInfo, known: bool, code: u16, elapsed: Duration) {
        let text = |value: &str| {
            if known {
                value.to_owned()
            } else {
                String::new()
            }
        };
        let labels = RequestLabels {
            verb: shown_verb(info.verb),
            group: text(&info.group),
            version: text(&info.version),
            resource: text(&info.resource),
            subresource: text(&info.subresource),
            code,
        };
        self.requests.get_or_create(&labels).inc();
        if !info.is_long_running() {
            self.durations
                .get_or_create(&VerbLabels {
                    verb: shown_verb(info.verb),
                })
                .observe(elapsed.as_secs_f64());
        }
    }

    /// One authenticated request, when it begins. A client that is in this process has its own name, others
    /// that of their kind, so that they cannot make series.
    pub(crate) fn record_client(
        &self,
        user: &UserInfo,
        in_process: bool,
        info: &RequestInfo,
        known: bool,
    ) {
        let text = |value: &str| if known { value } else { "" }.to_owned();
        let labels = ClientLabels {
            client: client_name(user, in_process).to_owned(),
            verb: shown_verb(info.verb),
            group: text(&info.group),
            resource: text(&info.resource),
            subresource: text(&info.subresource),
        };
        self.clients.get_or_create(&labels).inc();
    }

    /// Counts an open watch until it is dropped.
    pub(crate) fn watch(&self) -> Counted {
        Counted::new(&self.watches)
    }

    /// Counts a running request until it is dropped.
    pub(crate) fn request(&self) -> Counted {
        Counted::new(&self.inflight)
    }

    pub(crate) fn render(&self) -> String {
        self.shown.render()
    }
}

/// The groups by which clients on the wire are told apart.
const KINDS: [&str; 5] = [
    "system:masters",
    "system:nodes",
    "system:serviceaccounts",
    "system:bootstrappers",
    "system:unauthenticated",
];

fn client_name(user: &UserInfo, in_process: bool) -> &str {
    if in_process {
        return &user.name;
    }
    let kind = KINDS.into_iter().find(|kind| user.in_group(kind));
    kind.unwrap_or("others")
}

/// A verb as upstream's metrics show it: that of HTTP, but for those that HTTP does not have
/// (`staging/src/k8s.io/apiserver/pkg/endpoints/metrics/metrics.go`).
fn shown_verb(verb: &str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "connect" => "CONNECT",
        _ => "other",
    }
}

/// Holds a gauge up by one.
pub(crate) struct Counted(Arc<Gauge<i64, AtomicI64>>);

impl Counted {
    fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(Arc::new(gauge.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
