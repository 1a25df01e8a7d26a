//! Authorization: `system:masters`, the Node authorizer, then RBAC. The first that allows decides;
//! none can forbid what another allows.

pub(crate) mod attributes;
pub(crate) mod node;
pub(crate) mod rbac;

use k3s_lifecycle::Tasks;
use k3s_registry::{Registry, Result};

pub(crate) use attributes::Attributes;

use node::NodeAuthorizer;
use rbac::Rbac;

/// The one group that may do everything.
pub(crate) const MASTERS: &str = "system:masters";

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The user may.
    Allow,
    /// The user may not; the reason is empty where there is nothing to say.
    Deny(String),
}

/// All authorizers.
pub(crate) struct Authorizer {
    pub(crate) rbac: Rbac,
    pub(crate) node: NodeAuthorizer,
}

impl Authorizer {
    /// Reads the stored policy and follows it from then on.
    pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        Ok(Self {
            rbac: Rbac::start(registry, tasks)?,
            node: NodeAuthorizer::start(registry, tasks)?,
        })
    }

    /// Decides on one request.
    pub(crate) fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.in_group(MASTERS) {
            return Decision::Allow;
        }
        let node = self.node.authorize(attributes);
        if node == Some(Decision::Allow) {
            return Decision::Allow;
        }
        match (self.rbac.authorize(attributes), node) {
            (Decision::Deny(reason), Some(Decision::Deny(node_reason))) if reason.is_empty() => {
                Decision::Deny(node_reason)
            }
            (decision, _) => decision,
        }
    }
}
