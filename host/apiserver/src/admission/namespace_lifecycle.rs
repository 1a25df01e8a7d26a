//! NamespaceLifecycle: nothing is created in a namespace that is missing or being deleted, and the
//! namespaces the system lives in stay.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{Cause, CauseType, GroupResource, Status, object};
use k3s_registry::{Attributes, Error, Operation, Result};
use serde_json::Value;

use super::listers::Listers;
use super::{Step, forbidden, is_write_of};

/// Deleting one of these would take the cluster apart.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

pub(super) struct NamespaceLifecycle(Arc<Listers>);

impl NamespaceLifecycle {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }

    fn check_create(&self, attributes: &Attributes<'_>, name: &str) -> Result<()> {
        let namespace = attributes.namespace;
        match self.0.namespaces.get("", namespace)? {
            None => {
                let namespaces = GroupResource::new("", "namespaces");
                Err(Status::not_found(&namespaces, namespace).into())
            }
            Some(found) if found.is_terminating => Err(terminating(attributes, name)),
            Some(_) => Ok(()),
        }
    }
}

/// The refusal that controllers recognise by its cause, and do not retry.
fn terminating(attributes: &Attributes<'_>, name: &str) -> Error {
    let namespace = attributes.namespace;
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
    status.into()
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
            self.check_create(attributes, object::name(new))?;
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        _: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<()> {
        let deletes =
            attributes.operation == Operation::Delete && is_write_of(attributes, "", "namespaces");
        if deletes && IMMORTAL.contains(&attributes.name) {
            let text = "this namespace may not be deleted";
            return Err(forbidden(attributes, attributes.name, text));
        }
        Ok(())
    }
}
