//! Resource slices.

mod columns;
mod validation;

use jiff::Timestamp;
use k3s_meta::field::ErrorList;
use k3s_meta::tree;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};

/// Rules of `resource.k8s.io/v1` `ResourceSlice`.
pub(crate) struct ResourceSlice;

impl KindRules for ResourceSlice {
    columns!();

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![
            (
                "spec.nodeName",
                tree::text(object, "spec.nodeName").to_owned(),
            ),
            ("spec.driver", tree::text(object, "spec.driver").to_owned()),
        ]
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validation::validate(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        validation::validate_update(new, old)
    }
}
