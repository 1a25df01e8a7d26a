//! How the controllers do, at `/metrics`: read from their statuses at each scrape, so that an idle
//! controller costs nothing.

use std::fmt;

use k3s_controllers::ControllerStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The metrics of all controllers, whose statuses the function reads.
pub(crate) struct ControllerMetrics<F>(pub(crate) F);

impl<F> fmt::Debug for ControllerMetrics<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControllerMetrics")
    }
}

/// One family: its name, its help text, and how a status gives its value.
struct Family {
    name: &'static str,
    help: &'static str,
    read: fn(&ControllerStatus) -> u64,
}

const COUNTERS: &[Family] = &[
    Family {
        name: "k3s_controller_reconciliations",
        help: "Reconciliations that finished",
        read: |status| status.reconciled,
    },
    Family {
        name: "k3s_controller_reconciliation_errors",
        help: "Reconciliations that failed and are retried",
        read: |status| status.failed,
    },
    Family {
        name: "k3s_controller_panics",
        help: "Reconciliations that panicked",
        read: |status| status.panicked,
    },
];

const GAUGES: &[Family] = &[
    Family {
        name: "k3s_controller_synced",
        help: "1 once the controller has read what it watches",
        read: |status| u64::from(status.synced),
    },
    Family {
        name: "k3s_controller_queue_depth",
        help: "Keys that wait to be reconciled",
        read: |status| u64::try_from(status.depth).unwrap_or(u64::MAX),
    },
];

impl<F> Collector for ControllerMetrics<F>
where
    F: Fn() -> Vec<ControllerStatus> + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let statuses = (self.0)();
        for family in COUNTERS {
            let mut rows =
                encoder.encode_descriptor(family.name, family.help, None, MetricType::Counter)?;
            for status in &statuses {
                let labels = [("controller", status.name)];
                let row = rows.encode_family(&labels)?;
                ConstCounter::new((family.read)(status)).encode(row)?;
            }
        }
        for family in GAUGES {
            let mut rows =
                encoder.encode_descriptor(family.name, family.help, None, MetricType::Gauge)?;
            for status in &statuses {
                let labels = [("controller", status.name)];
                let row = rows.encode_family(&labels)?;
                let value = i64::try_from((family.read)(status)).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(row)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use k3s_observe::Metrics;

    use super::*;

    #[test]
    fn each_controller_is_a_row_of_each_family() {
        let status = |name: &'static str| ControllerStatus {
            name,
            synced: true,
            depth: 3,
            reconciled: 7,
            failed: 2,
            panicked: 0,
            last_error: None,
        };
        let metrics = Metrics::new();
        let collector = ControllerMetrics(move || vec![status("job"), status("node")]);
        metrics.register(|registry| registry.register_collector(Box::new(collector)));
        let text = metrics.render();
        for row in [
            "k3s_controller_reconciliations_total{controller=\"job\"} 7",
            "k3s_controller_reconciliation_errors_total{controller=\"node\"} 2",
            "k3s_controller_queue_depth{controller=\"job\"} 3",
            "k3s_controller_synced{controller=\"node\"} 1",
        ] {
            assert!(text.contains(row), "{row} is not in:\n{text}");
        }
    }
}
