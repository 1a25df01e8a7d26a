//! Whether a Pod template fits a node: selector, required node affinity, taints.

use k3s_client::Obj;
use k3s_meta::tree;
use serde_json::Value;

use super::pod::Toleration;

/// Whether `nodeSelector` and the required node affinity of a Pod spec allow the node.
pub(crate) fn selected(spec: &Value, node: &Obj) -> bool {
    let plain = tree::get(spec, "nodeSelector").and_then(Value::as_object);
    let plain = plain.is_none_or(|wanted| {
        wanted
            .iter()
            .all(|(name, value)| node.label(name) == value.as_str())
    });
    let required = tree::get(
        spec,
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
    );
    plain
        && required.is_none_or(|required| {
            tree::list(required, "nodeSelectorTerms")
                .iter()
                .any(|term| term_matches(term, node))
        })
}

/// All expressions of a term; a term without any matches nothing.
fn term_matches(term: &Value, node: &Obj) -> bool {
    let (labels, fields) = (
        tree::list(term, "matchExpressions"),
        tree::list(term, "matchFields"),
    );
    (!labels.is_empty() || !fields.is_empty())
        && labels
            .iter()
            .all(|e| expression(e, node.label(tree::text(e, "key"))))
        && fields.iter().all(|e| {
            expression(
                e,
                (tree::text(e, "key") == "metadata.name").then_some(node.name()),
            )
        })
}

fn expression(expression: &Value, actual: Option<&str>) -> bool {
    let values: Vec<&str> = tree::list(expression, "values")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let number = |text: &str| text.parse::<i64>().ok();
    let compare = |holds: fn(i64, i64) -> bool| {
        let wanted = values.first().copied().and_then(number);
        actual
            .and_then(number)
            .zip(wanted)
            .is_some_and(|(have, want)| holds(have, want))
    };
    match tree::text(expression, "operator") {
        "In" => actual.is_some_and(|value| values.contains(&value)),
        "NotIn" => actual.is_none_or(|value| !values.contains(&value)),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compare(|have, want| have > want),
        "Lt" => compare(|have, want| have < want),
        _ => false,
    }
}

/// Whether every taint of one of these effects is tolerated.
pub(crate) fn tolerates(tolerations: &[Toleration], node: &Obj, effects: &[&str]) -> bool {
    let taints = tree::list(node.value(), "spec.taints");
    taints
        .iter()
        .filter(|taint| effects.contains(&tree::text(taint, "effect")))
        .all(|taint| tolerations.iter().any(|t| t.fits(taint)))
}

impl Toleration {
    /// Whether this toleration covers the taint.
    pub(crate) fn fits(&self, taint: &Value) -> bool {
        let effect = self.effect.is_empty() || self.effect == tree::text(taint, "effect");
        let exists = self.operator == "Exists";
        let key = (self.key.is_empty() && exists) || self.key == tree::text(taint, "key");
        effect && key && (exists || self.value == tree::text(taint, "value"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_affinity_and_taints() {
        let node = Obj::from_value(
            json!({"metadata": {"name": "n", "labels": {"disk": "ssd", "cores": "8"}},
            "spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}),
        )
        .unwrap();
        let affinity = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        assert!(selected(&json!({"nodeSelector": {"disk": "ssd"}}), &node));
        assert!(!selected(&json!({"nodeSelector": {"disk": "hdd"}}), &node));
        assert!(selected(
            &affinity(
                json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}])
            ),
            &node
        ));
        assert!(selected(
            &affinity(
                json!([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}]}])
            ),
            &node
        ));
        assert!(!selected(&affinity(json!([{}])), &node));
        let toleration = Toleration {
            key: "k".into(),
            operator: "Equal".into(),
            value: "v".into(),
            ..Toleration::default()
        };
        assert!(tolerates(&[toleration], &node, &["NoSchedule"]));
        assert!(!tolerates(&[], &node, &["NoSchedule"]) && tolerates(&[], &node, &["NoExecute"]));
    }
}
