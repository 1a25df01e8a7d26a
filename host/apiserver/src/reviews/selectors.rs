//! What a review says of selectors that cannot be read (`BuildEvaluationError` of
//! `pkg/registry/authorization/util/helpers.go`). What can be read of one goes on to count.

use k3s_meta::selector::{Operator, Requirement};
use k3s_meta::{FieldSelector, LabelSelector, Path, tree};
use serde_json::Value;

/// What became of the requirements of a selector.
#[derive(Default)]
struct Outcome {
    understood: usize,
    failed: bool,
}

impl Outcome {
    fn of(results: impl Iterator<Item = bool>) -> Self {
        let mut outcome = Self::default();
        for understood in results {
            outcome.understood += usize::from(understood);
            outcome.failed |= !understood;
        }
        outcome
    }

    fn of_text(requirements: Option<usize>) -> Self {
        Self {
            understood: requirements.unwrap_or(0),
            failed: requirements.is_none(),
        }
    }
}

/// The complaints about both selectors of a review, in one text; empty where there are none.
pub(super) fn complaints(review: &Value) -> String {
    let complaints = [
        complaint(review, "fieldSelector", fields),
        complaint(review, "labelSelector", labels),
    ];
    let told: Vec<String> = complaints.into_iter().flatten().collect();
    told.join("; ")
}

fn complaint(review: &Value, name: &str, read: fn(&Value) -> Outcome) -> Option<String> {
    let path = format!("spec.resourceAttributes.{name}");
    let outcome = read(tree::get(review, &path)?);
    let partially = if outcome.understood > 0 {
        "partially "
    } else {
        ""
    };
    outcome
        .failed
        .then(|| format!("{path} {partially}ignored due to parse error"))
}

fn fields(selector: &Value) -> Outcome {
    let requirements = tree::list(selector, "requirements");
    if requirements.is_empty() {
        let parsed = FieldSelector::parse(tree::text(selector, "rawSelector"));
        return Outcome::of_text(parsed.ok().map(|selector| selector.requirements().len()));
    }
    Outcome::of(requirements.iter().map(|requirement| {
        matches!(tree::text(requirement, "operator"), "In" | "NotIn")
            && tree::list(requirement, "values").len() == 1
    }))
}

fn labels(selector: &Value) -> Outcome {
    let requirements = tree::list(selector, "requirements");
    if requirements.is_empty() {
        let parsed = LabelSelector::parse(tree::text(selector, "rawSelector"));
        return Outcome::of_text(parsed.ok().map(|selector| selector.requirements().len()));
    }
    Outcome::of(requirements.iter().map(|requirement| {
        let operator = match tree::text(requirement, "operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return false,
        };
        let values = tree::texts(requirement, "values").into_iter();
        let values = values.map(str::to_owned).collect();
        let key = tree::text(requirement, "key");
        Requirement::new(&Path::new("key"), key, operator, values).is_ok()
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_that_cannot_be_read_are_told() {
        let good = json!({"key": "a", "operator": "In", "values": ["b"]});
        let bad = json!({"key": "a", "operator": ""});
        for (attributes, want) in [
            (json!({}), ""),
            (
                json!({"labelSelector": {"rawSelector": "a in (b)"}, "fieldSelector": {"requirements": [good]}}),
                "",
            ),
            (
                json!({"labelSelector": {"requirements": [bad]}}),
                "spec.resourceAttributes.labelSelector ignored due to parse error",
            ),
            (
                json!({"labelSelector": {"rawSelector": "a in"}, "fieldSelector": {"requirements": [bad, good]}}),
                "spec.resourceAttributes.fieldSelector partially ignored due to parse error; \
                 spec.resourceAttributes.labelSelector ignored due to parse error",
            ),
        ] {
            let review = json!({"spec": {"resourceAttributes": attributes}});
            assert_eq!(complaints(&review), want, "{review}");
        }
    }
}
