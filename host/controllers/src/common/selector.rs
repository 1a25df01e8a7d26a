//! The label selectors of workloads.

use std::collections::BTreeMap;

use k3s_client::Obj;
use k3s_meta::{LabelSelector, tree};
use serde_json::Value;

use crate::error::ControllerError;

/// The `metav1.LabelSelector` in `spec.selector`; a missing one selects nothing.
pub(crate) fn of(object: &Obj) -> Result<LabelSelector, ControllerError> {
    let selector = tree::get(object.value(), "spec.selector").unwrap_or(&Value::Null);
    read(object, selector)
}

/// A selector in another place of `object`.
pub(crate) fn read(object: &Obj, selector: &Value) -> Result<LabelSelector, ControllerError> {
    LabelSelector::from_value(selector).map_err(|why| ControllerError::Selector {
        object: object.key().clone(),
        why,
    })
}

/// Whether the selector of `object` picks these labels; one that cannot be read picks nothing.
pub(crate) fn selects(object: &Obj, labels: &BTreeMap<String, String>) -> bool {
    match of(object) {
        Ok(selector) => selector.matches_labels(labels),
        Err(_) => false,
    }
}
