//! Validation of certificate signing requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::certificates::signer;
use crate::checks::Unique;
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
    errors.append(conditions(request));
    errors
}

/// The signer reads the request itself; here it only has to be one PEM block of the right type.
fn body(errors: &mut ErrorList, request: &Value, path: &Path) {
    let text = tree::text(request, "spec.request");
    let pem = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    let pem = pem.trim();
    let begins = pem.contains("-----BEGIN CERTIFICATE REQUEST-----")
        || pem.contains("-----BEGIN NEW CERTIFICATE REQUEST-----");
    if !begins || !pem.ends_with("-----") {
        errors.push(field::invalid(
            path,
            text,
            "PEM block type must be CERTIFICATE REQUEST",
        ));
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

fn conditions(request: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status.conditions");
    let mut seen = Unique::new();
    let mut decided = None;
    for (index, condition) in tree::list(request, "status.conditions").iter().enumerate() {
        let at = path.index(index);
        let kind = tree::text(condition, "type");
        let status = tree::text(condition, "status");
        if kind.is_empty() {
            errors.push(field::required(&at.child("type"), ""));
        }
        if status.is_empty() {
            errors.push(field::required(&at.child("status"), ""));
        } else if CONDITIONS.contains(&kind) && status != "True" {
            errors.push(field::not_supported(&at.child("status"), status, &["True"]));
        }
        seen.insert(&mut errors, kind, &at.child("type"));
        if matches!(kind, "Approved" | "Denied") {
            match decided {
                Some(other) if other != kind => {
                    errors.push(field::invalid(
                        &at.child("type"),
                        kind,
                        "Approved and Denied conditions are mutually exclusive",
                    ));
                }
                _ => decided = Some(kind),
            }
        }
    }
    errors
}

/// An update of the main resource: its conditions are the stored ones.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = conditions(new);
    errors.append(removals(new, old));
    errors
}

/// `ValidateCertificateSigningRequestStatusUpdate`: a certificate is set once, decisions stay.
pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_update(new, old);
    errors.append(decisions(new, old));
    let after = tree::text(new, "status.certificate");
    let before = tree::text(old, "status.certificate");
    if !after.is_empty() && after != before && !has_certificate(after) {
        let detail = "must contain at least one CERTIFICATE PEM block";
        errors.push(field::invalid(
            &Path::new("status.certificate"),
            after,
            detail,
        ));
    }
    if !before.is_empty() && after != before {
        let detail = "updates may not modify existing certificate content";
        errors.push(field::forbidden(&Path::new("status.certificate"), detail));
    }
    errors
}

/// Whether base64 of PEM holds a certificate; clients parse it themselves.
fn has_certificate(text: &str) -> bool {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----")
}

/// `ValidateCertificateSigningRequestApprovalUpdate`: decisions may be added, nothing is taken back.
pub(super) fn validate_approval(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_meta_update(new, old, false);
    errors.append(validate_update(new, old));
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
