//! Node selectors, pod affinity terms and spread constraints as values that can be asked.

use std::collections::BTreeMap;

use k3s_meta::selector::LabelSelector;
use serde::Deserialize;

use super::PodInfo;

/// One requirement on a node (`core/v1.NodeSelectorRequirement`).
#[derive(Clone, Debug, Deserialize)]
pub struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Requirement {
    /// Whether a value (`None`: the label is absent) meets it.
    #[must_use]
    pub fn is_met(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|v| self.values.iter().any(|w| w == v));
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|v| number(v));
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => matches!((value.and_then(number), bound()), (Some(v), Some(b)) if v > b),
            "Lt" => matches!((value.and_then(number), bound()), (Some(v), Some(b)) if v < b),
            _ => false,
        }
    }
}

/// Requirements that must all be met (`core/v1.NodeSelectorTerm`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    #[serde(default)]
    match_expressions: Vec<Requirement>,
    #[serde(default)]
    match_fields: Vec<Requirement>,
}

impl NodeSelectorTerm {
    /// Whether a node meets it. A term without requirements matches nothing.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        !empty
            && self
                .match_expressions
                .iter()
                .all(|r| r.is_met(labels.get(&r.key).map(String::as_str)))
            && self
                .match_fields
                .iter()
                .all(|r| r.key == "metadata.name" && r.is_met(Some(name)))
    }
}

/// Where a pod must go: every label of the selector and, if there are terms, one of them.
#[derive(Clone, Debug, Default)]
pub struct NodeTerms {
    /// `spec.nodeSelector`.
    pub labels: BTreeMap<String, String>,
    /// Required node affinity; `None` where none is asked for.
    pub any_of: Option<Vec<NodeSelectorTerm>>,
}

impl NodeTerms {
    /// Whether a node will do.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self
                .any_of
                .as_ref()
                .is_none_or(|terms| terms.iter().any(|t| t.matches(name, labels)))
    }
}

/// A preference.
#[derive(Clone, Debug)]
pub struct Weighted<T> {
    /// Upstream's weight, 1 to 100; negative for anti-affinity.
    pub weight: i64,
    /// What is preferred.
    pub term: T,
}

/// Pods that a pod wants near or far (`core/v1.PodAffinityTerm`).
#[derive(Clone, Debug)]
pub struct PodTerm {
    /// Which pods.
    pub selector: LabelSelector,
    /// In which namespaces; `None` for all.
    pub namespaces: Option<Vec<String>>,
    /// What "near" means: nodes with the same value of this label.
    pub topology_key: String,
}

impl PodTerm {
    /// Whether `pod` is one of those meant.
    #[must_use]
    pub fn selects(&self, pod: &PodInfo) -> bool {
        self.namespaces
            .as_ref()
            .is_none_or(|all| all.contains(&pod.namespace))
            && self.selector.matches_labels(&pod.labels)
    }
}

/// How evenly pods are to be spread (`core/v1.TopologySpreadConstraint`).
#[derive(Clone, Debug)]
pub struct SpreadConstraint {
    /// Which pods count.
    pub selector: LabelSelector,
    /// Domains are the values of this label.
    pub topology_key: String,
    /// The greatest allowed difference between domains.
    pub max_skew: i64,
    /// Fewer domains than this count as an empty one.
    pub min_domains: Option<i64>,
    /// `DoNotSchedule` rather than `ScheduleAnyway`.
    pub required: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: &str, values: &[&str]) -> Requirement {
        Requirement {
            key: "k".into(),
            operator: operator.into(),
            values: values.iter().map(|v| (*v).into()).collect(),
        }
    }

    #[test]
    fn operators() {
        for (operator, values, value, met) in [
            ("In", &["a", "b"][..], Some("b"), true),
            ("In", &["a"], None, false),
            ("NotIn", &["a"], None, true),
            ("NotIn", &["a"], Some("a"), false),
            ("Exists", &[], Some(""), true),
            ("DoesNotExist", &[], None, true),
            ("Gt", &["5"], Some("6"), true),
            ("Gt", &["5"], Some("x"), false),
            ("Lt", &["5"], Some("4"), true),
            ("Near", &["5"], Some("5"), false),
        ] {
            assert_eq!(
                requirement(operator, values).is_met(value),
                met,
                "{operator} {values:?} {value:?}"
            );
        }
    }

    #[test]
    fn an_empty_term_matches_nothing_and_no_terms_match_everything() {
        let labels = BTreeMap::new();
        assert!(!NodeSelectorTerm::default().matches("n", &labels));
        assert!(NodeTerms::default().matches("n", &labels));
        assert!(
            !NodeTerms {
                any_of: Some(vec![]),
                ..NodeTerms::default()
            }
            .matches("n", &labels)
        );
    }
}
