//! Horizontal pod autoscalers, versions 1 and 2.

mod columns;
pub(crate) mod convert;
mod defaults;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
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

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_status_update(new, old)
    }
}
