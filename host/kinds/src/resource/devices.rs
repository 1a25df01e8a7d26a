//! What a claim asks for (`pkg/apis/resource/validation`).

use std::collections::HashSet;

use k3s_cel::{Environment, Type};
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::request_names::RequestNames;
use super::{configuration, names as device_names, sets, taints};
use crate::checks::{self, Check};

const MAX_REQUESTS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_CONSTRAINTS: usize = 32;
/// Configurations of a claim or a class.
pub(super) const MAX_CONFIGURATIONS: usize = 32;
const MAX_SELECTORS: usize = 32;
const MAX_EXPRESSION_BYTES: usize = 10 * 1024;
const MODES: [&str; 2] = ["All", "ExactCount"];

/// The spec of a claim at `path`.
pub(super) fn spec(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let devices = tree::get(spec, "devices").unwrap_or(&Value::Null);
    let path = path.child("devices");
    let known = RequestNames::of(devices);
    let requests = (devices, "requests");
    if sets::each(errors, requests, MAX_REQUESTS, &path, request) {
        sets::unique(errors, requests, &path, sets::text_of("name"));
    }
    let constraints = (devices, "constraints");
    sets::each(
        errors,
        constraints,
        MAX_CONSTRAINTS,
        &path,
        |errors, constraint, path| self::constraint(errors, constraint, &known, path),
    );
    let configurations = (devices, "config");
    sets::each(
        errors,
        configurations,
        MAX_CONFIGURATIONS,
        &path,
        |errors, item, path| {
            references(errors, item, &known, path);
            configuration::validate(errors, item, path, false);
        },
    );
}

fn request(errors: &mut ErrorList, request: &Value, path: &Path) {
    let name = tree::text(request, "name");
    errors.check(&path.child("name"), name, names::is_dns1123_label(name));
    let alternatives = (request, "firstAvailable");
    let has_alternatives = tree::has(request, "firstAvailable");
    match (tree::get(request, "exactly"), has_alternatives) {
        (None, false) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required";
            errors.push(field::required(path, detail));
        }
        (Some(_), true) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.push(field::invalid(path, &Value::Null, detail));
        }
        (Some(exactly), false) => single(errors, exactly, &path.child("exactly")),
        (None, true) => {
            let each = |errors: &mut ErrorList, item: &Value, path: &Path| {
                let name = tree::text(item, "name");
                errors.check(&path.child("name"), name, names::is_dns1123_label(name));
                single(errors, item, path);
            };
            if sets::each(errors, alternatives, MAX_ALTERNATIVES, path, each) {
                sets::unique(errors, alternatives, path, sets::text_of("name"));
            }
        }
    }
}

/// A request for devices of one class.
fn single(errors: &mut ErrorList, request: &Value, path: &Path) {
    let class = tree::text(request, "deviceClassName");
    let at = path.child("deviceClassName");
    if class.is_empty() {
        errors.push(field::required(&at, ""));
    } else {
        errors.check(&at, class, names::is_dns1123_subdomain(class));
    }
    selectors(errors, request, path);
    let mode = tree::text(request, "allocationMode");
    let count = tree::int(request, "count").unwrap_or(0);
    let at = path.child("count");
    match mode {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.push(field::invalid(&at, count, detail));
        }
        "ExactCount" if count <= 0 => {
            errors.push(field::invalid(&at, count, "must be greater than zero"));
        }
        "All" | "ExactCount" => {}
        _ => {
            let at = path.child("allocationMode");
            errors.push(field::not_supported(&at, mode, &MODES));
        }
    }
    taints::tolerations(errors, request, path);
}

/// `selectors` of a request or a class.
pub(super) fn selectors(errors: &mut ErrorList, holder: &Value, path: &Path) {
    sets::each(errors, (holder, "selectors"), MAX_SELECTORS, path, selector);
}

