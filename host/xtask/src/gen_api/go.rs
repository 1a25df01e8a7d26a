//! What the schema does not say about Go's structs, but the wire shows: what becomes of zero values.

use super::facts::{strings, text};
use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// The package whose kinds are stored as JSON. All others are stored as protobuf, which cannot tell an empty
/// list from none.
const STORED_AS_JSON: &str = "io.k8s.apiextensions-apiserver.";

/// What Go's encoder does with zero values, as bits of `schema::Field`.
pub(super) fn encoding_flags(owner: &str, spec: &Value) -> u16 {
    let zero = text(spec, "zero");
    let is_null = zero == "null";
    u16::from(zero == "omits") << 8
        | u16::from(zero == "zero") << 9
        | u16::from(is_null) << 10
        | u16::from(is_null && !owner.starts_with(STORED_AS_JSON)) << 11
}

/// Notes at the fields of `types` what `zeros` lists by type: `omits` are plain values in Go with `omitempty`,
/// whose zero is left out when they are written (the schema does not tell them from pointers, whose zero means
/// something: `replicas: 0`); `zero` are values without it, which are written as their zero; `null` are
/// pointers, lists and maps without it, which are written as `null`.
///
/// # Errors
/// When a type or a field is not there, so that the lists follow the types.
pub(super) fn mark_zeros(types: &mut Map<String, Value>, zeros: &Value) -> Result<()> {
    let zeros = zeros.as_object().context("the zeros are not a map")?;
    for (name, lists) in zeros {
        for (zero, fields) in lists
            .as_object()
            .with_context(|| format!("the zeros of {name} are not a map"))?
        {
            for field in strings(fields) {
                let spec = types
                    .get_mut(name)
                    .and_then(|t| t.get_mut("fields")?.get_mut(&field)?.as_object_mut())
                    .with_context(|| format!("no field {name}.{field}"))?;
                spec.insert("zero".into(), zero.as_str().into());
            }
        }
    }
    Ok(())
}
