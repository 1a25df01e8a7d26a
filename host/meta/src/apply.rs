//! Where server-side apply will join.
//!
//! A write passes the registry in this order: decode → defaults → prepare → **managed fields** →
//! admission → validation → store. Ownership of fields is a step between the prepared object and
//! admission, and the merge of an apply patch is a step before decoding. Both need the same three
//! things, and all three exist: the schema by kind (`k3s_api::schema`: list types, map keys, atomic
//! maps), the live object, and the manager's name. Until the step is written the API server answers
//! `application/apply-patch+yaml` with 415 and keeps `metadata.managedFields` as clients send it;
//! ignoring ownership silently would let two appliers overwrite each other.

use serde_json::Value;

/// Who applies, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The `fieldManager` parameter, or what upstream derives from the user agent.
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: Operation,
    /// Empty, or the subresource that is written (`status`).
    pub subresource: String,
}

/// The two ways of owning fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A server-side apply: what is left out is given up.
    Apply,
    /// Any other write: changed fields are taken.
    Update,
}

/// The step that tracks ownership. The registry calls it on each write once an implementation exists.
pub trait FieldOwnership: Send + Sync {
    /// Records that `manager` changed `live` into `new`, in `new`'s `metadata.managedFields`.
    fn update(
        &self,
        live: Option<&Value>,
        new: &mut Value,
        manager: &Manager,
    ) -> Result<(), crate::Status>;
    /// Merges `patch` into `live` for `manager`; conflicts come as [`crate::Status::apply_conflict`] unless `force`.
    fn apply(
        &self,
        live: Option<&Value>,
        patch: &Value,
        manager: &Manager,
        force: bool,
    ) -> Result<Value, crate::Status>;
}
