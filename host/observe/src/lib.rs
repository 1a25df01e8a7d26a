//! Observability of the process: log set-up, the metric registry, and the start-up timeline.
//!
//! Components receive a [`Metrics`] handle and register their own families; there is no global registry.

mod logging;
mod metrics;
mod timeline;

pub use logging::{LogError, LogOptions, init_logging};
pub use metrics::Metrics;
pub use prometheus_client;
pub use timeline::Timeline;
