//! What the parts of the control plane share.

use std::sync::Arc;

use k3s_config::{PackagedComponent, ServerSettings};
use k3s_pki::ServerIdentity;

use crate::node::local::LocalNode;
use crate::plugins::reload::Swaps;

/// Everything that is known of this server before its first stage starts.
pub(crate) struct ServerContext {
    pub(crate) settings: Arc<ServerSettings>,
    /// The machine's name and addresses, which the API is reached by, also with `--disable-agent`.
    pub(crate) local: LocalNode,
    pub(crate) identity: ServerIdentity,
    /// Where batteries are entered, so that a reload can replace them.
    pub(crate) swaps: Swaps,
}

impl ServerContext {
    /// Whether `--disable` leaves a component out.
    pub(crate) fn is_disabled(&self, component: PackagedComponent) -> bool {
        self.settings.cluster.disabled.contains(component)
    }
}
