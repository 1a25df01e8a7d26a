//! Validation of certificate signing requests.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::certificates::{request, signer};
use crate::checks::{self, Unique};
use crate::equality::semantic_eq;
use crate::object_meta::validate_meta_update;

/// Shortest life of a certificate that may be asked for.
const MIN_SECONDS: i64 = 600;
const CONDITIONS: [&str; 3] = ["Approved", "Denied", "Failed"];
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(super) fn validate(request: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    body(&mut errors, request, &path.child("request"));
    usages(&mut errors, request, &path.child("usages"));
    signer::validate(
        &mut errors,
        tree::text(request, "spec.signerName"),
        &path.child("signerName"),
    );
    if let Some(seconds) =
        tree::int(request, "spec.expirationSeconds").filter(|seconds| *seconds < MIN_SECONDS)
    {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(field::invalid(
            &path.child("expirationSeconds"),
            seconds,
            detail,
        ));
    }
    errors.append(conditions(request, Tolerance::default()));
    errors
}

fn body(errors: &mut ErrorList, csr: &Value, path: &Path) {
    let text = tree::text(csr, "spec.request");
    let pem = STANDARD.decode(text).unwrap_or_default();
    if let Err(why) = request::check(&pem) {
        errors.push(field::invalid(path, text, why.to_string()));
    }
}

fn usages(errors: &mut ErrorList, request: &Value, path: &Path) {
    let usages = tree::texts(request, "spec.usages");
    if usages.is_empty() {
        errors.push(field::required(path, ""));
    }
    let mut seen = Unique::new();
    for (index, usage) in usages.iter().enumerate() {
        if !USAGES.contains(usage) {
            errors.push(field::not_supported(&path.index(index), *usage, &USAGES));
        }
        seen.insert(errors, usage, &path.index(index));
    }
}

/// What the stored conditions of a request have wrong already, which an update need not put right.
#[derive(Clone, Copy, Default)]
struct Tolerance {
    both_decisions: bool,
    duplicates: bool,
    empty_types: bool,
}

impl Tolerance {
    fn of(old: &Value) -> Self {
        let mut kinds = kinds(old);
        let has = |kind: &str| kinds.contains(&kind);
        let both_decisions = has("Approved") && has("Denied");
        let empty_types = has("");
        let count = kinds.len();
        kinds.sort_unstable();
        kinds.dedup();
        Self {
            both_decisions,
            duplicates: kinds.len() < count,
            empty_types,
        }
    }
}

fn kinds(request: &Value) -> Vec<&str> {
    let conditions = tree::list(request, "status.conditions").iter();
    conditions.map(|it| tree::text(it, "type")).collect()
}

fn conditions(request: &Value, tolerance: Tolerance) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status.conditions");
    let mut seen = Unique::new();
    let mut decided = HashSet::new();
    for (index, condition) in tree::list(request, "status.conditions").iter().enumerate() {
        let at = path.index(index);
        let kind = tree::text(condition, "type");
        if kind.is_empty() && !tolerance.empty_types {
            errors.push(field::required(&at.child("type"), ""));
        }
        let statuses = if CONDITIONS.contains(&kind) {
            &["True"][..]
        } else {
            &["False", "True", "Unknown"][..]
        };
        checks::required_one_of(&mut errors, condition, "status", &at, statuses);
        if matches!(kind, "Approved" | "Denied") && !tolerance.both_decisions {
            decided.insert(kind);
            if decided.len() > 1 {
                let detail = "Approved and Denied conditions are mutually exclusive";
                errors.push(field::invalid(&path, kind, detail));
            }
        }
        if !tolerance.duplicates {
            seen.insert(&mut errors, kind, &at.child("type"));
        }
    }
    errors
}

/// What holds for every update. One that leaves the certificate as it is need not have a good one.
fn changed(new: &Value, old: &Value) -> ErrorList {
    let mut errors = conditions(new, Tolerance::of(old));
    let [after, before] = [new, old].map(|it| tree::text(it, "status.certificate"));
    let tolerates = after == before || certificates(before).is_err();
    if let (false, Err(why)) = (tolerates, certificates(after)) {
        let path = Path::new("status.certificate");
        errors.push(field::invalid(&path, "<certificate data>", why.to_string()));
    }
    errors.append(removals(new, old));
    errors
}

/// An update of the main resource: its conditions are the stored ones.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    changed(new, old)
}

/// `ValidateCertificateSigningRequestStatusUpdate`: a certificate is set once, decisions stay.
pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = changed(new, old);
    errors.append(decisions(new, old));
    let [after, before] = [new, old].map(|it| tree::text(it, "status.certificate"));
    if !before.is_empty() && after != before {
        let detail = "updates may not modify existing certificate content";
        errors.push(field::forbidden(&Path::new("status.certificate"), detail));
    }
    errors
}

/// Whether base64 of PEM holds certificates and nothing else; clients parse them themselves.
fn certificates(text: &str) -> Result<(), request::CertificatesError> {
    let pem = STANDARD.decode(text).unwrap_or_default();
    request::check_certificates(&pem)
}

/// `ValidateCertificateSigningRequestApprovalUpdate`: decisions may be added, nothing is taken back.
pub(super) fn validate_approval(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_meta_update(new, old, false);
    errors.append(changed(new, old));
    errors
}

fn of_type<'a>(request: &'a Value, kind: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = tree::list(request, "status.conditions").iter().collect();
    found.retain(|condition| tree::text(condition, "type") == kind);
    found
}

fn removals(new: &Value, old: &Value) -> ErrorList {
    let removed = |kind: &&str| of_type(new, kind).len() < of_type(old, kind).len();
    let refusals = CONDITIONS.iter().copied().filter(removed);
    refusals
        .map(|kind| refused_condition("remove", kind))
        .collect()
}

/// Decisions that are added or changed by an update that may not decide.
fn decisions(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for kind in ["Approved", "Denied"] {
        let (after, before) = (of_type(new, kind), of_type(old, kind));
        let equal = || {
            let mut pairs = after.iter().zip(&before);
            pairs.all(|(after, before)| semantic_eq(Some(after), Some(before)))
        };
        if after.len() > before.len() {
            errors.push(refused_condition("add", kind));
        } else if after.len() == before.len() && !equal() {
            errors.push(refused_condition("modify", kind));
        }
    }
    errors
}

fn refused_condition(verb: &str, kind: &str) -> field::FieldError {
    let detail = format!("updates may not {verb} a condition of type {kind:?}");
    field::forbidden(&Path::new("status.conditions"), detail)
}
