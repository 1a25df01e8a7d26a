//! Validation of certificate signing requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{Check, Unique};

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
    signer(
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

/// `domain.example/path`, as certificates and trust bundles name signers.
fn signer(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [domain, segments] if !segments.is_empty() => {
            if domain.split('.').count() < 2 {
                let detail = "should be a domain with at least two segments separated by dots";
                errors.push(field::invalid(path, *domain, detail));
            }
            errors.check(path, *domain, names::is_dns1123_subdomain(domain));
            for segment in segments.split('.') {
                errors.check(path, *segments, names::is_dns1123_label(segment));
            }
        }
        _ => {
            let detail =
                "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            errors.push(field::invalid(path, name, detail));
        }
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

/// A decision stands.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    decisions(new, old)
}

fn decisions(new: &Value, old: &Value) -> ErrorList {
    let mut errors = conditions(new);
    for kind in ["Approved", "Denied"] {
        let count = |request| {
            tree::list(request, "status.conditions")
                .iter()
                .filter(|it| tree::text(it, "type") == kind)
                .count()
        };
        if count(new) < count(old) {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            errors.push(field::forbidden(&Path::new("status.conditions"), detail));
        }
    }
    errors
}

pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = decisions(new, old);
    let (after, before) = (
        tree::text(new, "status.certificate"),
        tree::text(old, "status.certificate"),
    );
    if !before.is_empty() && after != before {
        let detail = "updates may not set certificate content when it is already set";
        errors.push(field::forbidden(&Path::new("status.certificate"), detail));
    }
    errors
}
