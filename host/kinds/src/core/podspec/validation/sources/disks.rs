//! Disks that are attached to a machine.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

/// The partition of a disk of AWS or GCE; 0 is the whole disk.
pub(super) fn partition(errors: &mut ErrorList, source: &Value, path: &Path) {
    let partition = tree::int(source, "partition").unwrap_or(0);
    if partition != 0 {
        let outcome = names::in_range(partition, 1, 255);
        errors.check(&path.child("partition"), partition, outcome);
    }
}

pub(super) fn azure(errors: &mut ErrorList, source: &Value, path: &Path) {
    checks::required(errors, source, "diskName", path, "");
    checks::required(errors, source, "diskURI", path, "");
    let modes = ["None", "ReadOnly", "ReadWrite"];
    checks::supported(errors, source, "cachingMode", path, &modes);
    let kinds = ["Dedicated", "Managed", "Shared"];
    checks::supported(errors, source, "kind", path, &kinds);
    let (prefix, form) = match tree::get(source, "kind").and_then(Value::as_str) {
        None => return,
        Some("Managed") => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        Some(_) => (
            "https://",
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
        ),
    };
    let uri = tree::text(source, "diskURI");
    if !uri.starts_with(prefix) {
        errors.push(field::not_supported(&path.child("diskURI"), uri, &[form]));
    }
}

pub(super) fn fibre_channel(errors: &mut ErrorList, source: &Value, path: &Path) {
    let (names, ids) = (tree::has(source, "targetWWNs"), tree::has(source, "wwids"));
    let at = path.child("targetWWNs");
    if !names && !ids {
        let detail = "must specify either targetWWNs or wwids, but not both";
        errors.push(field::required(&at, detail));
    }
    if names && ids {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(field::invalid(&at, tree::get(source, "targetWWNs"), detail));
    }
    if names {
        match tree::int(source, "lun") {
            None => errors.push(field::required(
                &path.child("lun"),
                "lun is required if targetWWNs is specified",
            )),
            Some(lun) => unit(errors, lun, &path.child("lun")),
        }
    }
}

/// The number of a logical unit.
pub(super) fn unit(errors: &mut ErrorList, lun: i64, path: &Path) {
    errors.check(path, lun, names::in_range(lun, 0, 255));
}
