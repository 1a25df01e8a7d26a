//! The contract's records, under the names the data plane uses. What each of them means is written in
//! `wit/ingress-0.2/ingress.wit`.

pub use k3s_wit_bindings::ingress::{
    Action, Backend, BasicAuth, BreakerCondition, BreakerMetric, BreakerTerm, Buffering, Change,
    CircuitBreaker, ClientAuth, Comparison, Compress, Cookie, Cors, Diagnostic, ErrorPages,
    ForwardAuth, Headers, InFlight, Interest, IpStrategy, Matcher, Middleware, Object, ObjectKey,
    Outcome, RateLimit, Redirect, RedirectScheme, Reference, Retry, Rewrite, Route, SameSite,
    Scheme, Severity, Source, Target, TcpRoute, TcpTls, TlsOptions, TlsUse, TlsVersion, Transport,
};

/// Namespace and name of a Secret or Service; unlike [`Reference`], fit for maps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespacedName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl From<&Reference> for NamespacedName {
    fn from(reference: &Reference) -> Self {
        Self {
            namespace: reference.namespace.clone(),
            name: reference.name.clone(),
        }
    }
}

impl std::fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
