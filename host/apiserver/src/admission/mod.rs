//! The admission chain: one step per file, in upstream's order.
//!
//! Steps ask about other objects through [`listers`], so that a request parses no stored object.
//! Mutating webhooks will join as the last mutating step, validating webhooks as the last
//! validating ones: [`Chain`] is the list to put them in. What a write takes is set aside after all of them.

mod claim_resize;
mod default_class;
mod default_ingress_class;
mod default_tolerations;
mod device_access;
mod limit_ranger;
mod listers;
mod namespace_lifecycle;
mod node_restriction;
mod pod_resize;
mod pod_security;
mod priority;
mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_protection;

use std::sync::Arc;

use async_trait::async_trait;
use k3s_lifecycle::Tasks;
use k3s_meta::Status;
use k3s_registry::{Admission, Attributes, Error, Held, Operation, Registry, Result};
use serde_json::Value;

use crate::authz::Authorizer;
use listers::Listers;

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

    /// Sets aside what the write takes, once every step has admitted it.
    async fn hold(
        &self,
        _: &Attributes<'_>,
        _new: &Value,
        _old: Option<&Value>,
        _held: &mut Held,
    ) -> Result<()> {
        Ok(())
    }
}

/// All steps in order.
pub(crate) struct Chain(Vec<Box<dyn Step>>);

impl Chain {
    /// Builds the steps and starts to mirror the cluster state they decide on.
    ///
    /// # Errors
    /// When the store has stopped.
    pub(crate) fn start(
        registry: &Registry,
        authorizer: &Arc<Authorizer>,
        tasks: &Tasks,
    ) -> Result<Self> {
        let listers = Arc::new(Listers::start(registry, tasks)?);
        let steps: Vec<Box<dyn Step>> = vec![
            Box::new(namespace_lifecycle::NamespaceLifecycle::new(&listers)),
            Box::new(limit_ranger::LimitRanger::new(&listers)),
            Box::new(service_account::ServiceAccountStep::new(registry, &listers)),
            Box::new(node_restriction::NodeRestriction::new(registry, authorizer)),
            Box::new(priority::Priority::new(&listers)),
            Box::new(default_tolerations::DefaultTolerationSeconds),
            Box::new(default_class::DefaultStorageClass::new(&listers)),
            Box::new(storage_protection::StorageObjectInUseProtection),
            Box::new(claim_resize::PersistentVolumeClaimResize::new(&listers)),
            Box::new(runtime_class::RuntimeClass::new(&listers)),
            Box::new(default_ingress_class::DefaultIngressClass::new(&listers)),
            Box::new(pod_resize::PodResizeValidator::new(&listers)),
            Box::new(pod_security::PodSecurity::new(registry, &listers)),
            Box::new(device_access::DeviceAccess::new(&listers)),
            Box::new(resource_quota::QuotaStep::new(registry, &listers)),
        ];
        Ok(Self(steps))
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

    async fn hold(
        &self,
        attributes: &Attributes<'_>,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<Held> {
        let mut held = Held::default();
        for step in &self.0 {
            if let Err(refusal) = step.hold(attributes, new, old, &mut held).await {
                held.settle(false).await;
                return Err(refusal);
            }
        }
        Ok(held)
    }
}

/// True for a write of the object itself (no subresource) of this group and plural.
fn is_write_of(attributes: &Attributes<'_>, group: &str, plural: &str) -> bool {
    attributes.subresource.is_empty() && attributes.resource.is(group, plural)
}

/// True for a change of a pod's resources while it runs.
fn is_resize(attributes: &Attributes<'_>) -> bool {
    attributes.operation == Operation::Update
        && attributes.subresource == "resize"
        && attributes.resource.is("", "pods")
}

/// The 403 with which a step refuses the object `name`; `text` says why, in upstream's words.
fn forbidden(attributes: &Attributes<'_>, name: &str, text: &str) -> Error {
    Status::forbidden(&attributes.resource.gr(), name, text).into()
}
