//! Disks over iSCSI.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::{Owner, disks};
use crate::checks;

/// Longest `NAME:PORTAL` of a volume with an initiator of its own.
const MAX_SESSION_BYTES: usize = 64;
const TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
const FORM: &str = "must be valid format";

pub(super) fn validate(errors: &mut ErrorList, source: &Value, path: &Path, owner: Owner<'_>) {
    checks::required(errors, source, "targetPortal", path, "");
    if let Owner::PersistentVolume(name) = owner
        && is_too_long(source, name)
    {
        let portal = tree::text(source, "targetPortal");
        errors.push(field::invalid(
            &path.child("targetportal"),
            portal,
            TOO_LONG,
        ));
    }
    let unknown = match owner {
        Owner::Pod => "must be valid format starting with iqn, eui, or naa",
        Owner::PersistentVolume(_) => FORM,
    };
    if checks::required(errors, source, "iqn", path, "") {
        qualified(
            errors,
            tree::text(source, "iqn"),
            &path.child("iqn"),
            unknown,
        );
    }
    let lun = tree::int(source, "lun").unwrap_or(0);
    disks::unit(errors, lun, &path.child("lun"));
    let authenticates =
        tree::flag(source, "chapAuthDiscovery") || tree::flag(source, "chapAuthSession");
    match tree::get(source, "secretRef") {
        None if authenticates => errors.push(field::required(&path.child("secretRef"), "")),
        Some(secret) if !owner.is_pod() => {
            checks::required(errors, secret, "name", &path.child("secretRef"), "");
        }
        _ => {}
    }
    if let Some(initiator) = tree::get(source, "initiatorName").and_then(Value::as_str) {
        // Upstream writes the field so.
        qualified(errors, initiator, &path.child("initiatorname"), unknown);
    }
}

/// Validates that the name of a pod's volume leaves room for its portal.
pub(in super::super) fn session_of_pod(
    errors: &mut ErrorList,
    source: &Value,
    volume: &str,
    path: &Path,
) {
    if is_too_long(source, volume) {
        errors.push(field::invalid(path, volume, TOO_LONG));
    }
}

fn is_too_long(source: &Value, volume: &str) -> bool {
    let portal = tree::text(source, "targetPortal");
    let bytes = volume.len().saturating_add(portal.len()).saturating_add(1);
    tree::get(source, "initiatorName").is_some() && bytes > MAX_SESSION_BYTES
}

fn qualified(errors: &mut ErrorList, name: &str, path: &Path, unknown: &str) {
    let detail = match name.get(..3) {
        Some("iqn") if !is_iqn(name) => FORM,
        Some("eui") if !is_number(name, 16) => FORM,
        Some("naa") if !is_number(name, 32) => FORM,
        Some("iqn" | "eui" | "naa") => return,
        _ => unknown,
    };
    errors.push(field::invalid(path, name, detail));
}

/// `iqn.2001-04.com.example:storage`; upstream looks for it anywhere in the name.
fn is_iqn(name: &str) -> bool {
    name.match_indices("iqn.").any(|(at, prefix)| {
        let rest = name.get(at.saturating_add(prefix.len())..);
        rest.is_some_and(is_dated)
    })
}

fn is_dated(rest: &str) -> bool {
    let Some((date, domain)) = rest.split_once('.') else {
        return false;
    };
    let is_date = date.len() == 7
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let Some((authority, unique)) = domain.split_once(':') else {
        return false;
    };
    is_date
        && !authority.is_empty()
        && authority
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !unique.is_empty()
        && !unique.contains([',', ';', '*', '&', '$', '|', '\t', '\n', '\x0c', '\r', ' '])
}

/// `eui.02004567A425678D`, with so many digits behind any separator.
fn is_number(name: &str, digits: usize) -> bool {
    let mut rest = name.chars().skip(3);
    rest.next().is_some_and(|separator| separator != '\n')
        && rest.clone().count() == digits
        && rest.all(|digit| digit.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_initiators_have_one_of_three_forms() {
        for name in [
            "iqn.2001-04.com.example:storage.disk1",
            "iqn.2001-04.com.example:a:b",
            "eui.02004567A425678D",
            "naa.62004567BA64678D0123456789ABCDEF",
        ] {
            let mut errors = ErrorList::new();
            qualified(&mut errors, name, &Path::new("iqn"), "odd");
            assert!(errors.is_empty(), "{name}");
        }
        for (name, detail) in [
            ("iqn.2001-04.com.example", FORM),
            ("iqn.2001-4.com:a", FORM),
            ("iqn.2001-04.com.example:a b", FORM),
            ("iqn.2001-04.:a", FORM),
            ("eui.02004567A425678", FORM),
            ("naa.1", FORM),
            ("10.0.0.1", "odd"),
            ("", "odd"),
        ] {
            let mut errors = ErrorList::new();
            qualified(&mut errors, name, &Path::new("iqn"), "odd");
            assert_eq!(
                errors.to_string(),
                format!("iqn: Invalid value: {name:?}: {detail}")
            );
        }
    }
}
