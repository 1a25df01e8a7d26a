//! Role-based access control, evaluated on an index in memory that mirrors the four kinds.

pub(crate) mod escalation;
mod index;
pub(crate) mod rule;

use std::sync::Arc;

use k3s_lifecycle::Tasks;
use k3s_meta::UserInfo;
use k3s_registry::mirror::Mirror;
use k3s_registry::{Registry, Resource, Result};

use super::{Attributes, Decision};
use index::PolicyIndex;
use rule::Rule;

/// The kinds that make up the policy.
const PLURALS: [&str; 4] = [
    "clusterrolebindings",
    "clusterroles",
    "rolebindings",
    "roles",
];
const GROUP: &str = "rbac.authorization.k8s.io";

/// The authorizer. Its policy is as new as the last change that reached it, which is moments behind
/// the store, as in upstream: no request pays for the reading of policy.
pub(crate) struct Rbac {
    policy: Mirror<PolicyIndex>,
}

impl Rbac {
    pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        let resources = PLURALS
            .iter()
            .map(|plural| registry.resource(GROUP, "v1", plural))
            .collect::<Result<Vec<&Arc<Resource>>>>()?;
        let index = PolicyIndex::default();
        let policy = Mirror::start("rbac mirror", registry, &resources, index, tasks)?;
        Ok(Self { policy })
    }

    /// Decides on one request.
    pub(crate) fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut missing = Vec::new();
        let allows = |rule: &Rule| rule.allows(attributes);
        let allowed = self
            .policy
            .peek(|index| index.visit(attributes.user, attributes.namespace, &mut missing, allows));
        if allowed {
            return Decision::Allow;
        }
        if missing.is_empty() {
            return Decision::Deny(String::new());
        }
        Decision::Deny(format!("RBAC: {}", missing.join(", ")))
    }

    /// All rules that apply to a user in a namespace (and everywhere), and what bindings name that
    /// does not exist.
    pub(crate) fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        let collect = |rule: &Rule| {
            rules.push(rule.clone());
            false
        };
        self.policy
            .peek(|index| index.visit(user, namespace, &mut missing, collect));
        (rules, missing)
    }

    /// The rules of a role that a binding names, which may have been made just before the binding.
    pub(crate) fn rules_of(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        let find = |index: &PolicyIndex| index.role(kind, namespace, name).cloned();
        self.policy.read(find)
    }
}
