//! When an object counts as a new generation.

use k3s_meta::tree;
use serde_json::Value;

use crate::equality::semantic_eq;

/// Which change of an object counts as a new `metadata.generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The kind leaves the generation alone.
    None,
    /// 1 on create, one more on each change of `spec`.
    Spec,
    /// 1 on create, one more on each change below any of these dotted paths.
    Content(&'static [&'static str]),
    /// 1 on create, one more on each change outside metadata.
    Body {
        /// Whether a change of `status` counts.
        status: bool,
    },
}

impl Generation {
    /// The generation a new object starts with; `None` when the kind does not use it.
    #[must_use]
    pub fn initial(self) -> Option<i64> {
        (self != Self::None).then_some(1)
    }

    /// Whether the step from `old` to `new` raises the generation.
    #[must_use]
    pub fn changed(self, new: &Value, old: &Value) -> bool {
        let paths = match self {
            Self::None => return false,
            Self::Spec => &["spec"][..],
            Self::Content(paths) => paths,
            Self::Body { status } => return body_changed(new, old, status),
        };
        let differs = |path: &&str| !semantic_eq(tree::get(new, path), tree::get(old, path));
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
