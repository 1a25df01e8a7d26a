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
