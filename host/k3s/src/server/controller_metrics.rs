//! How the controllers do, at `/metrics`: read from their statuses at each scrape, so that an idle
//! controller costs nothing.

use std::fmt;

use k3s_controllers::{ControllerStatus, Controllers};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The metrics of all controllers.
#[derive(Debug)]
pub(crate) struct ControllerMetrics(pub(crate) Controllers);

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

impl Collector for ControllerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let statuses = self.0.statuses();
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
