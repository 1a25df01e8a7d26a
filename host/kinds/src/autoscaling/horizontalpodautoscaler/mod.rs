//! Horizontal pod autoscalers, versions 1 and 2.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `autoscaling/v2` `HorizontalPodAutoscaler`.
pub(crate) struct HorizontalPodAutoscaler;

impl KindRules for HorizontalPodAutoscaler {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }
}
