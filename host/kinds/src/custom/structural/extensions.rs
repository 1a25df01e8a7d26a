//! What goes with `x-kubernetes-int-or-string`.

use k3s_meta::field::{self, ErrorList, Path};
use serde_json::{Map, Value};

use super::{flag, text};

pub(super) fn check(map: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    if flag(map, "x-kubernetes-int-or-string") {
        for key in [
            "x-kubernetes-preserve-unknown-fields",
            "x-kubernetes-embedded-resource",
        ] {
            if flag(map, key) {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                errors.push(field::invalid(&path.child(key), true, detail));
            }
        }
        if !text(map, "type").is_empty() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            errors.push(field::invalid(
                &path.child("type"),
                text(map, "type"),
                detail,
            ));
        }
    }
}
