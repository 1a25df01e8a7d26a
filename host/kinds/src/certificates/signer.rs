//! Names of signers, as certificates, trust bundles and volumes write them (`ValidateSignerName`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names::{self, Checked};
use k3s_meta::quote::quote;

const MAX_DOMAIN_BYTES: usize = 253;
/// A label, a dot and a subdomain.
const MAX_PATH_BYTES: usize = 253 + 63 + 1;

/// Validates a name of the form `domain.example/path`.
pub(crate) fn validate(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let segments: Vec<&str> = name.split('/').collect();
    let [domain, signer] = segments.as_slice() else {
        let detail =
            "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(field::invalid(path, name, detail));
        return;
    };
    if domain.len() > MAX_DOMAIN_BYTES {
        errors.push(field::too_long(path, MAX_DOMAIN_BYTES));
    }
    labels(errors, domain, path, names::is_dns1123_label);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(field::invalid(path, *domain, detail));
    }
    labels(errors, signer, path, names::is_dns1123_subdomain);
    let most = MAX_DOMAIN_BYTES + MAX_PATH_BYTES + 1;
    if name.len() > most {
        errors.push(field::too_long(path, most));
    }
}

/// Names what is wrong with the first bad label of `part`.
fn labels(errors: &mut ErrorList, part: &str, path: &Path, rule: fn(&str) -> Checked) {
    let mut all = part.split('.').map(|label| (label, rule(label)));
    let Some((label, Err(violations))) = all.find(|(_, outcome)| outcome.is_err()) else {
        return;
    };
    for violation in violations {
        let detail = format!("validating label {}: {violation}", quote(label));
        errors.push(field::invalid(path, part, detail));
    }
}

/// Whether a signer is one of the system's own.
pub(crate) fn is_of_kubernetes(name: &str) -> bool {
    let domain = name.split('/').next().unwrap_or_default();
    domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_has_a_domain_and_a_path() {
        let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
        for (name, text) in [
            ("", "s: Required value".to_owned()),
            (
                "a.b",
                "s: Invalid value: \"a.b\": must be a fully qualified domain and path of the form 'example.com/signer-name'".to_owned(),
            ),
            (
                "a/b",
                "s: Invalid value: \"a\": should be a domain with at least two segments separated by dots".to_owned(),
            ),
            (
                "A.B/c",
                format!("s: Invalid value: \"A.B\": validating label \"A\": {label}"),
            ),
        ] {
            let mut errors = ErrorList::new();
            validate(&mut errors, name, &Path::new("s"));
            assert_eq!(errors.to_string(), text);
        }
        let mut errors = ErrorList::new();
        validate(&mut errors, "example.com/a.b", &Path::new("s"));
        assert!(errors.is_empty());
    }
}
