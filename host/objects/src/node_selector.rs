//! Node selectors: requirements on a node's labels and name
//! (`component-helpers/scheduling/corev1/nodeaffinity`).

use std::collections::BTreeMap;

use crate::view::view;

view! {
    /// Terms of which one must match (`core/v1.NodeSelector`).
    pub struct NodeSelector {
        /// The alternatives.
        pub node_selector_terms: Vec<NodeSelectorTerm>,
    }

    /// Requirements that must all be met (`core/v1.NodeSelectorTerm`).
    pub struct NodeSelectorTerm {
        /// Requirements on labels.
        pub match_expressions: Vec<Requirement>,
        /// Requirements on fields, of which `metadata.name` is the only one.
        pub match_fields: Vec<Requirement>,
    }

    /// One requirement (`core/v1.NodeSelectorRequirement`).
    pub struct Requirement {
        /// Key of the label, or name of the field.
        pub key: String,
        /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`; fields know the first two only.
        pub operator: String,
        /// What the operator compares with.
        pub values: Vec<String>,
    }
}

impl NodeSelector {
    /// Whether one of the terms matches the node.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.node_selector_terms
            .iter()
            .any(|term| term.matches(name, labels))
    }
}

impl NodeSelectorTerm {
    /// Whether a node meets every requirement. A term without requirements matches no node.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let is_empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        let label = |key: &str| labels.get(key).map(String::as_str);
        !is_empty
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.matches_label(label(&requirement.key)))
            && self
                .match_fields
                .iter()
                .all(|requirement| requirement.matches_field(name))
    }
}

impl Requirement {
    /// Whether the value of the label (`None`: the node does not have it) meets the requirement.
    /// One that validation would have refused is not met.
    #[must_use]
    pub fn matches_label(&self, value: Option<&str>) -> bool {
        let is_listed = || value.is_some_and(|value| self.lists(value));
        match self.operator.as_str() {
            "In" => is_listed(),
            "NotIn" => !self.values.is_empty() && !is_listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => self.compares(value, |have, bound| have > bound),
            "Lt" => self.compares(value, |have, bound| have < bound),
            _ => false,
        }
    }

    /// A field requirement takes exactly one value. A field other than the name reads as empty.
    fn matches_field(&self, node_name: &str) -> bool {
        let [wanted] = self.values.as_slice() else {
            return false;
        };
        let actual = if self.key == "metadata.name" {
            node_name
        } else {
            ""
        };
        match self.operator.as_str() {
            "In" => actual == wanted,
            "NotIn" => actual != wanted,
            _ => false,
        }
    }

    fn lists(&self, value: &str) -> bool {
        self.values.iter().any(|listed| listed == value)
    }

    /// Whether the label's value and the only value of the requirement are integers that compare so.
    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let number = |text: &str| text.parse::<i64>().ok();
        let [bound] = self.values.as_slice() else {
            return false;
        };
        value
            .and_then(number)
            .zip(number(bound))
            .is_some_and(|(have, bound)| holds(have, bound))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(key: &str, operator: &str, values: &[&str]) -> Requirement {
        Requirement {
            key: key.into(),
            operator: operator.into(),
            values: values.iter().map(|v| (*v).into()).collect(),
        }
    }

    #[test]
    fn operators_on_labels() {
        for (operator, values, value, expected) in [
            ("In", &["a", "b"][..], Some("b"), true),
            ("In", &["a"], None, false),
            ("NotIn", &["a"], None, true),
            ("NotIn", &["a"], Some("a"), false),
            ("NotIn", &[], Some("a"), false),
            ("Exists", &[], Some(""), true),
            ("DoesNotExist", &[], None, true),
            ("Gt", &["5"], Some("6"), true),
            ("Gt", &["5"], Some("x"), false),
            ("Gt", &["5", "4"], Some("6"), false),
            ("Lt", &["5"], Some("4"), true),
            ("Near", &["5"], Some("5"), false),
        ] {
            let requirement = requirement("k", operator, values);
            assert_eq!(
                requirement.matches_label(value),
                expected,
                "{requirement:?} {value:?}"
            );
        }
    }

    #[test]
    fn operators_on_the_name() {
        for (key, operator, values, expected) in [
            ("metadata.name", "In", &["n"][..], true),
            ("metadata.name", "In", &["m"], false),
            ("metadata.name", "In", &["n", "m"], false),
            ("metadata.name", "NotIn", &["m"], true),
            ("metadata.name", "Exists", &[], false),
            ("spec.x", "In", &["n"], false),
            ("spec.x", "NotIn", &["n"], true),
        ] {
            let term = NodeSelectorTerm {
                match_fields: vec![requirement(key, operator, values)],
                ..NodeSelectorTerm::default()
            };
            assert_eq!(
                term.matches("n", &BTreeMap::new()),
                expected,
                "{key} {operator} {values:?}"
            );
        }
    }

    #[test]
    fn terms_are_alternatives_and_an_empty_one_matches_nothing() {
        let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        let matching = NodeSelectorTerm {
            match_expressions: vec![requirement("disk", "In", &["ssd"])],
            ..NodeSelectorTerm::default()
        };
        let select = |terms: Vec<NodeSelectorTerm>| {
            let selector = NodeSelector {
                node_selector_terms: terms,
            };
            selector.matches("n", &labels)
        };
        assert!(!select(vec![]));
        assert!(!select(vec![NodeSelectorTerm::default()]));
        assert!(select(vec![NodeSelectorTerm::default(), matching]));
    }
}
