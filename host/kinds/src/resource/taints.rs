//! Taints of devices, and what tolerates them.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

pub(super) fn taint(errors: &mut ErrorList, taint: &Value, path: &Path) {
    let (key, value) = (tree::text(taint, "key"), tree::text(taint, "value"));
    errors.check(&path.child("key"), key, names::is_qualified_name(key));
    errors.check(&path.child("value"), value, names::is_label_value(value));
    checks::required_one_of(errors, taint, "effect", path, &EFFECTS);
}

/// `tolerations` of a request for devices.
pub(super) fn tolerations(errors: &mut ErrorList, request: &Value, path: &Path) {
    for (index, toleration) in tree::list(request, "tolerations").iter().enumerate() {
        self::toleration(errors, toleration, &path.child("tolerations").index(index));
    }
}

fn toleration(errors: &mut ErrorList, toleration: &Value, path: &Path) {
    let (key, value) = (
        tree::text(toleration, "key"),
        tree::text(toleration, "value"),
    );
    if !key.is_empty() {
        errors.check(&path.child("key"), key, names::is_qualified_name(key));
    }
    let at = path.child("value");
    match tree::text(toleration, "operator") {
        "Exists" if !value.is_empty() => {
            let detail = "must be empty for operator `Exists`";
            errors.push(field::invalid(&at, value, detail));
        }
        "Exists" => {}
        "Equal" => errors.check(&at, value, names::is_label_value(value)),
        _ => {
            let operators = ["Equal", "Exists"];
            checks::required_one_of(errors, toleration, "operator", path, &operators);
        }
    }
    checks::one_of(errors, toleration, "effect", path, &EFFECTS);
}
