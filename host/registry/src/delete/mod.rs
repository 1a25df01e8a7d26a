//! Deleting: at once, after a grace period, or when the last finalizer is removed.
//!
//! The rules are those of upstream's `pkg/registry/generic/registry/store.go` and
//! `pkg/registry/rest/delete.go`.

mod collection;
mod options;
mod plan;

use std::sync::Arc;

use bytes::Bytes;
use k3s_meta::{Status, object};
use k3s_store::{Entry, Precondition, Write, WriteError};
use serde_json::{Value, json};

pub use options::{DeleteOptions, Preconditions, Propagation};
use plan::{Plan, plan};

use crate::admission::Operation;
use crate::call::Call;
use crate::encoding::encode;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::system_meta;
use crate::update::after_removal;

/// Tries when others keep changing the same object.
const TRIES: usize = 32;

/// The result of a delete.
pub enum Deleted {
    /// The object is gone; this was its last state.
    Gone(Object),
    /// The object stays until its grace period is over or its finalizers are gone.
    Pending(Object),
}

impl Deleted {
    /// The object.
    #[must_use]
    pub fn object(&self) -> &Object {
        match self {
            Self::Gone(object) | Self::Pending(object) => object,
        }
    }
}

impl Registry {
    /// Deletes one object.
    ///
    /// # Errors
    /// When it does not exist, a precondition does not hold, or admission refuses. An object that cannot
    /// be decoded has no UID, so a precondition on that does not hold.
    pub async fn delete(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
        call: &Call<'_>,
    ) -> Result<Deleted> {
        for _ in 0..TRIES {
            let entry = self.entry(resource, namespace, name)?;
            if !resource.is_readable(&entry) {
                if let Some(done) = self
                    .delete_unreadable(resource, &entry, options, call)
                    .await?
                {
                    return Ok(done);
                }
                continue;
            }
            options.check_readable(&resource.gk(), name)?;
            let mut old = resource.decode(&entry)?;
            system_meta::set_revision(&mut old, entry.mod_revision.0);
            options.preconditions.check(&resource.gk(), name, &old)?;
            let attributes = call.attributes(Operation::Delete, resource, "", namespace, name);
            call.admission
                .validate(&attributes, None, Some(&old))
                .await?;
            let plan = plan(resource, &old, options, &call.context(self.clock.now()));
            if let Some(done) = self
                .carry_out(resource, &entry, old, plan, call.dry_run)
                .await?
            {
                return Ok(done);
            }
        }
        Err(Status::modified(&resource.stored_gr(), name).into())
    }

    /// One try to remove what is stored under a key but is no object; `None` when another write was
    /// faster. Finalizers, grace and hooks are in the bytes that cannot be read, so none apply.
    async fn delete_unreadable(
        &self,
        resource: &Arc<Resource>,
        entry: &Arc<Entry>,
        options: &DeleteOptions,
        call: &Call<'_>,
    ) -> Result<Option<Deleted>> {
        let (namespace, name) = resource.name_in_key(&entry.key);
        let mut known = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind.kind,
            "metadata": {"name": name},
        });
        if !namespace.is_empty() {
            system_meta::set(&mut known, "namespace", namespace);
        }
        system_meta::set_revision(&mut known, entry.mod_revision.0);
        options.preconditions.check(&resource.gk(), name, &known)?;
        let attributes = call.attributes(Operation::Delete, resource, "", namespace, name);
        call.admission.validate(&attributes, None, None).await?;
        if !call.dry_run {
            let at = Precondition::Revision(entry.mod_revision);
            match self.store.write(Write::delete(entry.key.clone(), at)).await {
                Ok(committed) => system_meta::set_revision(&mut known, committed.revision.0),
                Err(WriteError::Conflict { .. }) => return Ok(None),
                Err(error) => {
                    return Err(Error::from_write(
                        &error,
                        &resource.stored_gr(),
                        name,
                        "delete",
                    ));
                }
            }
            tracing::warn!(key = %entry.key, user = %call.user.name, "deleted a stored object that could not be decoded");
        }
        Ok(Some(Deleted::Gone(Object::tree(resource, known))))
    }

    /// One try; `None` when another write was faster.
    async fn carry_out(
        &self,
        resource: &Arc<Resource>,
        entry: &Arc<Entry>,
        old: Value,
        plan: Plan,
        dry_run: bool,
    ) -> Result<Option<Deleted>> {
        let done = match plan {
            Plan::Nothing => {
                return Ok(Some(Deleted::Pending(Object::stored(
                    resource,
                    entry.clone(),
                ))));
            }
            Plan::Mark(mut marked) if dry_run => {
                system_meta::set_revision(&mut marked, entry.mod_revision.0);
                return Ok(Some(Deleted::Pending(Object::tree(resource, *marked))));
            }
            Plan::Remove(last) if dry_run => {
                let last = last.map_or(old, |last| *last);
                return Ok(Some(Deleted::Gone(Object::tree(resource, last))));
            }
            Plan::Mark(mut marked) => {
                resource.stored_form(&mut marked);
                self.mark(resource, entry, encode(&mut marked)?).await
            }
            Plan::Remove(last) => {
                let write = Write::delete(
                    entry.key.clone(),
                    Precondition::Revision(entry.mod_revision),
                );
                self.store.write(write).await.map(|committed| {
                    after_removal(resource, &old);
                    let revision = committed.revision.0;
                    Deleted::Gone(match last {
                        Some(mut last) => {
                            system_meta::set_revision(&mut last, revision);
                            Object::tree(resource, *last)
                        }
                        None => Object::at_revision(resource, entry.clone(), revision),
                    })
                })
            }
        };
        match done {
            Ok(done) => Ok(Some(done)),
            Err(WriteError::Conflict { .. }) => Ok(None),
            Err(error) => Err(Error::from_write(
                &error,
                &resource.stored_gr(),
                object::name(&old),
                "delete",
            )),
        }
    }

    /// Stores the object in the form that its deletion has given it.
    async fn mark(
        &self,
        resource: &Arc<Resource>,
        entry: &Arc<Entry>,
        value: Bytes,
    ) -> std::result::Result<Deleted, WriteError> {
        if value == entry.value {
            return Ok(Deleted::Pending(Object::stored(resource, entry.clone())));
        }
        let write = Write::put(
            entry.key.clone(),
            Precondition::Revision(entry.mod_revision),
            value,
        );
        let committed = self.store.write(write).await?;
        let entry = committed.entry.unwrap_or_else(|| entry.clone());
        Ok(Deleted::Pending(Object::stored(resource, entry)))
    }
}
