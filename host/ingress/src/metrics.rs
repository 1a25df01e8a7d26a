//! What is counted, under Traefik's names. Labels are bounded: entry points are few, services are those
//! of the route table, and methods outside the standard count as one.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use http::{Method, Version};
use k3s_observe::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EntryLabels {
    code: u16,
    method: &'static str,
    protocol: &'static str,
    entrypoint: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServiceLabels {
    code: u16,
    method: &'static str,
    service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OpenLabels {
    entrypoint: &'static str,
    protocol: &'static str,
}

/// Connections that are open.
pub(crate) type Open = Gauge<i64, AtomicI64>;

/// The families of the data plane. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct IngressMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    requests: Family<EntryLabels, Counter>,
    durations: Family<EntryLabels, Histogram>,
    open: Family<OpenLabels, Open>,
    service_requests: Family<ServiceLabels, Counter>,
    service_durations: Family<ServiceLabels, Histogram>,
    retries: Counter,
    reloads: Counter,
    failed_reloads: Counter,
    routes: Gauge<i64, AtomicI64>,
}

/// Seconds; Traefik's own are the first three.
const BUCKETS: [f64; 8] = [0.005, 0.025, 0.1, 0.3, 1.2, 5.0, 15.0, 60.0];

/// How a request went.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) code: u16,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) entry_point: &'static str,
    /// Empty where no route was found.
    pub(crate) service: Arc<str>,
    pub(crate) took: Duration,
}

impl IngressMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Families {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            open: Family::default(),
            service_requests: Family::default(),
            service_durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            retries: Counter::default(),
            reloads: Counter::default(),
            failed_reloads: Counter::default(),
            routes: Gauge::default(),
        };
        metrics.register(|r| {
            r.register(
                "traefik_entrypoint_requests",
                "Requests per entry point",
                own.requests.clone(),
            );
            r.register(
                "traefik_entrypoint_request_duration_seconds",
                "Time to the end of the answer, per entry point",
                own.durations.clone(),
            );
            r.register(
                "traefik_open_connections",
                "Open connections",
                own.open.clone(),
            );
            r.register(
                "traefik_service_requests",
                "Requests per service",
                own.service_requests.clone(),
            );
            r.register(
                "traefik_service_request_duration_seconds",
                "Time to the end of the answer, per service",
                own.service_durations.clone(),
            );
            r.register(
                "traefik_retries",
                "Requests sent to another server",
                own.retries.clone(),
            );
            r.register(
                "traefik_config_reloads",
                "New route tables",
                own.reloads.clone(),
            );
            r.register(
                "traefik_config_reloads_failure",
                "Route tables not made",
                own.failed_reloads.clone(),
            );
            r.register("traefik_routes", "Routes being served", own.routes.clone());
        });
        Self(Arc::new(own))
    }

    pub(crate) fn open(&self, entrypoint: &'static str, tls: bool) -> Open {
        let protocol = if tls { "TLS" } else { "TCP" };
        self.0
            .open
            .get_or_create(&OpenLabels {
                entrypoint,
                protocol,
            })
            .clone()
    }

    pub(crate) fn finished(&self, request: &Finished) {
        let method = method_label(&request.method);
        let labels = EntryLabels {
            code: request.code,
            method,
            protocol: if request.version == Version::HTTP_2 {
                "http2"
            } else {
                "http"
            },
            entrypoint: request.entry_point,
        };
        self.0.requests.get_or_create(&labels).inc();
        self.0
            .durations
            .get_or_create(&labels)
            .observe(request.took.as_secs_f64());
        if !request.service.is_empty() {
            let labels = ServiceLabels {
                code: request.code,
                method,
                service: request.service.to_string(),
            };
            self.0.service_requests.get_or_create(&labels).inc();
            self.0
                .service_durations
                .get_or_create(&labels)
                .observe(request.took.as_secs_f64());
        }
    }

    pub(crate) fn retried(&self) {
        self.0.retries.inc();
    }

    pub(crate) fn reloaded(&self, routes: usize) {
        self.0.reloads.inc();
        self.0.routes.set(i64::try_from(routes).unwrap_or(i64::MAX));
    }

    pub(crate) fn reload_failed(&self) {
        self.0.failed_reloads.inc();
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "EXTENSION_METHOD",
    }
}
