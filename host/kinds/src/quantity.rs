//! Quantities on the wire.
//!
//! A Go server decodes a quantity and writes it back in canonical form (`0.5` becomes `500m`,
//! `1024Mi` becomes `1Gi`), so that clients which compare what they sent with what is stored rely
//! on it. Text that is no quantity is left for validation to report.

use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use serde_json::Value;

/// Rewrites the quantity at `path` canonically.
pub(crate) fn canonical(object: &mut Value, path: &str) {
    if let Some(value) = tree::get_mut(object, path) {
        rewrite(value);
    }
}

/// Rewrites every quantity of the resource list at `path` canonically, in thousandths at least
/// (`SetDefaults_ResourceList`).
pub(crate) fn canonical_list(object: &mut Value, path: &str) {
    for value in tree::get_mut(object, path)
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|map| map.values_mut())
    {
        rewrite(value);
        if let Some((rounded, true)) = read(value).map(Quantity::rounded_to_milli) {
            *value = Value::String(rounded.to_string());
        }
    }
}

/// `requests` and `limits` of the resource requirements at `path`.
pub(crate) fn canonical_requirements(object: &mut Value, path: &str) {
    canonical_list(object, &format!("{path}.requests"));
    canonical_list(object, &format!("{path}.limits"));
}

/// The quantity that a JSON text or number stands for.
pub(crate) fn read(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text).ok(),
        Value::Number(number) => Quantity::parse(&number.to_string()).ok(),
        _ => None,
    }
}

fn rewrite(value: &mut Value) {
    let written = match value {
        Value::String(text) => Quantity::written(text),
        Value::Number(number) => Quantity::written(&number.to_string()),
        _ => return,
    };
    if let Ok(written) = written {
        *value = Value::String(written);
    }
}
