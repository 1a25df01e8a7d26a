//! Validation of `spec.successPolicy` (`validateSuccessPolicy`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::indexes;
use crate::checks;

const MAX_RULES: usize = 20;
const MAX_INDEXES_BYTES: usize = 64 * 1024;

pub(super) fn validate(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(policy) = tree::get(spec, "successPolicy") else {
        return;
    };
    let path = path.child("successPolicy");
    if tree::text(spec, "completionMode") != "Indexed" {
        let detail = "requires indexed completion mode";
        errors.push(field::invalid(&path, policy, detail));
        return;
    }
    let rules = tree::list(policy, "rules");
    let path = path.child("rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(field::required(&path, detail));
    }
    if rules.len() > MAX_RULES {
        errors.push(field::too_many(&path, rules.len(), MAX_RULES));
    }
    let completions = tree::int(spec, "completions").unwrap_or(0);
    for (index, rule) in rules.iter().enumerate() {
        self::rule(errors, rule, completions, &path.index(index));
    }
}

fn rule(errors: &mut ErrorList, rule: &Value, completions: i64, path: &Path) {
    let count = tree::int(rule, "succeededCount");
    let listed = tree::get(rule, "succeededIndexes").and_then(Value::as_str);
    if count.is_none() && listed.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(field::required(path, detail));
    }
    let total =
        listed.map(|text| self::listed(errors, text, completions, &path.child("succeededIndexes")));
    let Some(count) = count else { return };
    checks::not_negative(errors, rule, "succeededCount", path);
    let at = path.child("succeededCount");
    if count > completions {
        let detail = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        errors.push(field::invalid(&at, count, detail));
    }
    if let Some(total) = total.filter(|total| count > *total) {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(field::invalid(&at, count, detail));
    }
}

/// How many indexes the text names.
fn listed(errors: &mut ErrorList, text: &str, completions: i64, path: &Path) -> i64 {
    if text.len() > MAX_INDEXES_BYTES {
        errors.push(field::too_long(path, MAX_INDEXES_BYTES));
    }
    indexes::count(text, completions).unwrap_or_else(|why| {
        let detail = format!("error parsing succeededIndexes: {why}");
        errors.push(field::invalid(path, text, detail));
        0
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_success_policy_is_checked_in_upstreams_words() {
        let at = "spec.successPolicy";
        for (mode, rules, expected) in [
            ("Indexed", json!([{"succeededCount": 2}]), String::new()),
            ("Indexed", json!([{"succeededIndexes": "0-1,3", "succeededCount": 3}]), String::new()),
            (
                "NonIndexed",
                json!([{"succeededCount": 2}]),
                "requires indexed completion mode".to_owned(),
            ),
            (
                "Indexed",
                json!([]),
                format!("{at}.rules: Required value: at least one rules must be specified when the successPolicy is specified"),
            ),
            (
                "Indexed",
                json!([{}]),
                format!("{at}.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"),
            ),
            (
                "Indexed",
                json!([{"succeededCount": 6}]),
                "must be less than or equal to 5 (the number of specified completions)".to_owned(),
            ),
            (
                "Indexed",
                json!([{"succeededIndexes": "0,1", "succeededCount": 3}]),
                "must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)".to_owned(),
            ),
            (
                "Indexed",
                json!([{"succeededIndexes": "5"}]),
                "error parsing succeededIndexes: too large index: \"5\"".to_owned(),
            ),
            (
                "Indexed",
                json!([{"succeededIndexes": "2,1"}]),
                "non-increasing order, previous: 2, current: 1".to_owned(),
            ),
            (
                "Indexed",
                json!([{"succeededIndexes": "a"}]),
                "cannot convert string to integer for index: \"a\"".to_owned(),
            ),
        ] {
            let spec = json!({"completionMode": mode, "completions": 5, "successPolicy": {"rules": rules}});
            let mut errors = ErrorList::new();
            validate(&mut errors, &spec, &Path::new("spec"));
            let text = errors.to_string();
            assert_eq!(errors.is_empty(), expected.is_empty(), "{rules}: {text}");
            assert!(text.ends_with(&expected), "{rules}: {text}");
        }
    }
}
