//! Who makes a request.

use std::collections::BTreeMap;

/// An authenticated user, as `authentication.k8s.io/v1` `UserInfo` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// Unique name, such as `system:node:alpha`.
    pub name: String,
    /// Unique across time; empty unless the authenticator knows one.
    pub uid: String,
    /// Groups, including `system:authenticated` once authenticated.
    pub groups: Vec<String>,
    /// What else the authenticator knows.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user with a name and groups.
    pub fn new<N: Into<String>, G: Into<String>>(
        name: N,
        groups: impl IntoIterator<Item = G>,
    ) -> Self {
        Self {
            name: name.into(),
            groups: groups.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Whether the user is in the group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// The identity of an in-process caller. It travels as a request extension, which nothing that
/// arrives over a wire can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertedUser(pub UserInfo);
