//! Counters per plugin and function.

use std::time::Duration;

use k3s_observe::Metrics;
use k3s_observe::prometheus_client::metrics::counter::Counter;
use k3s_observe::prometheus_client::metrics::family::Family;
use k3s_observe::prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::AtomicU64;

type Labels = Vec<(String, String)>;
type Seconds = Counter<f64, AtomicU64>;

/// The families that all plugins share. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PluginMetrics {
    calls: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    traps: Family<Labels, Counter>,
    guest_seconds: Family<Labels, Seconds>,
    host_seconds: Family<Labels, Seconds>,
    errors: Family<Labels, Counter>,
    memory: Family<Labels, Gauge>,
}

/// One function's counters, looked up once.
#[derive(Clone, Debug)]
pub(crate) struct FunctionMetrics {
    calls: Counter,
    refused: Counter,
    traps: Counter,
    guest_seconds: Seconds,
    host_seconds: Seconds,
    errors: Counter,
}

impl PluginMetrics {
    /// Families that show in `metrics`.
    #[must_use]
    pub fn registered(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|r| {
            r.register(
                "k3s_plugin_calls",
                "Calls into a plugin",
                families.calls.clone(),
            );
            r.register(
                "k3s_plugin_calls_refused",
                "Calls not made, as the plugin was restarting or in quarantine",
                families.refused.clone(),
            );
            r.register(
                "k3s_plugin_traps",
                "Calls in which a plugin failed",
                families.traps.clone(),
            );
            r.register(
                "k3s_plugin_guest_seconds",
                "Time in the plugin's own code",
                families.guest_seconds.clone(),
            );
            r.register(
                "k3s_plugin_host_seconds",
                "Time in host functions",
                families.host_seconds.clone(),
            );
            r.register(
                "k3s_plugin_errors",
                "Calls that a plugin answered with an error",
                families.errors.clone(),
            );
            r.register(
                "k3s_plugin_memory_bytes",
                "Memory of a plugin's instance when its last call was over",
                families.memory.clone(),
            );
        });
        families
    }

    pub(crate) fn of(&self, plugin: &str, function: &str) -> FunctionMetrics {
        let labels: Labels = vec![
            ("plugin".to_owned(), plugin.to_owned()),
            ("function".to_owned(), function.to_owned()),
        ];
        FunctionMetrics {
            calls: self.calls.get_or_create(&labels).clone(),
            refused: self.refused.get_or_create(&labels).clone(),
            traps: self.traps.get_or_create(&labels).clone(),
            guest_seconds: self.guest_seconds.get_or_create(&labels).clone(),
            host_seconds: self.host_seconds.get_or_create(&labels).clone(),
            errors: self.errors.get_or_create(&labels).clone(),
        }
    }

    /// The memory of a plugin. Instances of one component share the gauge; the last one sets it.
    pub(crate) fn memory_of(&self, plugin: &str) -> Gauge {
        self.memory
            .get_or_create(&vec![("plugin".to_owned(), plugin.to_owned())])
            .clone()
    }
}

impl FunctionMetrics {
    pub(crate) fn called(&self, (guest, host): (Duration, Duration), trapped: bool) {
        self.calls.inc();
        if trapped {
            self.traps.inc();
        }
        self.guest_seconds.inc_by(guest.as_secs_f64());
        self.host_seconds.inc_by(host.as_secs_f64());
    }

    /// The guest returned an error.
    pub(crate) fn guest_error(&self) {
        self.errors.inc();
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }
}
