//! Resource slices.

mod columns;

use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{Generation, KindRules, columns};
use crate::tree;

/// Rules of `resource.k8s.io/v1` `ResourceSlice`.
pub(crate) struct ResourceSlice;

impl KindRules for ResourceSlice {
    columns!();

    fn generation(&self) -> Generation {
        Generation::Spec
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        vec![
            ("spec.nodeName", tree::text(object, "spec.nodeName").to_owned()),
            ("spec.driver", tree::text(object, "spec.driver").to_owned()),
        ]
    }
}
