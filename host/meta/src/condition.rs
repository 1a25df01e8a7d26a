//! Conditions in the status of a dynamic object.

use serde_json::Value;

use crate::tree;

/// Adds `condition` to `conditions`, or changes the one of its type: what it does not say stays, and
/// `lastTransitionTime` moves only with `status` (`meta.SetStatusCondition` of apimachinery).
pub fn set(conditions: &mut Vec<Value>, mut condition: Value, now: &str) {
    let kind = tree::text(&condition, "type");
    let place = conditions
        .iter()
        .position(|other| tree::text(other, "type") == kind);
    let old = place.and_then(|at| conditions.get_mut(at));
    let since = old
        .as_ref()
        .filter(|old| tree::text(old, "status") == tree::text(&condition, "status"))
        .map(|old| tree::text(old, "lastTransitionTime"))
        .filter(|since| !since.is_empty())
        .unwrap_or(now)
        .to_owned();
    tree::set(&mut condition, "lastTransitionTime", since);
    match (old, condition) {
        (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
        (Some(old), new) => *old = new,
        (None, new) => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_moves_with_the_status_and_what_others_wrote_stays() {
        let mut conditions = vec![json!({"type": "Other"})];
        let ready = |status: &str| json!({"type": "Ready", "status": status, "reason": status});
        set(&mut conditions, ready("False"), "t1");
        conditions[1]["observedGeneration"] = 3.into();
        set(&mut conditions, ready("False"), "t2");
        assert_eq!(conditions[1]["lastTransitionTime"], "t1");
        set(&mut conditions, ready("True"), "t3");
        let expected = json!({"type": "Ready", "status": "True", "reason": "True",
            "lastTransitionTime": "t3", "observedGeneration": 3});
        assert_eq!(conditions, [json!({"type": "Other"}), expected]);
    }
}
