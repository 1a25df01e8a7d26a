//! What all handlers share.

use std::net::SocketAddr;
use std::sync::Arc;

use k3s_lifecycle::Tasks;
use k3s_registry::Registry;

use crate::admission;
use crate::api_services::Priorities;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::documents::Documents;
use crate::health::Health;
use crate::inflight::Inflight;
use crate::kubelet::Kubelets;
use crate::metrics::ApiMetrics;

/// The server's parts; one per process, shared by reference count.
pub(crate) struct Core {
    pub(crate) registry: Registry,
    pub(crate) tasks: Tasks,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) admission: admission::Chain,
    pub(crate) inflight: Inflight,
    pub(crate) kubelets: Kubelets,
    pub(crate) metrics: ApiMetrics,
    pub(crate) health: Health,
    pub(crate) documents: Documents,
    /// The order of groups and versions in discovery.
    pub(crate) priorities: Priorities,
    /// Where clients of any network reach this server.
    pub(crate) advertised: SocketAddr,
}
