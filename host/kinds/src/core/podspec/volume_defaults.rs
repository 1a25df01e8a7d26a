//! Defaults of the volumes of a pod spec.

use k3s_meta::tree;
use serde_json::{Value, json};

use super::defaults::divisor;
use super::image::pull_policy;
use crate::core::persistentvolumeclaim::defaults as claim_defaults;
use crate::quantity;

/// rw-r--r--, decimal as JSON has it.
const DEFAULT_MODE: i64 = 0o644;
/// Lifetime of a projected service account token, one hour.
const TOKEN_SECONDS: i64 = 3600;

/// Defaults of one volume.
pub(super) fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, |map| {
        map.iter()
            .filter(|(key, value)| *key != "name" && !value.is_null())
            .count()
    });
    if sources == 0 {
        tree::set(volume, "emptyDir", json!({}));
    }
    quantity::canonical(volume, "emptyDir.sizeLimit");
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = tree::get_mut(volume, source) {
            tree::set_missing(source, "defaultMode", DEFAULT_MODE);
        }
    }
    if let Some(path) = tree::get_mut(volume, "hostPath") {
        tree::set_missing(path, "type", "");
    }
    tree::each_mut(volume, "downwardAPI.items").for_each(downward_item);
    tree::each_mut(volume, "projected.sources").for_each(projection);
    if let Some(image) = tree::get_mut(volume, "image") {
        let policy = pull_policy(tree::text(image, "reference"));
        tree::set_zero(image, "pullPolicy", policy);
    }
    if let Some(claim) = tree::get_mut(volume, "ephemeral.volumeClaimTemplate") {
        tree::set_missing(claim, "metadata", json!({}));
        if let Some(spec) = tree::get_mut(claim, "spec") {
            claim_defaults::default_spec(spec);
        }
    }
    legacy(volume);
}

fn projection(source: &mut Value) {
    if let Some(token) = tree::get_mut(source, "serviceAccountToken") {
        tree::set_missing(token, "expirationSeconds", TOKEN_SECONDS);
    }
    tree::each_mut(source, "downwardAPI.items").for_each(downward_item);
}

fn downward_item(item: &mut Value) {
    if let Some(field) = tree::get_mut(item, "fieldRef") {
        tree::set_zero(field, "apiVersion", "v1");
    }
    if let Some(resource) = tree::get_mut(item, "resourceFieldRef") {
        divisor(resource);
    }
}

/// In-tree sources with defaults of their own; persistent volumes carry the same ones.
pub(crate) fn legacy(source: &mut Value) {
    const DEFAULTS: &[(&str, &str, &str)] = &[
        ("iscsi", "iscsiInterface", "default"),
        ("rbd", "pool", "rbd"),
        ("rbd", "user", "admin"),
        ("rbd", "keyring", "/etc/ceph/keyring"),
        ("scaleIO", "storageMode", "ThinProvisioned"),
        ("scaleIO", "fsType", "xfs"),
    ];
    for (kind, field, text) in DEFAULTS {
        if let Some(source) = tree::get_mut(source, kind) {
            tree::set_zero(source, field, *text);
        }
    }
    if let Some(disk) = tree::get_mut(source, "azureDisk") {
        for (field, text) in [
            ("cachingMode", "ReadWrite"),
            ("kind", "Shared"),
            ("fsType", "ext4"),
        ] {
            tree::set_missing(disk, field, text);
        }
        tree::set_missing(disk, "readOnly", false);
    }
}
