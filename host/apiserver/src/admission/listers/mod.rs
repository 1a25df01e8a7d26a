//! The cluster state that admission decides on, decoded once per change and answered from memory,
//! so that admitting an object parses no other.
//!
//! An answer has every write that was acknowledged before the question: what holds for a direct
//! read of the registry holds here, such as a pod being created right after its namespace.

mod ingress_class;
mod limit_range;
mod namespace;
mod node;
mod priority_class;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_class;

use k3s_lifecycle::Tasks;
use k3s_registry::mirror::Lister;
use k3s_registry::{Registry, Result};

pub(super) use ingress_class::IngressClass;
pub(super) use limit_range::{LimitItem, LimitKind, LimitRange};
pub(super) use namespace::Namespace;
pub(super) use node::Node;
pub(super) use priority_class::PriorityClass;
pub(super) use resource_quota::ResourceQuota;
pub(super) use runtime_class::RuntimeClass;
pub(super) use service_account::ServiceAccount;
pub(super) use storage_class::StorageClass;

/// One lister per kind; each follows the store in a task of its own.
pub(super) struct Listers {
    pub(super) namespaces: Lister<Namespace>,
    pub(super) limit_ranges: Lister<LimitRange>,
    pub(super) resource_quotas: Lister<ResourceQuota>,
    pub(super) service_accounts: Lister<ServiceAccount>,
    pub(super) priority_classes: Lister<PriorityClass>,
    pub(super) storage_classes: Lister<StorageClass>,
    pub(super) ingress_classes: Lister<IngressClass>,
    pub(super) runtime_classes: Lister<RuntimeClass>,
    pub(super) nodes: Lister<Node>,
}

impl Listers {
    pub(super) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        Ok(Self {
            namespaces: Lister::start("namespace mirror", registry, tasks)?,
            limit_ranges: Lister::start("limit range mirror", registry, tasks)?,
            resource_quotas: Lister::start("resource quota mirror", registry, tasks)?,
            service_accounts: Lister::start("service account mirror", registry, tasks)?,
            priority_classes: Lister::start("priority class mirror", registry, tasks)?,
            storage_classes: Lister::start("storage class mirror", registry, tasks)?,
            ingress_classes: Lister::start("ingress class mirror", registry, tasks)?,
            runtime_classes: Lister::start("runtime class mirror", registry, tasks)?,
            nodes: Lister::start("node mirror", registry, tasks)?,
        })
    }
}
