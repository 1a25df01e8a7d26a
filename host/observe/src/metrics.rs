//! The process's metric families, shown at `/metrics` in the OpenMetrics text form.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// A shared registry. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a component add its families. Call once per component, at start.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Every family as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(
            &mut text,
            &self.0.lock().unwrap_or_else(PoisonError::into_inner),
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn registered_families_are_rendered() {
        let metrics = Metrics::new();
        let calls: Counter = Counter::default();
        metrics.register(|r| r.register("calls", "Calls made", calls.clone()));
        calls.inc();
        assert!(metrics.render().contains("calls_total 1"));
    }
}
