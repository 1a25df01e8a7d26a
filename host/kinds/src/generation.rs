//! When an object counts as a new generation.

use k3s_meta::tree;
use serde_json::Value;

/// Which change of an object counts as a new `metadata.generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The kind leaves the generation alone: it stays what the object was created with.
    None,
    /// 1 on create, one more on each change of `spec`.
    Spec,
    /// As sent on create, one more on each change of `spec`.
    SpecOfUpdates,
    /// 1 on create, one more on each change below any of these dotted paths.
    Content(&'static [&'static str]),
    /// 1 on create, one more on each change outside metadata.
    Body {
        /// Whether a change of `status` counts.
        status: bool,
    },
}

impl Generation {
    /// The generation a new object starts with; `None` when it keeps what was sent.
    #[must_use]
    pub fn initial(self) -> Option<i64> {
        (!matches!(self, Self::None | Self::SpecOfUpdates)).then_some(1)
    }

    /// Whether the step from `old` to `new` raises the generation. Both are in stored form, in which nothing is
    /// empty but what a pointer leads to, so that `{}` is another thing than none.
    #[must_use]
    pub fn changed(self, new: &Value, old: &Value) -> bool {
        let paths = match self {
            Self::None => return false,
            Self::Spec | Self::SpecOfUpdates => &["spec"][..],
            Self::Content(paths) => paths,
            Self::Body { status } => return body_changed(new, old, status),
        };
        let differs = |path: &&str| {
            let [new, old] = [new, old].map(|object| tree::get(object, path));
            !tree::same(new.unwrap_or(&Value::Null), old.unwrap_or(&Value::Null))
        };
        paths.iter().any(differs)
    }
}

fn body_changed(new: &Value, old: &Value, status: bool) -> bool {
    let counts = |key: &str| match key {
        "metadata" | "apiVersion" | "kind" => false,
        "status" => status,
        _ => true,
    };
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else {
        return new != old;
    };
    new.keys()
        .chain(old.keys())
        .any(|key| counts(key) && new.get(key) != old.get(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_null_is_no_change_and_an_empty_struct_behind_a_pointer_is_one() {
        let old = json!({"spec": {"replicas": 1}});
        for (new, counts) in [
            (json!({"spec": {"replicas": 1, "selector": null}}), false),
            (
                json!({"spec": {"replicas": 1}, "status": {"replicas": 2}}),
                false,
            ),
            (
                json!({"spec": {"replicas": 1, "securityContext": {}}}),
                true,
            ),
            (json!({"spec": {"replicas": 2}}), true),
            (json!({}), true),
        ] {
            assert_eq!(Generation::Spec.changed(&new, &old), counts, "{new}");
            assert!(!Generation::None.changed(&new, &old), "{new}");
        }
    }

    #[test]
    fn kinds_that_leave_it_alone_start_with_what_was_sent() {
        for (generation, initial) in [
            (Generation::None, None),
            (Generation::SpecOfUpdates, None),
            (Generation::Spec, Some(1)),
            (Generation::Content(&[]), Some(1)),
        ] {
            assert_eq!(generation.initial(), initial, "{generation:?}");
        }
    }
}
