//! What the reviews of access have in common.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;
use crate::equality::semantic_eq;

const RESOURCE: &str = "spec.resourceAttributes";
const OTHER: &str = "spec.nonResourceAttributes";

/// Errors of a review about anybody.
pub(super) fn of_subject(review: &Value) -> ErrorList {
    let mut errors = attributes(review);
    errors.append(subject(review));
    errors.append(selectors(review));
    errors
}

/// Errors of a review about the user who asks.
pub(super) fn of_self(review: &Value) -> ErrorList {
    let mut errors = attributes(review);
    errors.append(selectors(review));
    errors
}

/// A review is a question and no object: its metadata says nothing but the fields that `kept` names.
pub(super) fn metadata(review: &Value, kept: &[&str], detail: &str) -> ErrorList {
    let mut rest = tree::get(review, "metadata").cloned().unwrap_or_default();
    for field in kept.iter().chain(&["managedFields"]) {
        tree::remove(&mut rest, field);
    }
    if semantic_eq(Some(&rest), None) {
        return ErrorList::new();
    }
    let shown = tree::get(review, "metadata");
    field::invalid(&Path::new("metadata"), shown, detail).into()
}

/// Exactly one of the two kinds of attributes.
fn attributes(review: &Value) -> ErrorList {
    let [resource, other] = [RESOURCE, OTHER].map(|path| tree::get(review, path));
    match (resource, other) {
        (Some(_), Some(_)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            field::invalid(&Path::new(OTHER), other, detail).into()
        }
        (None, None) => {
            let detail =
                "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            field::invalid(&Path::new(RESOURCE), &Value::Null, detail).into()
        }
        _ => ErrorList::new(),
    }
}

/// A review has to name a user or group.
fn subject(review: &Value) -> ErrorList {
    if tree::has(review, "spec.user") || tree::has(review, "spec.groups") {
        return ErrorList::new();
    }
    let detail = "at least one of user or group must be specified";
    field::invalid(&Path::new("spec.user"), "", detail).into()
}

/// Selectors of a list or watch that is asked about. Operators of newer clients are let through, since a request is
/// never refused for what only narrows it.
fn selectors(review: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for name in ["fieldSelector", "labelSelector"] {
        let path = Path::new(RESOURCE).child(name);
        let Some(selector) = tree::get(review, path.as_str()) else {
            continue;
        };
        let requirements = tree::list(selector, "requirements");
        let raw = tree::text(selector, "rawSelector");
        if !raw.is_empty() && !requirements.is_empty() {
            let detail = "may not specified at the same time as requirements";
            errors.push(field::invalid(&path.child("rawSelector"), raw, detail));
        }
        if raw.is_empty() && requirements.is_empty() {
            let detail =
                format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(field::required(&path.child("requirements"), detail));
        }
        for (index, requirement) in requirements.iter().enumerate() {
            let at = path.child("requirements").index(index);
            if name == "labelSelector" {
                checks::operator(&mut errors, requirement, None, &at);
                checks::label_terms(&mut errors, requirement, &at);
            } else {
                checks::required(&mut errors, requirement, "key", &at, "must be specified");
                checks::operator(&mut errors, requirement, None, &at);
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mistakes_are_worded_as_upstream() {
        for (attributes, expected) in [
            (json!({"verb": "get"}), vec![]),
            (
                json!({"fieldSelector": {}, "labelSelector": {"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "New"}]}}),
                vec![
                    "fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required",
                    "labelSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same time as requirements",
                ],
            ),
            (
                json!({"fieldSelector": {"requirements": [{"operator": "In"}]}, "labelSelector": {"requirements": [{"key": "", "operator": "Exists", "values": ["a"]}]}}),
                vec![
                    "fieldSelector.requirements[0].key: Required value: must be specified",
                    "fieldSelector.requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
                    "labelSelector.requirements[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                    "labelSelector.requirements[0].key: Invalid value: \"\": name part must be non-empty",
                ],
            ),
        ] {
            let review = json!({"spec": {"resourceAttributes": attributes}});
            let texts: Vec<String> = of_self(&review).iter().map(ToString::to_string).collect();
            for text in &expected {
                let text = format!("{RESOURCE}.{text}");
                assert!(texts.contains(&text), "{text} is not in {texts:?}");
            }
            assert_eq!(texts.is_empty(), expected.is_empty(), "{texts:?}");
        }
    }

    #[test]
    fn a_review_has_no_metadata() {
        for (metadata, is_refused) in [
            (json!({}), false),
            (
                json!({"creationTimestamp": null, "namespace": "a", "managedFields": [{}]}),
                false,
            ),
            (json!({"labels": {}}), false),
            (json!({"labels": {"a": "b"}}), true),
        ] {
            let review = json!({"metadata": metadata});
            let errors = super::metadata(&review, &["namespace"], "must be empty");
            assert_eq!(!errors.is_empty(), is_refused, "{review}");
        }
    }
}
