//! The counters of store and registry at `/metrics`, read when they are asked for.

use std::fmt;

use k3s_registry::Registry;
use k3s_store::Stats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Shows [`Stats`] and what the registry has decoded.
pub(crate) struct StoreMetrics(pub(crate) Registry);

impl StoreMetrics {
    fn decoded(&self) -> u64 {
        let resources = self.0.resources().iter();
        resources.map(|resource| resource.decoded()).sum()
    }
}

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreMetrics")
    }
}

/// Name, help and value of a metric.
type Row = (&'static str, &'static str, u64);

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let stats = self.0.store().stats();
        for (name, help, value) in counters(&stats, self.decoded(), self.0.resources().unreadable())
        {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        for (name, help, value) in gauges(&stats) {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn counters(stats: &Stats, decoded: u64, unreadable: u64) -> [Row; 10] {
    [
        (
            "k3s_store_commits",
            "Batches of writes made durable",
            stats.commits,
        ),
        ("k3s_store_writes", "Writes made durable", stats.writes),
        (
            "k3s_store_conflicts",
            "Writes whose precondition did not hold",
            stats.conflicts,
        ),
        (
            "k3s_store_failed_commits",
            "Batches that the datastore did not commit",
            stats.failed_commits,
        ),
        (
            "k3s_store_resyncs",
            "Times the log was read again after a doubtful commit",
            stats.resyncs,
        ),
        (
            "k3s_store_expired",
            "Keys removed at the end of their lease",
            stats.expired,
        ),
        (
            "k3s_store_compactions",
            "Compactions that forgot something",
            stats.compactions,
        ),
        (
            "k3s_store_backend_reads",
            "Reads of history that memory could not answer",
            stats.backend_reads,
        ),
        (
            "k3s_registry_decoded_objects",
            "Stored objects of built-in kinds that were decoded",
            decoded,
        ),
        (
            "apiserver_storage_decode_errors",
            "Number of stored object decode errors",
            unreadable,
        ),
    ]
}

fn gauges(stats: &Stats) -> [Row; 4] {
    [
        (
            "k3s_store_queued_writes",
            "Writes that wait for the sequencer",
            stats.queued,
        ),
        ("k3s_store_keys", "Live keys", stats.keys),
        (
            "k3s_store_ring_events",
            "Events kept in memory for watches",
            stats.ring_events,
        ),
        (
            "k3s_store_ring_bytes",
            "Bytes that events in memory keep alive, estimated",
            stats.ring_bytes,
        ),
    ]
}