fn selector(errors: &mut ErrorList, selector: &Value, path: &Path) {
    let path = path.child("cel");
    let Some(cel) = tree::get(selector, "cel") else {
        errors.push(field::required(&path, ""));
        return;
    };
    let expression = tree::text(cel, "expression");
    let at = path.child("expression");
    if expression.len() > MAX_EXPRESSION_BYTES {
        errors.push(field::too_long(&at, MAX_EXPRESSION_BYTES));
        return;
    }
    let refusal = match k3s_cel::compile(expression, &device(), &[]) {
        Ok(Type::Plain(kind)) if kind != "bool" => {
            format!("must evaluate to bool or the unknown type, not {kind}")
        }
        Ok(_) => return,
        Err(refusal) => refusal.to_string(),
    };
    errors.push(field::invalid(&at, expression, refusal));
}

/// What a selector may name: the device.
fn device() -> Environment {
    let fields = [
        ("driver", Type::Plain("string")),
        ("attributes", Type::Unknown),
        ("capacity", Type::Unknown),
        ("allowMultipleAllocations", Type::Plain("bool")),
    ];
    let fields = fields.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
    let device = Type::Object("kubernetes.DRADevice", fields);
    Environment {
        variables: vec![("device".to_owned(), device)],
        patches: false,
    }
}

fn constraint(errors: &mut ErrorList, constraint: &Value, known: &RequestNames<'_>, path: &Path) {
    references(errors, constraint, known, path);
    let of = |name: &str| tree::get(constraint, name).and_then(Value::as_str);
    let found = ["matchAttribute", "distinctAttribute"]
        .into_iter()
        .find_map(|name| Some((name, of(name)?)));
    match found {
        Some((field, name)) => {
            device_names::fully_qualified(errors, name, &path.child(field));
        }
        None => {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            errors.push(field::required(path, detail));
        }
    }
}

/// `requests` of a constraint or a configuration: names of requests in the claim.
pub(super) fn references(
    errors: &mut ErrorList,
    holder: &Value,
    known: &RequestNames<'_>,
    path: &Path,
) {
    let each = |errors: &mut ErrorList, name: &Value, path: &Path| {
        known.check(errors, name.as_str().unwrap_or_default(), path);
    };
    let requests = (holder, "requests");
    if sets::each(errors, requests, MAX_REQUESTS, path, each) {
        sets::unique(errors, requests, path, sets::text_of(""));
    }
}

/// Conditions that a device waits for before its pod is bound, and those that end the wait.
pub(super) fn binding_conditions(errors: &mut ErrorList, device: &Value, path: &Path) {
    const WAIT: &str = "bindingConditions";
    const FAIL: &str = "bindingFailureConditions";
    const MAX_CONDITIONS: usize = 4;
    for name in [WAIT, FAIL] {
        sets::each(
            errors,
            (device, name),
            MAX_CONDITIONS,
            path,
            |errors, condition, path| {
                let condition = condition.as_str().unwrap_or_default();
                errors.check(path, condition, names::is_qualified_name(condition));
            },
        );
    }
    sets::unique(errors, (device, WAIT), path, sets::text_of(""));
    let waits: HashSet<&str> = tree::texts(device, WAIT).into_iter().collect();
    let fails = tree::texts(device, FAIL);
    let mut seen = checks::Unique::new();
    for (index, condition) in fails.iter().enumerate() {
        let at = path.child(FAIL).index(index);
        seen.insert(errors, condition, &at);
        if waits.contains(condition) {
            let detail = format!("{FAIL} must not overlap with {WAIT}");
            errors.push(field::invalid(&at, *condition, detail));
        }
    }
    for (missing, other) in [(WAIT, FAIL), (FAIL, WAIT)] {
        if !tree::has(device, missing) && tree::has(device, other) {
            let detail = format!("{missing} are required to use {other}");
            let value = tree::get(device, missing);
            errors.push(field::invalid(&path.child(missing), value, detail));
        }
    }
}
