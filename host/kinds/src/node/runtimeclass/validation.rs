//! Validation of runtime classes.

use k3s_meta::field::{ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::podspec::validation::{resources, tolerations};
use crate::object_meta;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let handler = tree::text(class, "handler");
    errors.check(
        &Path::new("handler"),
        handler,
        names::is_dns1123_label(handler),
    );
    if let Some(overhead) = tree::get(class, "overhead") {
        resources::overhead(&mut errors, overhead, "podFixed", &Path::new("overhead"));
    }
    if let Some(scheduling) = tree::get(class, "scheduling") {
        let path = Path::new("scheduling");
        errors.append(object_meta::validate_labels(
            scheduling,
            "nodeSelector",
            &path.child("nodeSelector"),
        ));
        tolerations(&mut errors, scheduling, &path.child("tolerations"));
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "handler");
    errors
}
