//! What to list.

use super::{ContinueToken, Selectors};
use crate::resource::Resource;

/// `resourceVersionMatch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// Exactly the version asked for.
    Exact,
    /// That version or a newer one.
    NotOlderThan,
}

/// One list request, checked for consistency by whoever read it.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Only this namespace; empty for all.
    pub namespace: String,
    /// Only objects that match.
    pub selectors: Selectors,
    /// Objects at most; 0 for all.
    pub limit: usize,
    /// The token of the page before; `None` for the first.
    pub continue_token: Option<ContinueToken>,
    /// `resourceVersion`: `None` for the newest, 0 for any.
    pub version: Option<u64>,
    /// How the version is meant.
    pub version_match: Option<VersionMatch>,
}

impl ListRequest {
    /// Everything in a namespace, or everywhere.
    #[must_use]
    pub fn all(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..Self::default()
        }
    }

    /// The keys to go through. A selector on the name narrows them to one object.
    pub(crate) fn range(&self, resource: &Resource) -> String {
        match self.selectors.name() {
            Some(name) if !resource.kind.namespaced || !self.namespace.is_empty() => {
                resource.key(&self.namespace, name)
            }
            _ => resource.range(&self.namespace),
        }
    }
}
