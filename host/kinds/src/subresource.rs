//! Subresources that change a part of their parent.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::context::Context;

/// A subresource whose request body is the whole parent object, of which it changes one part.
/// `status` is not among these: most kinds have it, so it has fields of its own in `Rules`.
#[derive(Clone, Copy, Debug)]
pub struct Subresource {
    /// The name in the URL.
    pub name: &'static str,
    /// Restores all that the subresource does not own (`PrepareForUpdate`): new, old.
    pub prepare: fn(&mut Value, &Value, &Context<'_>),
    /// Errors of the step from old to new, metadata included (`ValidateUpdate`): new, old. `None` for
    /// the rules of an update of the parent.
    pub validate: Option<fn(&Value, &Value) -> ErrorList>,
    /// Whether a change through it counts as a new generation where the kind counts them. What the
    /// system assigns, such as a node, is no change of what was asked for.
    pub new_generation: bool,
}
