//! What the server counts.

use k3s_observe::Metrics;
use k3s_observe::prometheus_client::metrics::counter::Counter;

#[derive(Clone, Default)]
pub(crate) struct DnsMetrics {
    pub(crate) questions: Counter,
    pub(crate) forwarded: Counter,
    pub(crate) failed: Counter,
    pub(crate) refused: Counter,
}

impl DnsMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|r| {
            r.register("dns_questions", "Questions received", own.questions.clone());
            r.register(
                "dns_forwarded",
                "Questions that are not the cluster's",
                own.forwarded.clone(),
            );
            r.register(
                "dns_failed",
                "Questions that no name server answered",
                own.failed.clone(),
            );
            r.register(
                "dns_refused",
                "Questions from strangers",
                own.refused.clone(),
            );
        });
        own
    }
}
