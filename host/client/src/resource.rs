//! A resource as the client addresses it, and the URL paths that follow from it.

use std::borrow::Cow;
use std::fmt;

/// One resource of the API: where it is served and what its objects are called.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// API version, for instance `v1`.
    pub version: Cow<'static, str>,
    /// Plural name as in the URL.
    pub plural: Cow<'static, str>,
    /// Kind of its objects.
    pub kind: Cow<'static, str>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// A resource known at compile time.
    #[must_use]
    pub const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
        namespaced: bool,
    ) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed(version),
            plural: Cow::Borrowed(plural),
            kind: Cow::Borrowed(kind),
            namespaced,
        }
    }

    /// `v1` or `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The URL path of the collection, or of one object, or of its subresource.
    #[must_use]
    pub fn path(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
        subresource: Option<&str>,
    ) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if let Some(namespace) = namespace.filter(|ns| self.namespaced && !ns.is_empty()) {
            path.push_str("/namespaces/");
            push_escaped(&mut path, namespace);
        }
        path.push('/');
        path.push_str(&self.plural);
        for part in [name, subresource].into_iter().flatten() {
            path.push('/');
            // A subresource may have a path of its own (`proxy/metrics`).
            push_escaped_path(&mut path, part);
        }
        path
    }
}

impl fmt::Display for Resource {
    /// `pods` or `deployments.apps`, as Kubernetes writes a GroupResource.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            write!(f, "{}", self.plural)
        } else {
            write!(f, "{}.{}", self.plural, self.group)
        }
    }
}

/// Appends `text` with everything but unreserved characters percent-encoded (RFC 3986).
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    escape(out, text, false);
}

fn push_escaped_path(out: &mut String, text: &str) {
    escape(out, text, true);
}

fn escape(out: &mut String, text: &str, keep_slash: bool) {
    use fmt::Write;
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || b"-_.~:".contains(&byte)
            || (keep_slash && byte == b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::resources;

    #[test]
    fn paths_follow_group_scope_and_subresource() {
        assert_eq!(
            resources::PODS.path(Some("a"), Some("b"), Some("log")),
            "/api/v1/namespaces/a/pods/b/log"
        );
        assert_eq!(resources::PODS.path(None, None, None), "/api/v1/pods");
        assert_eq!(
            resources::DEPLOYMENTS.path(Some("a"), None, None),
            "/apis/apps/v1/namespaces/a/deployments"
        );
        assert_eq!(
            resources::NODES.path(Some("ignored"), Some("n/1"), None),
            "/api/v1/nodes/n/1"
        );
        assert_eq!(
            resources::CLUSTER_ROLES.path(None, Some("a b"), None),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%20b"
        );
    }
}
