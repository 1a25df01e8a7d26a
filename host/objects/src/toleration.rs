//! Taints of nodes and the tolerations of pods.

use k3s_meta::tree;
use serde_json::Value;

use crate::view::view;

view! {
    /// A taint of a node (`core/v1.Taint`).
    pub struct Taint {
        /// `node.kubernetes.io/not-ready`
        pub key: String,
        /// Often empty.
        pub value: String,
        /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
        pub effect: String,
        /// When a `NoExecute` taint was put on, RFC 3339.
        pub time_added: Option<String>,
    }

    /// A toleration of a pod (`core/v1.Toleration`).
    pub struct Toleration {
        /// Empty matches every key.
        pub key: String,
        /// `Exists` or `Equal`; empty means `Equal`.
        pub operator: String,
        /// Compared by `Equal`.
        pub value: String,
        /// Empty matches every effect.
        pub effect: String,
        /// How long a `NoExecute` taint is tolerated, in seconds; `None` is without limit.
        pub toleration_seconds: Option<i64>,
    }
}

impl Toleration {
    /// Reads a toleration from the dynamic tree. It never fails, since admission asks before
    /// validation has seen the object; a field of the wrong type reads as missing.
    #[must_use]
    pub fn from_value(toleration: &Value) -> Self {
        let text = |field| tree::text(toleration, field).to_owned();
        Self {
            key: text("key"),
            operator: text("operator"),
            value: text("value"),
            effect: text("effect"),
            toleration_seconds: tree::int(toleration, "tolerationSeconds"),
        }
    }

    /// Whether this toleration is about taints of this key and effect, whatever their value.
    #[must_use]
    pub fn concerns(&self, key: &str, effect: &str) -> bool {
        let matches_key = self.key.is_empty() || self.key == key;
        let matches_effect = self.effect.is_empty() || self.effect == effect;
        matches_key && matches_effect
    }

    /// Whether this toleration covers the taint (`core/v1/toleration.go`). The operators `Lt` and
    /// `Gt` are behind a feature gate that is off; like any unknown operator they cover nothing.
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let matches_value = match self.operator.as_str() {
            "" | "Equal" => self.value == taint.value,
            "Exists" => true,
            _ => false,
        };
        self.concerns(&taint.key, &taint.effect) && matches_value
    }
}

impl Toleration {
    /// Whether this toleration covers every taint that `other` covers (`isSuperset` of
    /// `pkg/util/tolerations`).
    #[must_use]
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let covers_key =
            self.key == other.key || (self.key.is_empty() && self.operator == "Exists");
        let covers_effect = self.effect == other.effect || self.effect.is_empty();
        let covers_value = match self.operator.as_str() {
            "" | "Equal" => other.operator == "Equal" && self.value == other.value,
            operator => operator == "Exists",
        };
        covers_key && covers_effect && covers_value && self.lasts_as_long_as(other)
    }

    fn lasts_as_long_as(&self, other: &Self) -> bool {
        match (self.toleration_seconds, other.toleration_seconds) {
            (Some(own), Some(other)) if self.effect == "NoExecute" => other <= own,
            (Some(_), None) if self.effect == "NoExecute" => false,
            _ => true,
        }
    }
}

/// Both lists in one, without what another entry covers; of equal entries the first stays
/// (`MergeTolerations` of `pkg/util/tolerations`).
#[must_use]
pub fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all = first.iter().chain(second);
    let all: Vec<(&Value, Toleration)> = all.map(|t| (t, Toleration::from_value(t))).collect();
    let mut merged: Vec<(&Value, &Toleration)> = Vec::new();
    for (at, (value, view)) in all.iter().enumerate() {
        let mut before = merged.iter();
        let mut after = all.iter().skip(at + 1);
        let is_redundant = before.any(|(_, other)| other.covers(view))
            || after.any(|(_, other)| other != view && other.covers(view));
        if !is_redundant {
            merged.push((value, view));
        }
    }
    merged.into_iter().map(|(value, _)| value.clone()).collect()
}

