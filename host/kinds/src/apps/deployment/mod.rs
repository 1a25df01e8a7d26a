//! Deployments.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `apps/v1` `Deployment`.
pub(crate) struct Deployment;

impl KindRules for Deployment {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn status_keeps(&self) -> &'static [&'static str] {
        &["labels"]
    }

    fn generation(&self) -> Generation {
        Generation::Content(&["spec", "metadata.annotations"])
    }
}
