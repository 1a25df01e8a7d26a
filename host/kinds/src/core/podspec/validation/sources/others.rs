//! Sources of drivers, and of file systems over the network.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::Owner;
use super::references;
use crate::checks::{self, Check};

/// Longest name of a driver.
const MAX_DRIVER_BYTES: usize = 63;
/// Longest tenant of Quobyte.
const MAX_TENANT_BYTES: usize = 64;

pub(super) fn csi(errors: &mut ErrorList, source: &Value, path: &Path, owner: Owner<'_>) {
    driver(errors, source, path);
    if owner.is_pod() {
        let Some(secret) = tree::get(source, "nodePublishSecretRef") else {
            return;
        };
        if checks::required(
            errors,
            secret,
            "name",
            &path.child("nodePublishSecretRef"),
            "",
        ) {
            let name = tree::text(secret, "name");
            // Upstream names the source, not the reference.
            errors.check(&path.child("name"), name, names::is_dns1123_subdomain(name));
        }
        return;
    }
    checks::required(errors, source, "volumeHandle", path, "");
    for name in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        references::strict_secret(errors, source, name, path);
    }
}

/// The name of a CSI driver (`ValidateCSIDriverName`).
fn driver(errors: &mut ErrorList, source: &Value, path: &Path) {
    if !checks::required(errors, source, "driver", path, "") {
        return;
    }
    let (driver, at) = (tree::text(source, "driver"), path.child("driver"));
    if driver.len() > MAX_DRIVER_BYTES {
        errors.push(field::too_long(&at, MAX_DRIVER_BYTES));
    }
    let outcome = names::is_dns1123_subdomain(&driver.to_lowercase());
    errors.check(&at, driver, outcome);
}

/// Options of a flex volume; those of the system are its own.
pub(super) fn flex_options(errors: &mut ErrorList, source: &Value, path: &Path) {
    for option in tree::map(source, "options").keys() {
        let domain = option.split('/').next().unwrap_or_default();
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(field::invalid(&path.key(option), option, detail));
        }
    }
}

pub(super) fn flocker(errors: &mut ErrorList, source: &Value, path: &Path) {
    let name = tree::text(source, "datasetName");
    match (name.is_empty(), tree::has(source, "datasetUUID")) {
        (true, false) => {
            let detail = "one of datasetName and datasetUUID is required";
            errors.push(field::required(path, detail));
        }
        (false, true) => {
            let detail = "datasetName and datasetUUID can not be specified simultaneously";
            errors.push(field::invalid(path, "resource", detail));
        }
        _ => {}
    }
    if name.contains('/') {
        let at = path.child("datasetName");
        errors.push(field::invalid(&at, name, "must not contain '/'"));
    }
}

pub(super) fn quobyte(errors: &mut ErrorList, source: &Value, path: &Path) {
    let (registry, at) = (tree::text(source, "registry"), path.child("registry"));
    let pairs = "must be a host:port pair or multiple pairs separated by commas";
    if registry.is_empty() {
        errors.push(field::required(&at, pairs));
    } else if tree::text(source, "tenant").len() > MAX_TENANT_BYTES {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(field::required(&path.child("tenant"), detail));
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            errors.push(field::invalid(&at, registry, pairs));
        }
    }
    checks::required(errors, source, "volume", path, "");
}

/// Whether Go's `net.SplitHostPort` can split a text.
fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once("]:") {
            Some((host, port)) => (host, port),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, port),
            None => return false,
        },
    };
    !port.contains(':') && ![host, port].iter().any(|part| part.contains(['[', ']']))
}

pub(super) fn storageos(errors: &mut ErrorList, source: &Value, path: &Path, owner: Owner<'_>) {
    checks::required(errors, source, "volumeName", path, "");
    for name in ["volumeName", "volumeNamespace"] {
        let value = tree::text(source, name);
        if !value.is_empty() {
            errors.check(&path.child(name), value, names::is_dns1123_label(value));
        }
    }
    references::secret(errors, source, "secretRef", path, owner);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_ports() {
        for (text, is_pair) in [
            ("a:1", true),
            (":", true),
            ("[::1]:80", true),
            ("a", false),
            ("::1:80", false),
            ("[::1]", false),
            ("[::1]80", false),
            ("[[a]:1", false),
            ("a]:1", false),
            ("", false),
        ] {
            assert_eq!(is_host_and_port(text), is_pair, "{text}");
        }
    }
}
