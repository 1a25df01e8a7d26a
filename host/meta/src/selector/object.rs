//! Label selectors as objects: `matchLabels` and `matchExpressions`.

use k3s_base::error::Sentence;
use serde_json::Value;

use super::label::{LabelSelector, Operator, Requirement};
use crate::field::Path;
use crate::quote::quote;

/// Reads a `metav1.LabelSelector`, as upstream's `LabelSelectorAsSelector`.
pub(super) fn from_value(v: &Value) -> Result<LabelSelector, Sentence> {
    if v.is_null() {
        return Ok(LabelSelector::nothing());
    }
    let mut requirements = Vec::new();
    for (key, value) in v
        .get("matchLabels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str().unwrap_or("").to_owned();
        requirements.push(checked(key, Operator::In, vec![value])?);
    }
    for expression in v
        .get("matchExpressions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        requirements.push(requirement(expression)?);
    }
    Ok(LabelSelector::new(requirements))
}

fn requirement(expression: &Value) -> Result<Requirement, Sentence> {
    let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or("");
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        // Node selector terms have these two; label selectors of workloads are validated before.
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        other => {
            let shown = quote(other);
            return Err(format!("{shown} is not a valid label selector operator").into());
        }
    };
    let values = expression
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let values = values
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    checked(text("key"), operator, values)
}

fn checked(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, Sentence> {
    Requirement::new(&Path::root(), key, operator, values).map_err(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use crate::selector::LabelSelector;
    use serde_json::json;

    #[test]
    fn reads_objects() {
        let labels = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        let table = [
            (json!(null), false),
            (json!({}), true),
            (json!({"matchLabels": {"a": "1"}}), true),
            (json!({"matchLabels": {"a": "2"}}), false),
            (
                json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["2"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["2"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "c", "operator": "DoesNotExist"}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "c", "operator": "Exists"}]}),
                false,
            ),
        ];
        for (selector, want) in table {
            assert_eq!(
                LabelSelector::from_value(&selector)
                    .unwrap()
                    .matches_object(&labels),
                want,
                "{selector}"
            );
        }
    }

    #[test]
    fn refuses() {
        let bad = json!({"matchExpressions": [{"key": "b", "operator": "Near"}]});
        assert_eq!(
            LabelSelector::from_value(&bad).unwrap_err(),
            "\"Near\" is not a valid label selector operator".into()
        );
        let bad = json!({"matchExpressions": [{"key": "b", "operator": "In"}]});
        let want =
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty";
        assert_eq!(LabelSelector::from_value(&bad).unwrap_err(), want.into());
    }
}
