//! API services.

mod columns;
mod defaults;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{KindRules, columns};

/// Rules of `apiregistration.k8s.io/v1` `APIService`.
pub(crate) struct APIService;

impl KindRules for APIService {
    columns!();

    fn default(&self, object: &mut Value) {
        defaults::default(object);
    }

    fn has_status(&self) -> bool {
        true
    }
}
