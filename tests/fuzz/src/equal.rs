//! When two trees say the same.

use k3s_meta::Quantity;
use serde_json::Value;

/// Whether two trees are equal up to the last digit of floating-point numbers, which JSON in decimal digits may lose, and
/// the form of quantities: upstream's `2000000` of `1953.125Ki` is `2M` when it is read again.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| left.0 == right.0 && same(left.1, right.1))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::String(left), Value::String(right)) => left == right || same_quantity(left, right),
        (Value::Number(left), Value::Number(right)) if left.is_f64() && right.is_f64() => {
            same_number(left.as_f64(), right.as_f64())
        }
        (left, right) => left == right,
    }
}

fn same_quantity(left: &str, right: &str) -> bool {
    match (Quantity::parse(left), Quantity::parse(right)) {
        (Ok(left), Ok(right)) => left == right,
        _ => false,
    }
}

fn same_number(left: Option<f64>, right: Option<f64>) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        return false;
    };
    (left - right).abs() <= left.abs() * 1e-14
}

/// How many values are in a tree.
pub(crate) fn count(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        _ => 1,
    }
}
