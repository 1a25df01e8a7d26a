//! Volumes that are put together from several sources (`validateProjectionSources`).

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::volumes::{downward_item, key_paths, place};
use crate::certificates::signer;
use crate::checks::{self, Check};
use crate::object_meta::{ANNOTATIONS_LIMIT_BYTES, annotations_bytes};

/// Shortest and longest life of a token.
const TOKEN_SECONDS: [i64; 2] = [600, 1 << 32];
/// Shortest life of a certificate, and the longest, of one of the system's own signers and of others.
const CERTIFICATE_SECONDS: [i64; 3] = [3600, 24 * 60 * 60, 91 * 24 * 60 * 60];
/// Kinds of keys, in the order in which messages name them.
const KEYS: [&str; 6] = [
    "RSA3072",
    "RSA4096",
    "ECDSAP256",
    "ECDSAP384",
    "ECDSAP521",
    "ED25519",
];
/// The projections of a source, in the order in which they are validated.
const PROJECTIONS: [&str; 6] = [
    "secret",
    "configMap",
    "downwardAPI",
    "serviceAccountToken",
    "clusterTrustBundle",
    "podCertificate",
];

/// The places that files of the volume have so far.
struct Places<'a> {
    taken: HashSet<&'a str>,
    volume: &'a Path,
}

impl<'a> Places<'a> {
    /// Takes a place. The error about one that is taken is one of the volume, and shows `value`.
    fn take(&mut self, errors: &mut ErrorList, file: &'a str, value: &str) {
        if !self.taken.insert(file) {
            let detail = "conflicting duplicate paths";
            errors.push(field::invalid(self.volume, value, detail));
        }
    }
}

/// Validates `sources` of the projected volume at `path`.
pub(super) fn validate(errors: &mut ErrorList, volume: &Value, path: &Path) {
    let mut places = Places {
        taken: HashSet::new(),
        volume: path,
    };
    for (index, source) in tree::list(volume, "sources").iter().enumerate() {
        let at = path.child("sources").index(index);
        let mut count = 0;
        for kind in PROJECTIONS {
            if let Some(projection) = tree::get(source, kind) {
                count += 1;
                typed(errors, kind, projection, &at.child(kind), &mut places);
            }
        }
        if count > 1 {
            let detail = "may not specify more than 1 volume type per source";
            errors.push(field::forbidden(&at, detail));
        }
    }
}

fn typed<'a>(
    errors: &mut ErrorList,
    kind: &str,
    projection: &'a Value,
    path: &Path,
    places: &mut Places<'a>,
) {
    match kind {
        "secret" | "configMap" => keyed(errors, projection, path, places),
        "downwardAPI" => {
            for item in tree::list(projection, "items") {
                downward_item(errors, item, path);
                let file = tree::text(item, "path");
                if !file.is_empty() {
                    places.take(errors, file, file);
                }
            }
        }
        "serviceAccountToken" => token(errors, projection, path, places.volume),
        "clusterTrustBundle" => {
            trust_bundle(errors, projection, path);
            checks::required(errors, projection, "path", path, "");
            let file = tree::text(projection, "path");
            place(errors, file, &path.child("path"));
            places.take(errors, file, file);
        }
        _ => certificate(errors, projection, path, places),
    }
}

fn keyed<'a>(errors: &mut ErrorList, projection: &'a Value, path: &Path, places: &mut Places<'a>) {
    checks::required(errors, projection, "name", path, "");
    key_paths(errors, projection, path);
    let name = tree::text(projection, "name");
    for item in tree::list(projection, "items") {
        let file = tree::text(item, "path");
        if !file.is_empty() {
            places.take(errors, file, name);
        }
    }
}

fn token(errors: &mut ErrorList, projection: &Value, path: &Path, volume: &Path) {
    let [least, most] = TOKEN_SECONDS;
    let seconds = tree::int(projection, "expirationSeconds").unwrap_or(0);
    let at = path.child("expirationSeconds");
    if seconds < least {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(field::invalid(&at, seconds, detail));
    }
    if seconds > most {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(field::invalid(&at, seconds, detail));
    }
    // The path is named as one of the volume.
    if checks::required(errors, projection, "path", volume, "") {
        let file = tree::text(projection, "path");
        place(errors, file, &volume.child("path"));
    }
}

