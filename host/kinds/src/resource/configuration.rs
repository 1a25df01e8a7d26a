//! What a driver is told: opaque parameters.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

const MAX_PARAMETERS_BYTES: usize = 10 * 1024;

/// The configuration at `path`. What is `stored` already may be longer than is allowed today.
pub(super) fn validate(errors: &mut ErrorList, configuration: &Value, path: &Path, stored: bool) {
    let path = path.child("opaque");
    let Some(opaque) = tree::get(configuration, "opaque") else {
        errors.push(field::required(&path, ""));
        return;
    };
    let driver = tree::text(opaque, "driver");
    checks::driver_name(errors, driver, &path.child("driver"));
    let limit = if stored {
        usize::MAX
    } else {
        MAX_PARAMETERS_BYTES
    };
    let parameters = tree::get(opaque, "parameters");
    any_object(errors, parameters, &path.child("parameters"), limit);
}

/// An object of any fields, of at most `max` bytes (`validateRawExtension`).
pub(super) fn any_object(
    errors: &mut ErrorList,
    value: Option<&Value>,
    path: &Path,
    max_bytes: usize,
) {
    match value {
        None => errors.push(field::required(path, "")),
        Some(value) if value.to_string().len() > max_bytes => {
            errors.push(field::too_long(path, max_bytes));
        }
        Some(Value::Object(_)) => {}
        Some(_) => {
            let detail = "must be a valid JSON object";
            errors.push(field::invalid(path, "<value omitted>", detail));
        }
    }
}
