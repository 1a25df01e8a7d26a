//! Changing an object: one transaction for PUT, PATCH and the subresources.
//!
//! The new object is made from the current one, so that a change can be made again when another client
//! else was faster. Whoever names a resource version gets a conflict instead.

use std::sync::Arc;

use k3s_kinds::{Context, Subresource};
use k3s_meta::{ErrorList, GroupKind, Path, Status, field, object, strconv, tree};
use k3s_store::{Entry, Precondition, Write, WriteError};
use serde_json::Value;

use crate::admission::{Attributes, Operation};
use crate::call::Call;
use crate::create::check_namespace;
use crate::encoding::encode;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::registry::{Registry, check_name};
use crate::resource::{Reservation, Resource};
use crate::system_meta;

/// Tries when others keep changing the same object. A client that loses so often is told to come
/// again.
const TRIES: usize = 32;

/// What part of the object a change may reach.
#[derive(Clone, Copy)]
pub enum Scope {
    /// Everything but what belongs to a subresource.
    Main,
    /// `status`.
    Status,
    /// The part that another subresource owns.
    Subresource(&'static Subresource),
}

/// One change.
pub struct Update<'a> {
    /// The resource.
    pub resource: &'a Arc<Resource>,
    /// The namespace; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// The object.
    pub name: &'a str,
    /// What part of it.
    pub scope: Scope,
    /// Whether a missing object is created from what `make` returns.
    pub create_missing: bool,
}

/// What became of it.
pub struct Updated {
    /// The object after the change.
    pub object: Object,
    /// True when it did not exist before.
    pub created: bool,
}

impl Scope {
    /// The subresource as admission and authorization name it; empty for the object itself.
    #[must_use]
    pub fn subresource(&self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Subresource(subresource) => subresource.name,
        }
    }
}

impl Registry {
    /// Makes the change that `make` describes: from the current object (`None` when it is missing
    /// and may be created) to the new one. `make` runs again when the object changed meanwhile.
    ///
    /// # Errors
    /// When the object is missing, the new one is refused or invalid, or names an old version.
    pub async fn update<F>(
        &self,
        update: &Update<'_>,
        call: &Call<'_>,
        mut make: F,
    ) -> Result<Updated>
    where
        F: FnMut(Option<&Value>) -> Result<Value> + Send,
    {
        let make = |old: Option<&Value>| {
            let new = make(old)?;
            if let Some(old) = old {
                check_uid(update, &new, old)?;
            }
            Ok(new)
        };
        self.change(update, call, make).await
    }

    /// The same for an object that is made by a patch: a UID in it is no precondition, but may not change.
    ///
    /// # Errors
    /// When the object is missing, the new one is refused or invalid, or names an old version.
    pub async fn patch<F>(&self, update: &Update<'_>, call: &Call<'_>, make: F) -> Result<Updated>
    where
        F: FnMut(Option<&Value>) -> Result<Value> + Send,
    {
        self.change(update, call, make).await
    }

    async fn change<F>(&self, update: &Update<'_>, call: &Call<'_>, mut make: F) -> Result<Updated>
    where
        F: FnMut(Option<&Value>) -> Result<Value> + Send,
    {
        let Update {
            resource,
            namespace,
            name,
            ..
        } = *update;
        check_name(name)?;
        let key: Arc<str> = resource.key(namespace, name).into();
        for _ in 0..TRIES {
            let Some(entry) = self.store.get(&key) else {
                if !update.create_missing {
                    return Err(Status::not_found(&resource.stored_gr(), name).into());
                }
                let object = make(None)?;
                if !object::uid(&object).is_empty() || object::resource_version(&object).is_some() {
                    return Err(Status::not_found(&resource.stored_gr(), name).into());
                }
                let object = self.create(resource, namespace, object, call).await?;
                return Ok(Updated {
                    object,
                    created: true,
                });
            };
            if let Some(object) = self.update_once(update, &entry, call, &mut make).await? {
                return Ok(Updated {
                    object,
                    created: false,
                });
            }
        }
        Err(Status::modified(&resource.stored_gr(), name).into())
    }

