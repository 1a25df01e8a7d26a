//! What the schema does not say about Go's structs, but the wire shows: what becomes of zero values, and which
//! fields that cannot be set.

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
        | u16::from(spec["dropped"] == 1) << 12
}

/// Marks the fields of `types` that upstream empties before it looks at an object, since they are behind a
/// feature gate that is off. `dropped` names by type and field the gate, or another reason.
///
/// # Errors
/// When a type or a field is not there.
pub(super) fn mark_dropped(types: &mut Map<String, Value>, dropped: &Value) -> Result<()> {
    let dropped = dropped.as_object().context("what is dropped is no map")?;
    for (name, fields) in dropped {
        for field in fields.as_object().into_iter().flat_map(Map::keys) {
            spec_of(types, name, field)?.insert("dropped".into(), 1.into());
        }
    }
    Ok(())
}

fn spec_of<'a>(
    types: &'a mut Map<String, Value>,
    name: &str,
    field: &str,
) -> Result<&'a mut Map<String, Value>> {
    let found = types
        .get_mut(name)
        .and_then(|t| t.get_mut("fields")?.get_mut(field)?.as_object_mut());
    found.with_context(|| format!("no field {name}.{field}"))
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
                spec_of(types, name, &field)?.insert("zero".into(), zero.as_str().into());
            }
        }
    }
    Ok(())
}
