//! Cron jobs.

mod columns;
mod defaults;
mod schedule;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `batch/v1` `CronJob`.
pub(crate) struct CronJob;

impl KindRules for CronJob {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn warnings(&self, object: &Value) -> Vec<String> {
        validation::warnings(object)
    }
}