    /// One try; `None` when another write was faster.
    async fn update_once<F>(
        &self,
        update: &Update<'_>,
        entry: &Arc<Entry>,
        call: &Call<'_>,
        make: &mut F,
    ) -> Result<Option<Object>>
    where
        F: FnMut(Option<&Value>) -> Result<Value> + Send,
    {
        let Update {
            resource,
            namespace,
            name,
            ..
        } = *update;
        let mut old = resource.decode(entry)?;
        system_meta::set_revision(&mut old, entry.mod_revision.0);
        let mut new = make(Some(&old))?;
        check_namespace(resource, namespace, &mut new)?;
        check_version(resource, name, &new, &old)?;
        keep_system_fields(&mut new, &old);
        resource.strategy.default(&mut new);
        let attributes = call.attributes(
            Operation::Update,
            resource,
            update.scope.subresource(),
            namespace,
            name,
        );
        call.admission
            .mutate(&attributes, &mut new, Some(&old))
            .await?;
        resource.strategy.default(&mut new);
        let context = call.context(self.clock.now());
        prepare(resource, update.scope, &mut new, &old, &context);
        let reservation = match (&resource.hooks, update.scope) {
            (Some(hooks), Scope::Main) => hooks.begin_update(&mut new, &old, call.dry_run)?,
            _ => Box::new(()),
        };
        resource.settle(&mut new);
        count_generation(resource, update.scope, &mut new, &old);
        let errors = validate(resource, update.scope, &new, &old);
        if !errors.is_empty() {
            return Err(Status::invalid(&resource.gk(), name, &errors).into());
        }
        if matches!(update.scope, Scope::Main) {
            for warning in resource.strategy.warnings(&new, Some(&old)) {
                call.warnings.add(warning);
            }
        }
        call.admission
            .validate(&attributes, Some(&new), Some(&old))
            .await?;
        let reserved = (new, reservation);
        self.hold_and_store(update, entry, call, &attributes, reserved, &old)
            .await
    }

    /// Stores the new object, and what admission has set aside for it goes back where that certainly failed.
    async fn hold_and_store(
        &self,
        update: &Update<'_>,
        entry: &Arc<Entry>,
        call: &Call<'_>,
        attributes: &Attributes<'_>,
        (new, reservation): (Value, Box<dyn Reservation>),
        old: &Value,
    ) -> Result<Option<Object>> {
        let held = call.admission.hold(attributes, &new, Some(old)).await?;
        let stored = self
            .store_changed(update, entry, new, old, reservation, call.dry_run)
            .await;
        let may_be_made = stored
            .as_ref()
            .map_or_else(Error::may_be_made, Option::is_some);
        held.settle(may_be_made).await;
        stored
    }

    async fn store_changed(
        &self,
        update: &Update<'_>,
        entry: &Arc<Entry>,
        mut new: Value,
        old: &Value,
        reservation: Box<dyn Reservation>,
        dry_run: bool,
    ) -> Result<Option<Object>> {
        let resource = update.resource;
        if dry_run {
            system_meta::set_revision(&mut new, entry.mod_revision.0);
            return Ok(Some(Object::tree(resource, new)));
        }
        if loses_last_finalizer(resource, &new, old) {
            return self.remove_changed(update, entry, new, old).await;
        }
        resource.stored_form(&mut new);
        let value = encode(&mut new)?;
        if value == entry.value {
            // Nothing changed: no write, no event, the same version.
            return Ok(Some(Object::stored(resource, entry.clone())));
        }
        let mut write = Write::put(
            entry.key.clone(),
            Precondition::Revision(entry.mod_revision),
            value,
        );
        if let Some(ttl) = resource.strategy.rules().ttl {
            write = write.with_ttl(ttl);
        }
        match self.store.write(write).await {
            Ok(committed) => {
                reservation.commit();
                let entry = committed
                    .entry
                    .ok_or_else(|| Error::internal("a put made no entry"))?;
                Ok(Some(Object::stored(resource, entry)))
            }
            Err(WriteError::Conflict { .. }) => Ok(None),
            Err(error) => Err(Error::from_write(
                &error,
                &resource.stored_gr(),
                update.name,
                "update",
            )),
        }
    }

    /// The change took away the last thing that held back a deletion.
    async fn remove_changed(
        &self,
        update: &Update<'_>,
        entry: &Arc<Entry>,
        mut new: Value,
        old: &Value,
    ) -> Result<Option<Object>> {
        let write = Write::delete(
            entry.key.clone(),
            Precondition::Revision(entry.mod_revision),
        );
        match self.store.write(write).await {
            Ok(committed) => {
                after_removal(update.resource, old);
                system_meta::set_revision(&mut new, committed.revision.0);
                Ok(Some(Object::tree(update.resource, new)))
            }
            Err(WriteError::Conflict { .. }) => Ok(None),
            Err(error) => Err(Error::from_write(
                &error,
                &update.resource.stored_gr(),
                update.name,
                "update",
            )),
        }
    }
}

