//! Parameters of the verbs, which are kube's, and their results.

use serde_json::Value;

use crate::object::Object;

pub(crate) use kube::api::PostParams;
pub use kube::api::{
    DeleteParams, ListParams, PatchParams, Preconditions, PropagationPolicy, WatchParams,
};

/// A patch and its type.
pub type Patch = kube::api::Patch<Value>;

/// One page of a list, or a whole one.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The objects.
    pub items: Vec<Object>,
    /// The version the list shows; a watch continues from here.
    pub resource_version: String,
    /// Token of the next page, where there is one.
    pub continue_token: Option<String>,
}

/// Holds while the object has this UID: a namesake created later is left alone.
#[must_use]
pub fn uid_is(uid: impl Into<String>) -> Preconditions {
    Preconditions {
        uid: Some(uid.into()),
        resource_version: None,
    }
}

/// Holds while the object has this UID and has not changed since `resource_version`.
#[must_use]
pub fn unchanged(uid: impl Into<String>, resource_version: impl Into<String>) -> Preconditions {
    Preconditions {
        uid: Some(uid.into()),
        resource_version: Some(resource_version.into()),
    }
}
