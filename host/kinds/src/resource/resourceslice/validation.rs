//! Validation of resource slices.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};

const MAX_DEVICES: usize = 128;

pub(super) fn validate(slice: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(slice, "spec").unwrap_or(&Value::Null);
    if checks::required(&mut errors, spec, "driver", &path, "") {
        let driver = tree::text(spec, "driver");
        errors.check(
            &path.child("driver"),
            driver,
            names::is_dns1123_subdomain(driver),
        );
    }
    checks::required(
        &mut errors,
        tree::get(spec, "pool").unwrap_or(&Value::Null),
        "name",
        &path.child("pool"),
        "",
    );
    let scopes = [
        "nodeName",
        "nodeSelector",
        "allNodes",
        "perDeviceNodeSelection",
    ];
    let given = scopes.iter().filter(|name| tree::has(spec, name)).count();
    let detail = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match given {
        0 => errors.push(field::required(&path, detail)),
        1 => {}
        _ => errors.push(field::invalid(&path, spec, detail)),
    }
    let devices = tree::list(spec, "devices");
    if devices.len() > MAX_DEVICES {
        errors.push(field::too_many(
            &path.child("devices"),
            devices.len(),
            MAX_DEVICES,
        ));
    }
    let mut seen = Unique::new();
    for (index, device) in devices.iter().enumerate() {
        let name = tree::text(device, "name");
        let at = path.child("devices").index(index).child("name");
        errors.check(&at, name, names::is_dns1123_label(name));
        seen.insert(&mut errors, name, &at);
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    for name in ["driver", "nodeName", "pool.name"] {
        checks::immutable(&mut errors, new, old, &format!("spec.{name}"));
    }
    errors
}

pub(super) fn warnings(slice: &Value) -> Vec<String> {
    let driver = tree::text(slice, "spec.driver");
    if !driver.chars().any(char::is_uppercase) {
        return Vec::new();
    }
    vec![format!(
        "spec.driver: driver names should be lowercase; {driver:?} contains uppercase characters"
    )]
}
