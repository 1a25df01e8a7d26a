//! The contract's records, under the names the data plane uses. What each of them means is written in
//! `wit/ingress-0.2/ingress.wit`.

pub use k3s_wit_bindings::ingress::{
    Action, Backend, BasicAuth, BreakerCondition, BreakerMetric, BreakerTerm, Buffering, Change,
    CircuitBreaker, ClientAuth, Comparison, Compress, Cookie, Cors, Diagnostic, ErrorPages,
    ForwardAuth, Headers, InFlight, Interest, IpStrategy, Matcher, Middleware, Object, ObjectKey,
    Outcome, RateLimit, Redirect, RedirectScheme, Reference, Retry, Rewrite, Route, SameSite,
    Scheme, Severity, Source, Target, TcpRoute, TcpTls, TlsOptions, TlsUse, TlsVersion, Transport,
};

/// An object's key as maps need it: group, kind, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl From<&ObjectKey> for ObjectId {
    fn from(key: &ObjectKey) -> Self {
        let ObjectKey {
            group,
            kind,
            namespace,
            name,
        } = key.clone();
        Self {
            group,
            kind,
            namespace,
            name,
        }
    }
}

impl From<&ObjectId> for ObjectKey {
    fn from(id: &ObjectId) -> Self {
        let ObjectId {
            group,
            kind,
            namespace,
            name,
        } = id.clone();
        Self {
            group,
            kind,
            namespace,
            name,
        }
    }
}

/// A Secret or Service as maps need it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl From<&Reference> for Name {
    fn from(reference: &Reference) -> Self {
        Self {
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
