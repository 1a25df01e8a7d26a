//! Device classes.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `resource.k8s.io/v1` `DeviceClass`.
pub(crate) struct DeviceClass;

impl KindRules for DeviceClass {
    columns!();

    fn generation(&self) -> Generation {
        Generation::Spec
    }
}