/// Everything that follows the removal of `old`.
pub(crate) fn after_removal(resource: &Resource, old: &Value) {
    if let Some(hooks) = &resource.hooks {
        hooks.after_delete(old);
    }
}

/// Optimistic concurrency: the UID that the new object names, if any.
fn check_uid(update: &Update<'_>, new: &Value, old: &Value) -> Result<()> {
    let (want, have) = (object::uid(new), object::uid(old));
    if want.is_empty() || want == have {
        return Ok(());
    }
    let message =
        format!("Precondition failed: UID in precondition: {want}, UID in object meta: {have}");
    Err(Status::conflict(&update.resource.stored_gr(), update.name, &message).into())
}

/// Optimistic concurrency: the version that the new object names, if any.
fn check_version(resource: &Resource, name: &str, new: &Value, old: &Value) -> Result<()> {
    let version = match tree::text(new, "metadata.resourceVersion") {
        "" => 0,
        text => {
            strconv::parse_uint(text).map_err(|why| Status::unclassified(&String::from(why)))?
        }
    };
    if version == 0 {
        if resource.strategy.rules().unconditional_update {
            return Ok(());
        }
        let path = Path::new("metadata").child("resourceVersion");
        let error = field::invalid(&path, 0_i64, "must be specified for an update");
        // Upstream puts the resource where a kind belongs.
        let gk = GroupKind::new(resource.kind.group, resource.kind.plural);
        return Err(Status::invalid(&gk, name, &error.into()).into());
    }
    if Some(version) != object::resource_version(old) {
        return Err(Status::modified(&resource.stored_gr(), name).into());
    }
    Ok(())
}

/// What the server owns stays, whether the client repeats it or leaves it out.
fn keep_system_fields(new: &mut Value, old: &Value) {
    // What is repeated wrongly is no mistake where it cannot change anyway.
    for field in ["creationTimestamp", "deletionTimestamp"] {
        if tree::get(old, &format!("metadata.{field}")).is_some() {
            system_meta::keep(new, old, field);
        }
    }
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if new
            .get("metadata")
            .and_then(|meta| meta.get(field))
            .is_none_or(Value::is_null)
        {
            system_meta::keep(new, old, field);
        }
    }
    for field in ["generation", "resourceVersion"] {
        system_meta::keep(new, old, field);
    }
    system_meta::remove(new, "managedFields");
}

fn prepare(resource: &Resource, scope: Scope, new: &mut Value, old: &Value, context: &Context<'_>) {
    let strategy = &resource.strategy;
    match scope {
        Scope::Main => strategy.prepare_update(new, old, context),
        Scope::Status => strategy.prepare_status_update(new, old, context),
        Scope::Subresource(subresource) => (subresource.prepare)(new, old, context),
    }
}

/// The generation is the old one, or one more after a change that counts. Zero values must have their stored
/// form in both objects.
fn count_generation(resource: &Resource, scope: Scope, new: &mut Value, old: &Value) {
    system_meta::keep(new, old, "generation");
    let counts = match scope {
        Scope::Main => true,
        Scope::Status => false,
        Scope::Subresource(subresource) => subresource.new_generation,
    };
    if counts && resource.strategy.rules().generation.changed(new, old) {
        system_meta::set(new, "generation", object::generation(old).saturating_add(1));
    }
}

fn validate(resource: &Resource, scope: Scope, new: &Value, old: &Value) -> ErrorList {
    let strategy = &resource.strategy;
    let namespaced = resource.kind.namespaced;
    match scope {
        Scope::Main => strategy.validate_update(new, old, namespaced),
        Scope::Status => strategy.validate_status_update(new, old, namespaced),
        Scope::Subresource(subresource) => {
            strategy.validate_subresource(subresource, new, old, namespaced)
        }
    }
}

/// Whether the object was being deleted and the change removed the last finalizer.
fn loses_last_finalizer(resource: &Resource, new: &Value, old: &Value) -> bool {
    let policy = &resource.strategy.rules().delete;
    let held_by_spec = policy.held_by_spec.is_some_and(|held| held(new));
    !held_by_spec
        && object::finalizers(new).is_empty()
        && object::deletion_timestamp(old).is_some()
        && system_meta::grace_period(old).unwrap_or(0) == 0
}
