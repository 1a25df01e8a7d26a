//! Validation of CSI drivers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks::{self, Unique};
use crate::equality::semantic_eq;

/// Life of a token that a driver may ask for.
const MIN_TOKEN_SECONDS: i64 = 600;
const MAX_TOKEN_SECONDS: i64 = 1 << 32;
const MIN_UPDATE_PERIOD_SECONDS: i64 = 10;
const MODES: [&str; 2] = ["Persistent", "Ephemeral"];

pub(super) fn validate(driver: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(driver, "spec").unwrap_or(&Value::Null);
    // Upstream reports the first under another name than it has.
    for (name, reported) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if tree::get(spec, name).is_none() {
            errors.push(field::required(&path.child(reported), ""));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    checks::supported(&mut errors, spec, "fsGroupPolicy", &path, &policies);
    tokens(&mut errors, spec, &path.child("tokenRequests"));
    for mode in tree::texts(spec, "volumeLifecycleModes") {
        if !MODES.contains(&mode) {
            let at = path.child("volumeLifecycleModes");
            errors.push(field::not_supported(&at, mode, &MODES));
        }
    }
    if tree::get(spec, "seLinuxMount").is_none() {
        errors.push(field::required(&path.child("seLinuxMount"), ""));
    }
    let name = "nodeAllocatableUpdatePeriodSeconds";
    let period = tree::int(spec, name);
    if let Some(period) = period.filter(|period| *period < MIN_UPDATE_PERIOD_SECONDS) {
        let detail =
            format!("must be greater than or equal to {MIN_UPDATE_PERIOD_SECONDS} seconds");
        errors.push(field::invalid(&path.child(name), period, detail));
    }
    let name = "serviceAccountTokenInSecrets";
    if let Some(value) = tree::get(spec, name)
        && !tree::has(spec, "tokenRequests")
    {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.push(field::invalid(&path.child(name), value, detail));
    }
    errors
}

fn tokens(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut seen = Unique::new();
    for (index, request) in tree::list(spec, "tokenRequests").iter().enumerate() {
        let at = path.index(index);
        let before = errors.len();
        let audience = tree::text(request, "audience");
        seen.insert(errors, audience, &at.child("audience"));
        if errors.len() > before {
            continue;
        }
        let seconds = tree::int(request, "expirationSeconds").unwrap_or(MIN_TOKEN_SECONDS);
        let detail = match seconds {
            ..MIN_TOKEN_SECONDS => "may not specify a duration less than 10 minutes",
            MIN_TOKEN_SECONDS..=MAX_TOKEN_SECONDS => continue,
            _ => "may not specify a duration larger than 2^32 seconds",
        };
        let at = at.child("expirationSeconds");
        errors.push(field::invalid(&at, seconds, detail));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    let [after, before] = [new, old].map(|driver| tree::get(driver, "spec.attachRequired"));
    if !semantic_eq(after, before) {
        let at = Path::new("spec").child("attachedRequired");
        errors.push(field::immutable(&at, after));
    }
    checks::immutable(&mut errors, new, old, "spec.volumeLifecycleModes");
    errors
}

/// Only an update that changes the requests is warned of.
pub(super) fn update_warnings(new: &Value, old: &Value) -> Vec<String> {
    let requests = |driver| tree::get(driver, "spec.tokenRequests").unwrap_or(&Value::Null);
    if tree::same(requests(new), requests(old)) {
        return Vec::new();
    }
    warnings(new)
}

pub(super) fn warnings(driver: &Value) -> Vec<String> {
    let asks = tree::has(driver, "spec.tokenRequests");
    if !asks || tree::get(driver, "spec.serviceAccountTokenInSecrets").is_some() {
        return Vec::new();
    }
    vec![
        "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"
            .to_owned(),
    ]
}
