//! What the proxy counts.

use k3s_observe::Metrics;
use k3s_observe::prometheus_client::metrics::counter::Counter;
use k3s_observe::prometheus_client::metrics::gauge::Gauge;

#[derive(Clone, Default)]
pub(crate) struct ProxyMetrics {
    pub(crate) transactions: Counter,
    pub(crate) failures: Counter,
    pub(crate) rewrites: Counter,
    pub(crate) flows_forgotten: Counter,
    pub(crate) frontends: Gauge,
}

impl ProxyMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|r| {
            r.register(
                "netproxy_transactions",
                "Packet filter transactions committed",
                own.transactions.clone(),
            );
            r.register(
                "netproxy_failures",
                "Packet filter transactions refused",
                own.failures.clone(),
            );
            r.register(
                "netproxy_rewrites",
                "Times the whole table was written",
                own.rewrites.clone(),
            );
            r.register(
                "netproxy_flows_forgotten",
                "Stale UDP flows forgotten",
                own.flows_forgotten.clone(),
            );
            r.register(
                "netproxy_frontends",
                "Addresses and node ports in the maps",
                own.frontends.clone(),
            );
        });
        own
    }
}
