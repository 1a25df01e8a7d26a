//! Small rules that the validation of many kinds is made of.

use std::collections::HashSet;
use std::net::IpAddr;

use k3s_meta::address::{Special, parse_loosely, special};
use k3s_meta::field::{self, BadValue, ErrorList, Path};
use k3s_meta::names::{self, Checked};
use k3s_meta::{LabelSelector, tree};
use serde_json::Value;

use crate::equality::semantic_eq;
use crate::object_meta::NOT_NEGATIVE;

/// Adds the outcome of a name check to a list of errors.
pub(crate) trait Check {
    /// One `Invalid value` per message.
    fn check(&mut self, path: &Path, value: impl Into<BadValue>, outcome: Checked);
}

impl Check for ErrorList {
    fn check(&mut self, path: &Path, value: impl Into<BadValue>, outcome: Checked) {
        if let Err(violations) = outcome {
            let value = value.into();
            for message in violations {
                self.push(field::invalid(path, value.clone(), message));
            }
        }
    }
}

/// A number that may not be below zero.
pub(crate) fn not_negative(errors: &mut ErrorList, object: &Value, name: &str, path: &Path) {
    if let Some(number) = tree::int(object, name)
        && number < 0
    {
        errors.push(field::invalid(&path.child(name), number, NOT_NEGATIVE));
    }
}

/// A text that must be there.
pub(crate) fn required(
    errors: &mut ErrorList,
    object: &Value,
    name: &str,
    path: &Path,
    detail: &str,
) -> bool {
    let present = tree::has(object, name);
    if !present {
        errors.push(field::required(&path.child(name), detail));
    }
    present
}

/// A text that must be one of a few; a missing one is the caller's to judge.
pub(crate) fn one_of(
    errors: &mut ErrorList,
    object: &Value,
    name: &str,
    path: &Path,
    supported: &[&str],
) {
    let text = tree::text(object, name);
    if !text.is_empty() && !supported.contains(&text) {
        errors.push(field::not_supported(&path.child(name), text, supported));
    }
}

/// A text that is one of a few; a missing one is none of them.
pub(crate) fn is_one_of(
    errors: &mut ErrorList,
    object: &Value,
    name: &str,
    path: &Path,
    supported: &[&str],
) {
    let text = tree::text(object, name);
    if !supported.contains(&text) {
        errors.push(field::not_supported(&path.child(name), text, supported));
    }
}

/// A text that must be one of a few where it is given, the empty one included (a pointer in Go).
pub(crate) fn supported(
    errors: &mut ErrorList,
    object: &Value,
    name: &str,
    path: &Path,
    supported: &[&str],
) {
    let text = tree::get(object, name).and_then(Value::as_str);
    if let Some(text) = text.filter(|text| !supported.contains(text)) {
        errors.push(field::not_supported(&path.child(name), text, supported));
    }
}

/// A text that must be there and one of a few.
pub(crate) fn required_one_of(
    errors: &mut ErrorList,
    object: &Value,
    name: &str,
    path: &Path,
    supported: &[&str],
) {
    if required(errors, object, name, path, "") {
        one_of(errors, object, name, path, supported);
    }
}

/// The name of a driver (`ValidateCSIDriverName`).
pub(crate) fn driver_name(errors: &mut ErrorList, name: &str, path: &Path) {
    const MAX_BYTES: usize = 63;
    if name.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    if name.len() > MAX_BYTES {
        errors.push(field::too_long(path, MAX_BYTES));
    }
    errors.check(
        path,
        name,
        names::is_dns1123_subdomain(&name.to_lowercase()),
    );
}

/// A field that may not change.
pub(crate) fn immutable(errors: &mut ErrorList, new: &Value, old: &Value, name: &str) {
    if !semantic_eq(tree::get(new, name), tree::get(old, name)) {
        errors.push(field::immutable(&Path::new(name), tree::get(new, name)));
    }
}

/// A text that may not change; a missing one is the empty one.
pub(crate) fn immutable_text(errors: &mut ErrorList, new: &Value, old: &Value, name: &str) {
    let [new, old] = [new, old].map(|object| tree::text(object, name));
    if new != old {
        errors.push(field::immutable(&Path::new(name), new));
    }
}

/// A counter of the status that only grows.
pub(crate) fn not_decremented(errors: &mut ErrorList, new: &Value, old: &Value, name: &str) {
    let [after, before] = [new, old].map(|object| tree::int(object, name));
    if before.is_some_and(|before| after.is_none_or(|after| after < before)) {
        let after = after.unwrap_or(0);
        errors.push(field::invalid(
            &Path::new(name),
            after,
            "cannot be decremented",
        ));
    }
}

/// A path below a domain, such as `example.com/name` (`IsDomainPrefixedPath`).
pub(crate) fn domain_prefixed_path(errors: &mut ErrorList, text: &str, path: &Path) {
    if text.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let parts = text.split_once('/');
    let Some((host, below)) = parts.filter(|(host, below)| !host.is_empty() && !below.is_empty())
    else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(field::invalid(path, text, detail));
        return;
    };
    errors.check(path, host, names::is_dns1123_subdomain(host));
    let is_path_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !below.bytes().all(is_path_byte) {
        let detail =
            "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(field::invalid(path, below, detail));
    }
}

/// A port number.
pub(crate) fn port_number(errors: &mut ErrorList, number: i64, path: &Path) {
    errors.check(path, number, names::is_port_number(number));
}

/// Reports values that occur twice.
pub(crate) struct Unique<'a>(HashSet<&'a str>);

impl<'a> Unique<'a> {
    pub(crate) fn new() -> Self {
        Self(HashSet::new())
    }

