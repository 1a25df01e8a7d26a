//! Names of drivers, pools, devices and their attributes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names;

use crate::checks::{self, Check};

const MAX_POOL_BYTES: usize = 253;
/// Longest domain of an attribute.
const MAX_DOMAIN_BYTES: usize = 63;
const MAX_IDENTIFIER_BYTES: usize = 32;
/// Longest name of an attribute with its domain.
pub(super) const MAX_QUALIFIED_BYTES: usize = MAX_DOMAIN_BYTES + 1 + MAX_IDENTIFIER_BYTES;
const IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";

pub(super) fn pool(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    if name.len() > MAX_POOL_BYTES {
        errors.push(field::too_long(path, MAX_POOL_BYTES));
    }
    for part in name.split('/') {
        errors.check(path, part, names::is_dns1123_subdomain(part));
    }
}

/// A name of an attribute or a capacity, with or without a domain.
pub(super) fn qualified(errors: &mut ErrorList, name: &str, path: &Path) {
    // Names of more parts are not looked at, as upstream has it.
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [name] => identifier(errors, name, path),
        [domain, name] => {
            if domain.is_empty() {
                errors.push(field::invalid(path, "", "the domain must not be empty"));
            } else {
                checks::driver_name(errors, domain, path);
            }
            if name.is_empty() {
                errors.push(field::invalid(path, "", "the name must not be empty"));
            } else {
                identifier(errors, name, path);
            }
        }
        _ => {}
    }
}

/// A name with a domain.
pub(super) fn fully_qualified(errors: &mut ErrorList, name: &str, path: &Path) {
    qualified(errors, name, path);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(field::invalid(path, name, detail));
    }
}

fn identifier(errors: &mut ErrorList, name: &str, path: &Path) {
    if name.len() > MAX_IDENTIFIER_BYTES {
        errors.push(field::too_long(path, MAX_IDENTIFIER_BYTES));
    }
    let is_start = |it: char| it.is_ascii_alphabetic() || it == '_';
    let is_identifier =
        name.starts_with(is_start) && name.chars().all(|it| is_start(it) || it.is_ascii_digit());
    if !is_identifier {
        errors.push(field::invalid(path, name, IDENTIFIER));
    }
}

/// The identifier of a share (`validateUID`).
pub(super) fn uid(errors: &mut ErrorList, uid: &str, path: &Path) {
    let groups: Vec<&str> = uid.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    if lengths != [8, 4, 4, 4, 12] || !groups.iter().all(is_hex) {
        let why = if uid.len() == 36 {
            "invalid UUID format".to_owned()
        } else {
            format!("invalid UUID length: {}", uid.len())
        };
        let detail = format!("error validating uid: {why}");
        errors.push(field::invalid(path, uid, detail));
    } else if uid.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.push(field::invalid(path, uid, detail));
    }
}
