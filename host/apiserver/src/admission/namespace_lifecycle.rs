//! NamespaceLifecycle: nothing is created in a namespace that is missing or going, and the
//! namespaces the system lives in stay.

use async_trait::async_trait;
use k3s_meta::{Cause, CauseType, GroupResource, Status, object};
use k3s_registry::{Attributes, Operation, Registry, Result};
use serde_json::Value;

use super::{Step, find, is};

/// Deleting one of these would take the cluster apart.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

pub(super) struct NamespaceLifecycle(Registry);

impl NamespaceLifecycle {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    fn check_create(&self, attributes: &Attributes<'_>, name: &str) -> Result<()> {
        let namespace = attributes.namespace;
        let Some(found) = find(&self.0, "", "namespaces", "", namespace)? else {
            return Err(Status::not_found(&GroupResource::new("", "namespaces"), namespace).into());
        };
        if object::at_str(&found, &["status", "phase"]) != "Terminating"
            && object::deletion_timestamp(&found).is_none()
        {
            return Ok(());
        }
        let text = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut status = Status::forbidden(&attributes.resource.gr(), name, &text);
        if let Some(details) = &mut status.details {
            details.causes.push(Cause {
                reason: CauseType::NAMESPACE_TERMINATING,
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            });
        }
        Err(status.into())
    }
}

#[async_trait]
impl Step for NamespaceLifecycle {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        let creates =
            attributes.operation == Operation::Create && attributes.subresource.is_empty();
        if creates && attributes.resource.kind.namespaced {
            let name = object::name(new).to_owned();
            self.check_create(attributes, &name)?;
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        _: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<()> {
        let deletes = attributes.operation == Operation::Delete && is(attributes, "", "namespaces");
        if deletes && IMMORTAL.contains(&attributes.name) {
            let text = "this namespace may not be deleted";
            return Err(Status::forbidden(&attributes.resource.gr(), attributes.name, text).into());
        }
        Ok(())
    }
}