/// The taints of one of these effects that no toleration covers.
pub fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &'a [Toleration],
    effects: &'a [&'a str],
) -> impl Iterator<Item = &'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.contains(&taint.effect.as_str()))
        .filter(|taint| !tolerations.iter().any(|t| t.tolerates(taint)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn toleration([key, operator, value, effect]: [&str; 4]) -> Toleration {
        Toleration {
            key: key.into(),
            operator: operator.into(),
            value: value.into(),
            effect: effect.into(),
            toleration_seconds: None,
        }
    }

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint {
            key: key.into(),
            value: value.into(),
            effect: effect.into(),
            time_added: None,
        }
    }

    #[test]
    fn a_toleration_covers_key_value_and_effect() {
        let taint = taint("k", "v", "NoSchedule");
        for (fields, expected) in [
            (["k", "Equal", "v", "NoSchedule"], true),
            (["k", "", "v", ""], true),
            (["k", "Equal", "w", ""], false),
            (["k", "Exists", "", ""], true),
            (["", "Exists", "", ""], true),
            // Validation refuses an empty key without `Exists`; upstream compares the value.
            (["", "Equal", "v", ""], true),
            (["", "", "", ""], false),
            (["j", "Exists", "", ""], false),
            (["k", "Exists", "", "NoExecute"], false),
            (["k", "Lt", "v", ""], false),
            (["k", "Near", "v", ""], false),
        ] {
            assert_eq!(toleration(fields).tolerates(&taint), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_toleration_of_any_value_concerns_a_taint() {
        for (fields, expected) in [
            (["k", "Equal", "v", "NoExecute"], true),
            (["", "Exists", "", ""], true),
            (["k", "Exists", "", "NoSchedule"], false),
            (["j", "Exists", "", "NoExecute"], false),
        ] {
            let concerns = toleration(fields).concerns("k", "NoExecute");
            assert_eq!(concerns, expected, "{fields:?}");
        }
    }

    #[test]
    fn a_toleration_reads_from_the_tree() {
        let value = json!({"key": "k", "operator": "Exists", "effect": 3, "tolerationSeconds": 5});
        let expected = Toleration {
            toleration_seconds: Some(5),
            ..toleration(["k", "Exists", "", ""])
        };
        assert_eq!(Toleration::from_value(&value), expected);
        assert_eq!(Toleration::from_value(&json!(null)), Toleration::default());
    }

    #[test]
    fn merged_tolerations_leave_out_what_another_covers() {
        let equal = |key: &str, value: &str, effect: &str| json!({"key": key, "operator": "Equal", "value": value, "effect": effect});
        let exists =
            |key: &str, effect: &str| json!({"key": key, "operator": "Exists", "effect": effect});
        let stays = |seconds: u32| json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        let k = || equal("k", "v", "NoSchedule");
        for (first, second, expected) in [
            (vec![], vec![k()], vec![k()]),
            (vec![k()], vec![k()], vec![k()]),
            (vec![k()], vec![exists("k", "")], vec![exists("k", "")]),
            (
                vec![exists("", "")],
                vec![k(), stays(5)],
                vec![exists("", "")],
            ),
            (vec![k()], vec![exists("j", "")], vec![k(), exists("j", "")]),
            (
                vec![k()],
                vec![equal("k", "w", "NoSchedule")],
                vec![k(), equal("k", "w", "NoSchedule")],
            ),
            (
                vec![k()],
                vec![exists("k", "NoExecute")],
                vec![k(), exists("k", "NoExecute")],
            ),
            (vec![stays(5)], vec![stays(9)], vec![stays(9)]),
            (
                vec![exists("k", "NoExecute")],
                vec![stays(9)],
                vec![exists("k", "NoExecute")],
            ),
        ] {
            assert_eq!(merge(&first, &second), expected, "{first:?} {second:?}");
        }
    }

    #[test]
    fn only_taints_of_the_effects_asked_for_count() {
        let taints = [
            taint("a", "", "NoSchedule"),
            taint("b", "", "NoExecute"),
            taint("c", "", "PreferNoSchedule"),
        ];
        let tolerations = [toleration(["a", "Exists", "", ""])];
        let keys = |effects: &[&str]| {
            untolerated(&taints, &tolerations, effects)
                .map(|taint| taint.key.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&["NoSchedule", "NoExecute"]), ["b"]);
        assert_eq!(keys(&["PreferNoSchedule"]), ["c"]);
        assert!(keys(&["NoSchedule"]).is_empty());
    }
}
