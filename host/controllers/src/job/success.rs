//! Pure: the success policy.

use k3s_meta::tree;

use super::index::Indexes;
use super::model::Job;

/// The message of the first rule that the succeeded indexes meet.
pub(super) fn met(job: &Job, succeeded: &Indexes) -> Option<String> {
    if succeeded.len() == 0 {
        return None;
    }
    let completions = job.completions.unwrap_or(0);
    let rules = tree::list(job.value(), "spec.successPolicy.rules");
    let at = rules.iter().position(|rule| {
        let count = tree::int(rule, "succeededCount");
        let Some(listed) = tree::get(rule, "succeededIndexes").and_then(|it| it.as_str()) else {
            return count.is_some_and(|count| succeeded.len() >= count);
        };
        let listed = Indexes::parse(listed, completions);
        let shared = listed.shared(succeeded);
        listed.len() > 0 && (shared == listed.len() || count.is_some_and(|count| shared >= count))
    })?;
    Some(format!("Matched rules at index {at}"))
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_first_rule_that_is_met_decides() {
        let indexes = |text: &str| json!({"succeededIndexes": text});
        let both =
            |text: &str, count: i64| json!({"succeededIndexes": text, "succeededCount": count});
        for (rules, succeeded, expected) in [
            (json!([{"succeededCount": 2}]), "0,3", Some(0)),
            (json!([{"succeededCount": 2}]), "0", None),
            (json!([indexes("0-2")]), "0-2,4", Some(0)),
            (json!([indexes("0-2")]), "0,1", None),
            (json!([both("0-4", 2)]), "1,3", Some(0)),
            (json!([both("0-1", 1)]), "3", None),
            (json!([indexes("7"), indexes("1")]), "1", Some(1)),
            (json!([{"succeededCount": 0}]), "", None),
            (Value::Null, "0-4", None),
        ] {
            let spec = json!({"completions": 5, "successPolicy": {"rules": rules}});
            let object = json!({"metadata": {"name": "j"}, "spec": spec});
            let job = Job::read(&Obj::from_value(object).unwrap());
            let met = met(&job, &Indexes::parse(succeeded, 5));
            let expected = expected.map(|at| format!("Matched rules at index {at}"));
            assert_eq!(met, expected, "{rules} {succeeded}");
        }
    }
}
