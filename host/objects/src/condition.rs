//! Conditions as every kind has them in its status.

use crate::view::view;

view! {
    /// An entry of `status.conditions`.
    pub struct Condition {
        /// `Ready`
        #[serde(rename = "type")]
        pub kind: String,
        /// `True`, `False` or `Unknown`.
        pub status: String,
        /// The cause as one word in camel case.
        pub reason: String,
        /// The cause as a sentence.
        pub message: String,
        /// When `status` changed last, RFC 3339.
        pub last_transition_time: Option<String>,
    }
}

impl Condition {
    /// Whether the condition holds; `Unknown` does not.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Whether the condition of a type is there and holds.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(Condition::is_true)
}
