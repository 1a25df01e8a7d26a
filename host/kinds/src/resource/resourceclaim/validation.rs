//! Validation of resource claims.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};

const MAX_REQUESTS: usize = 32;

pub(super) fn validate(claim: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    requests(&mut errors, claim, "spec");
    errors
}

/// Validates the device requests of a claim's spec found at `at`.
pub(crate) fn requests(errors: &mut ErrorList, object: &Value, at: &str) {
    let path = Path::new(at).child("devices.requests");
    let requests = tree::list(object, path.as_str());
    if requests.len() > MAX_REQUESTS {
        errors.push(field::too_many(&path, requests.len(), MAX_REQUESTS));
    }
    let mut seen = Unique::new();
    for (index, request) in requests.iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(request, "name");
        if name.is_empty() {
            errors.push(field::required(&at.child("name"), ""));
        } else {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
            seen.insert(errors, name, &at.child("name"));
        }
        let alternatives = tree::list(request, "firstAvailable");
        match (tree::get(request, "exactly"), alternatives.is_empty()) {
            (Some(_), false) => {
                let detail = "exactly one of `exactly` or `firstAvailable` must be specified";
                errors.push(field::invalid(&at, request, detail));
            }
            (None, true) => {
                let detail = "exactly one of `exactly` or `firstAvailable` is required";
                errors.push(field::required(&at, detail));
            }
            (Some(exactly), true) => single(errors, exactly, &at.child("exactly")),
            (None, false) => {
                for (number, alternative) in alternatives.iter().enumerate() {
                    single(
                        errors,
                        alternative,
                        &at.child("firstAvailable").index(number),
                    );
                }
            }
        }
    }
}

fn single(errors: &mut ErrorList, request: &Value, path: &Path) {
    if checks::required(errors, request, "deviceClassName", path, "") {
        let class = tree::text(request, "deviceClassName");
        errors.check(
            &path.child("deviceClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
    }
    checks::one_of(
        errors,
        request,
        "allocationMode",
        path,
        &["All", "ExactCount"],
    );
    let exact = tree::text(request, "allocationMode") == "ExactCount";
    if exact && tree::int(request, "count").is_some_and(|count| count <= 0) {
        errors.push(field::invalid(
            &path.child("count"),
            tree::get(request, "count"),
            "must be greater than zero",
        ));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "spec");
    errors
}
