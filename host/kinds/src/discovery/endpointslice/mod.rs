//! Endpoint slices.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `discovery.k8s.io/v1` `EndpointSlice`.
pub(crate) struct EndpointSlice;

impl KindRules for EndpointSlice {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn generation(&self) -> Generation {
        Generation::Content(&["addressType", "endpoints", "ports", "metadata.labels"])
    }
}