fn trust_bundle(errors: &mut ErrorList, bundle: &Value, path: &Path) {
    let text = |name: &str| tree::get(bundle, name).and_then(Value::as_str);
    let selector = tree::get(bundle, "labelSelector");
    let at = path.child("labelSelector");
    match (text("name"), text("signerName")) {
        (Some(_), Some(_)) => {
            let detail = "only one of name and signerName may be used";
            errors.push(field::invalid(path, bundle, detail));
        }
        (Some(name), None) => {
            bundle_name(errors, name, &path.child("name"));
            if selector.is_some() {
                let detail = "labelSelector must be unset if name is specified";
                errors.push(field::invalid(&at, selector, detail));
            }
        }
        (None, Some(name)) => {
            if name.is_empty() {
                let detail = "must be a valid signer name";
                errors.push(field::required(&path.child("signerName"), detail));
            }
            signer::validate(errors, name, &path.child("signerName"));
            if let Some(selector) = selector {
                errors.append(checks::label_selector(selector, &at));
            }
        }
        (None, None) => {
            let detail = "either name or signerName must be specified";
            errors.push(field::required(path, detail));
        }
    }
}

/// The name of a trust bundle begins with its signer, if it has one (`ValidateClusterTrustBundleName`).
fn bundle_name(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(field::required(path, "must be a valid object name"));
    }
    // What stands before the last colon is the signer, with colons for slashes.
    let own = match name.rsplit_once(':') {
        Some((signer, _)) if signer.contains('/') => {
            let signer = signer.replace(':', "/");
            let detail = format!(
                "not a valid clustertrustbundlename: ClusterTrustBundle for signerName {signer} must be named with prefix {}:",
                signer.replace('/', ":")
            );
            errors.push(field::invalid(path, name, detail));
            return;
        }
        Some((signer, own)) if !signer.is_empty() => own,
        Some(_) => {
            let detail = "not a valid clustertrustbundlename: ClusterTrustBundle without signer name must not have \":\" in its name";
            errors.push(field::invalid(path, name, detail));
            return;
        }
        None => name,
    };
    let outcome = names::is_dns1123_subdomain(own);
    for message in outcome.err().into_iter().flatten() {
        let detail = format!("not a valid clustertrustbundlename: {message}");
        errors.push(field::invalid(path, name, detail));
    }
}

fn certificate<'a>(
    errors: &mut ErrorList,
    projection: &'a Value,
    path: &Path,
    places: &mut Places<'a>,
) {
    let name = tree::text(projection, "signerName");
    signer::validate(errors, name, &path.child("signerName"));
    annotations(errors, projection, &path.child("userAnnotations"));
    let key = tree::text(projection, "keyType");
    if !KEYS.contains(&key) {
        errors.push(field::not_supported(&path.child("keyType"), key, &KEYS));
    }
    expiration(errors, projection, &path.child("maxExpirationSeconds"));
    let mut count = 0;
    for name in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let file = tree::text(projection, name);
        if !file.is_empty() {
            count += 1;
            place(errors, file, &path.child(name));
            places.take(errors, file, file);
        }
    }
    if count == 0 {
        let detail =
            "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(field::required(path, detail));
    }
}

fn expiration(errors: &mut ErrorList, projection: &Value, path: &Path) {
    let Some(seconds) = tree::int(projection, "maxExpirationSeconds") else {
        return;
    };
    let [least, most_of_own, most_of_others] = CERTIFICATE_SECONDS;
    if seconds < least {
        let detail = format!("if provided, maxExpirationSeconds must be >= {least}");
        errors.push(field::invalid(path, seconds, detail));
    }
    let most = if signer::is_of_kubernetes(tree::text(projection, "signerName")) {
        most_of_own
    } else {
        most_of_others
    };
    if seconds > most {
        let detail = format!("if provided, maxExpirationSeconds must be <= {most}");
        errors.push(field::invalid(path, seconds, detail));
    }
}

/// Annotations for the signer, whose keys have a domain (`ValidateUserAnnotations`).
fn annotations(errors: &mut ErrorList, projection: &Value, path: &Path) {
    for key in tree::map(projection, "userAnnotations").keys() {
        let key = key.to_lowercase();
        let outcome = names::is_qualified_name(&key);
        if key.is_empty() {
            errors.push(field::required(path, ""));
        } else if outcome.is_ok() && !key.contains('/') {
            let detail = "must be a domain-prefixed key (such as \"acme.io/foo\")";
            errors.push(field::invalid(path, key, detail));
        } else {
            errors.check(path, key, outcome);
        }
    }
    if annotations_bytes(projection, "userAnnotations") > ANNOTATIONS_LIMIT_BYTES {
        errors.push(field::too_long(path, ANNOTATIONS_LIMIT_BYTES));
    }
}
