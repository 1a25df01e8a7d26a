//! Validation of device classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

const MAX_SELECTORS: usize = 32;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.selectors");
    let selectors = tree::list(class, "spec.selectors");
    if selectors.len() > MAX_SELECTORS {
        errors.push(field::too_many(&path, selectors.len(), MAX_SELECTORS));
    }
    for (index, selector) in selectors.iter().enumerate() {
        if !tree::has(selector, "cel.expression") {
            errors.push(field::required(&path.index(index).child("cel"), ""));
        }
    }
    errors
}
