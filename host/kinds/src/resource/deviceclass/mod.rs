//! Device classes.

mod columns;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `resource.k8s.io/v1` `DeviceClass`.
pub(crate) struct DeviceClass;

impl KindRules for DeviceClass {
    columns!();

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }
}
