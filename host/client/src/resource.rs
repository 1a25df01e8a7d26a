//! A resource as the client addresses it, and the URL paths that follow from it.

use std::borrow::Cow;
use std::fmt;

use kube::api::{ApiResource, DynamicObject};
use kube::core::Request;
use kube::core::Resource as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

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

    /// kube's description, for `Api<DynamicObject>` and for URL paths.
    #[must_use]
    pub fn api_resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_string(),
            version: self.version.to_string(),
            api_version: self.api_version(),
            kind: self.kind.to_string(),
            plural: self.plural.to_string(),
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
        let mut path = self.collection(namespace);
        for part in [name, subresource].into_iter().flatten() {
            path.push('/');
            path.push_str(&escaped(part));
        }
        path
    }

    /// The builder of requests to the collection and its objects. Names that it is given must be
    /// [`escaped`].
    pub(crate) fn request(&self, namespace: Option<&str>) -> Request {
        Request::new(self.collection(namespace))
    }

    fn collection(&self, namespace: Option<&str>) -> String {
        let namespace = namespace.filter(|ns| self.namespaced && !ns.is_empty());
        let namespace = namespace.map(escaped);
        DynamicObject::url_path(&self.api_resource(), namespace.as_deref())
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

/// What a path segment must encode, beside controls and non-ASCII (RFC 3986). A slash stays: a
/// subresource may have a path of its own (`proxy/metrics`).
const SEGMENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'/');

/// A name as part of a path. kube's request builder takes names as they are, but some kinds
/// (RBAC) allow blanks and letters beyond ASCII.
pub(crate) fn escaped(name: &str) -> String {
    utf8_percent_encode(name, &SEGMENT).to_string()
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
