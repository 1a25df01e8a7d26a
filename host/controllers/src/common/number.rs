//! Replica counts and "number or percentage" fields.

use serde_json::Value;

/// Resolves an `IntOrString` field against a total; a percentage rounds up or down. Nothing for a
/// missing or malformed value, which validation keeps out.
pub(crate) fn scaled(value: Option<&Value>, total: i64, round_up: bool) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let product = total.saturating_mul(percent);
            Some(if round_up {
                product.saturating_add(99).div_euclid(100)
            } else {
                product.div_euclid(100)
            })
        }
        _ => None,
    }
}

/// `maxSurge` and `maxUnavailable` of a rolling update. Both zero would never get on, so that
/// becomes one unavailable (upstream `ResolveFenceposts`).
pub(crate) fn fenceposts(
    surge: Option<&Value>,
    unavailable: Option<&Value>,
    total: i64,
) -> (i64, i64) {
    let surge = scaled(surge, total, true).unwrap_or(0);
    let unavailable = scaled(unavailable, total, false).unwrap_or(0);
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// A length as replica counts are written.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A replica count as a length; negative is none.
pub(crate) fn length(count: i64) -> usize {
    usize::try_from(count.max(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn percentages_round_as_asked_and_both_zero_becomes_one() {
        assert_eq!(scaled(Some(&json!("25%")), 3, true), Some(1));
        assert_eq!(scaled(Some(&json!("25%")), 3, false), Some(0));
        assert_eq!(fenceposts(Some(&json!(0)), Some(&json!("10%")), 3), (0, 1));
        assert_eq!(
            fenceposts(Some(&json!("25%")), Some(&json!("25%")), 8),
            (2, 2)
        );
    }
}
