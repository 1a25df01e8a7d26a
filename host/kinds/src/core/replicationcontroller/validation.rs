//! Validation of replication controllers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::apps::workload;
use crate::checks;

pub(super) fn validate(controller: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(controller, "spec").unwrap_or(&Value::Null);
    checks::not_negative(&mut errors, spec, "minReadySeconds", &path);
    if !tree::has(spec, "selector") {
        errors.push(field::required(&path.child("selector"), ""));
    }
    checks::not_negative(&mut errors, spec, "replicas", &path);
    let labels = tree::map(spec, "template.metadata.labels");
    let selector = tree::map(spec, "selector");
    if tree::get(spec, "template").is_some()
        && !selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    {
        let detail = "`selector` does not match template `labels`";
        let at = path.child("template.metadata.labels");
        errors.push(field::invalid(
            &at,
            tree::get(spec, "template.metadata.labels"),
            detail,
        ));
    }
    workload::template(&mut errors, spec, &path, "ReplicationController");
    errors
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    workload::replica_status(new)
}
