//! The admission chain: one step per file, in upstream's order.
//!
//! Mutating webhooks will join as the last mutating step, validating webhooks and quota as the last
//! validating ones: [`Chain`] is the list to put them in.

mod claim_resize;
mod default_class;
mod default_ingress_class;
mod default_tolerations;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod pod_security;
mod priority;
mod resource_quota;
mod service_account;
mod storage_protection;

use std::sync::Arc;

use async_trait::async_trait;
use k3s_registry::{Admission, Attributes, Registry, Result};
use serde_json::Value;

use crate::authz::Authorizer;

/// One step of the chain. Both halves admit unless they say otherwise.
#[async_trait]
trait Step: Send + Sync {
    /// May change the new object.
    async fn mutate(
        &self,
        _: &Attributes<'_>,
        _new: &mut Value,
        _old: Option<&Value>,
    ) -> Result<()> {
        Ok(())
    }

    /// May only refuse.
    async fn validate(
        &self,
        _: &Attributes<'_>,
        _new: Option<&Value>,
        _old: Option<&Value>,
    ) -> Result<()> {
        Ok(())
    }
}

/// All steps in order.
pub(crate) struct Chain(Vec<Box<dyn Step>>);

impl Chain {
    pub(crate) fn new(registry: &Registry, authorizer: &Arc<Authorizer>) -> Self {
        Self(vec![
            Box::new(namespace_lifecycle::NamespaceLifecycle::new(registry)),
            Box::new(limit_ranger::LimitRanger::new(registry)),
            Box::new(service_account::ServiceAccount::new(registry)),
            Box::new(node_restriction::NodeRestriction::new(registry, authorizer)),
            Box::new(priority::Priority::new(registry)),
            Box::new(default_tolerations::DefaultTolerationSeconds),
            Box::new(default_class::DefaultStorageClass::new(registry)),
            Box::new(storage_protection::StorageObjectInUseProtection),
            Box::new(claim_resize::PersistentVolumeClaimResize::new(registry)),
            Box::new(default_ingress_class::DefaultIngressClass::new(registry)),
            Box::new(pod_security::PodSecurity::new(registry)),
            // The last: what is charged should also be stored.
            Box::new(resource_quota::ResourceQuota::new(registry)),
        ])
    }
}

#[async_trait]
impl Admission for Chain {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<()> {
        for step in &self.0 {
            step.mutate(attributes, new, old).await?;
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        for step in &self.0 {
            step.validate(attributes, new, old).await?;
        }
        Ok(())
    }
}

/// True for a write of the object itself (no subresource) of this group and plural.
fn is(attributes: &Attributes<'_>, group: &str, plural: &str) -> bool {
    attributes.subresource.is_empty() && attributes.resource.is(group, plural)
}

/// An object, or `None` when it does not exist.
fn find(
    registry: &Registry,
    group: &str,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>> {
    let resource = registry.resource(group, "v1", plural)?;
    match registry.get(resource, namespace, name) {
        Ok(object) => object.to_value().map(Some),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