    /// Adds `value`, with an error when it is there already.
    pub(crate) fn insert(&mut self, errors: &mut ErrorList, value: &'a str, path: &Path) {
        if !self.0.insert(value) {
            errors.push(field::duplicate(path, value));
        }
    }
}

/// A `metav1.LabelSelector`.
pub(crate) fn label_selector(selector: &Value, path: &Path) -> ErrorList {
    let mut errors =
        crate::object_meta::validate_labels(selector, "matchLabels", &path.child("matchLabels"));
    for (index, expression) in tree::list(selector, "matchExpressions").iter().enumerate() {
        let at = path.child("matchExpressions").index(index);
        let unknown = Some("not a valid selector operator");
        operator(&mut errors, expression, unknown, &at);
        label_terms(&mut errors, expression, &at);
    }
    errors
}

/// Whether operator and values of a requirement of a selector go together; what is said of an operator that is not
/// known, if anything is.
pub(crate) fn operator(
    errors: &mut ErrorList,
    requirement: &Value,
    unknown: Option<&str>,
    path: &Path,
) {
    let has_values = tree::has(requirement, "values");
    let at = path.child("values");
    match tree::text(requirement, "operator") {
        "In" | "NotIn" if !has_values => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(field::required(&at, detail));
        }
        "Exists" | "DoesNotExist" if has_values => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(field::forbidden(&at, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        operator => {
            if let Some(detail) = unknown {
                errors.push(field::invalid(&path.child("operator"), operator, detail));
            }
        }
    }
}

/// Key and values of a requirement about labels.
pub(crate) fn label_terms(errors: &mut ErrorList, requirement: &Value, path: &Path) {
    let key = tree::text(requirement, "key");
    errors.check(&path.child("key"), key, names::is_qualified_name(key));
    for (number, value) in tree::list(requirement, "values").iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        let at = path.child("values").index(number);
        errors.check(&at, value, names::is_label_value(value));
    }
}

/// The selector that an object has, a missing one selecting nothing; `None` when it is malformed.
pub(crate) fn read_selector(selector: Option<&Value>) -> Option<LabelSelector> {
    let selector = selector.unwrap_or(&Value::Null);
    let is_well_formed = label_selector(selector, &Path::root()).is_empty();
    let read = is_well_formed.then(|| LabelSelector::from_value(selector));
    read.and_then(Result::ok)
}

/// Whether a selector selects everything.
pub(crate) fn selects_all(selector: &Value) -> bool {
    !tree::has(selector, "matchLabels") && !tree::has(selector, "matchExpressions")
}

/// An `IntOrString` that is a count or a percentage.
pub(crate) fn int_or_percent(errors: &mut ErrorList, value: &Value, path: &Path) {
    match value {
        Value::String(text) => errors.check(path, value, names::is_percent(text)),
        _ => {
            if let Some(number) = value.as_i64().filter(|number| *number < 0) {
                errors.push(field::invalid(path, number, NOT_NEGATIVE));
            }
        }
    }
}

/// The percentage in an `IntOrString`, if it is one.
pub(crate) fn percent(value: &Value) -> Option<i64> {
    let text = value
        .as_str()
        .filter(|text| names::is_percent(text).is_ok())?;
    let digits = text.strip_suffix('%')?;
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// Whether an `IntOrString` stands for nothing: what is neither a number nor a percentage does.
pub(crate) fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => percent(value).or_else(|| text.parse().ok()).unwrap_or(0) == 0,
        _ => value.as_i64().unwrap_or(0) == 0,
    }
}

/// A percentage above the whole.
pub(crate) fn not_above_hundred(errors: &mut ErrorList, value: &Value, path: &Path) {
    if percent(value).is_some_and(|percent| percent > 100) {
        errors.push(field::invalid(path, value, "must not be greater than 100%"));
    }
}

/// A text that must be there and be one segment of a path.
pub(crate) fn required_segment(errors: &mut ErrorList, object: &Value, name: &str, path: &Path) {
    if required(errors, object, name, path, "") {
        let text = tree::text(object, name);
        errors.check(&path.child(name), text, names::is_path_segment(text));
    }
}

/// Addresses that never belong to an endpoint (`ValidateEndpointIP`).
pub(crate) fn special_ip(ip: &str, path: &Path) -> ErrorList {
    let Some(address) = parse_loosely(ip) else {
        return field::invalid(path, ip, "must be a valid IP address").into();
    };
    let why = match special(address) {
        None => return ErrorList::new(),
        Some(Special::Unspecified) => format!("may not be unspecified ({ip})"),
        Some(Special::Loopback) => {
            "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
        }
        Some(Special::LinkLocal) => {
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
        }
        Some(Special::Multicast) if is_local_multicast(address) => {
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
        }
        // Groups that are farther away are not looked for.
        Some(Special::Multicast) => return ErrorList::new(),
    };
    field::invalid(path, ip, why).into()
}

/// An address in the form that its kind is written in (`IsValidIP`).
pub(crate) fn canonical_ip(text: &str) -> Checked {
    names::is_ip(text)?;
    let canonical = text.parse::<IpAddr>().map(|address| address.to_string());
    match canonical {
        Ok(canonical) if canonical != text => {
            Err(format!("must be in canonical form ({canonical:?})").into())
        }
        _ => Ok(()),
    }
}

fn is_local_multicast(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => matches!(v4.octets(), [224, 0, 0, _]),
        IpAddr::V6(v6) => matches!(v6.octets(), [0xff, scope, ..] if scope & 0x0f == 2),
    }
}
