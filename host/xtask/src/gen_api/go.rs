//! What the schema does not say about Go's structs, but the wire shows: which zero values are written.

use super::facts::strings;
use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// Fields that Go writes even when nothing is in them: structs that are not pointers, lists without `omitempty`.
const ALWAYS_WRITTEN: [(&str, &[&str]); 8] = [
    ("core.v1.Container", &["resources"]),
    ("core.v1.ContainerStatus", &["lastState", "state"]),
    ("core.v1.EphemeralContainer", &["resources"]),
    ("core.v1.PersistentVolumeClaimSpec", &["resources"]),
    ("core.v1.PodTemplateSpec", &["metadata"]),
    ("core.v1.ServiceStatus", &["loadBalancer"]),
    ("rbac.v1.ClusterRole", &["rules"]),
    ("rbac.v1.Role", &["rules"]),
];

/// What Go's encoder does with zero values. Required numbers and booleans are always written.
pub(super) fn encoding_flags(owner: &str, field: &str, spec: &Value) -> u16 {
    let listed = |table: &[(&str, &[&str])]| {
        table
            .iter()
            .any(|(name, fields)| owner.ends_with(&format!(".{name}")) && fields.contains(&field))
    };
    let number = matches!(
        spec["t"].as_str(),
        Some("boolean" | "integer:int32" | "integer:int64")
    );
    let omits = spec["plain"] == 1;
    let always = listed(&ALWAYS_WRITTEN) || (spec["req"] == 1 && number && !omits);
    u16::from(omits) << 8 | u16::from(always) << 9
}

/// Marks the fields of `types` that `plain` lists by type: plain values in Go with `omitempty`, whose zero is
/// left out when they are written. The schema does not tell them from pointers, whose zero means something
/// (`replicas: 0`).
///
/// # Errors
/// When a type or a field is not there, so that the list follows the types.
pub(super) fn mark_plain(types: &mut Map<String, Value>, plain: &Value) -> Result<()> {
    for (name, fields) in plain
        .as_object()
        .context("the plain fields are not a map")?
    {
        for field in strings(fields) {
            let spec = types
                .get_mut(name)
                .and_then(|t| t.get_mut("fields")?.get_mut(&field)?.as_object_mut())
                .with_context(|| format!("no field {name}.{field}"))?;
            spec.insert("plain".into(), 1.into());
        }
    }
    Ok(())
}
