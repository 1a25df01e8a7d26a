//! Patches over dynamic trees: JSON Patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge
//! patch, and the three-way patches that `kubectl apply` makes.

mod diff;
mod json;
mod json_apply;
mod keyed;
mod lists;
mod merge;
mod schema;
mod strategic;
mod three_way;

use crate::status::Status;

pub use diff::two_way_strategic;
pub use json::json_patch;
pub use lists::go_text;
pub use merge::merge_patch;
pub use schema::{Child, ListKey, MAX_LIST_KEYS, PatchField, PatchSchema, Strategy};
pub use strategic::strategic_merge;
pub use three_way::{three_way_json, three_way_strategic};

/// Most operations of one JSON Patch, as upstream.
pub(crate) const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;
/// Most bytes that the `copy` operations of one JSON Patch may add together: upstream's request limit.
pub(crate) const MAX_COPY_BYTES: usize = 3 * 1024 * 1024;
/// Most values that the operations of one JSON Patch may walk over or shift in lists together. A patch of some hundred
/// kilobytes could move a large tree, or the members of a long list, ten thousand times.
pub(crate) const MAX_STEPS: usize = 20_000_000;

/// Why a patch could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not of the form its type demands: the client's request is bad (400).
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the object: unprocessable (422).
    #[error("{0}")]
    DoesNotApply(String),
    /// A strategic merge patch whose parts do not go with the object or each other (500: upstream knows no status
    /// for them).
    #[error("{0}")]
    Unmergeable(String),
    /// The patch is larger than allowed (413).
    #[error("{0}")]
    TooLarge(String),
}

impl PatchError {
    /// The answer the API gives.
    pub fn to_status(&self) -> Status {
        match self {
            Self::Malformed(message) => Status::bad_request(message.as_str()),
            Self::DoesNotApply(message) => Status::unprocessable(message),
            Self::Unmergeable(message) => Status::unclassified(message.as_str()),
            Self::TooLarge(message) => Status::too_large(message),
        }
    }
}
