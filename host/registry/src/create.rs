//! Creating an object.

use std::sync::Arc;

use k3s_base::clock::rfc3339;
use k3s_meta::{Status, object};
use k3s_store::{Precondition, Write, WriteError};
use serde_json::Value;

use crate::admission::{Attributes, Operation};
use crate::call::Call;
use crate::encoding::encode;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::registry::Registry;
use crate::resource::{Reservation, Resource};
use crate::system_meta;

/// Further attempts with a new `generateName` suffix after a conflict, as upstream makes them.
const NAME_RETRIES: usize = 7;
/// Random characters after a `generateName`.
const SUFFIX_LENGTH: usize = 5;
/// A generated name is cut to this before the suffix, so that it stays a label.
const MAX_GENERATED_BASE: usize = 63 - SUFFIX_LENGTH;

impl Registry {
    /// Creates `object` in `namespace` (empty for cluster-scoped resources).
    ///
    /// # Errors
    /// When the object is refused, invalid, or exists already.
    pub async fn create(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        mut object: Value,
        call: &Call<'_>,
    ) -> Result<Object> {
        check_namespace(resource, namespace, &mut object)?;
        resource.strategy.default(&mut object);
        let name = object::name(&object).to_owned();
        let attributes = call.attributes(Operation::Create, resource, "", namespace, &name);
        call.admission
            .mutate(&attributes, &mut object, None)
            .await?;
        resource.strategy.default(&mut object);
        self.fill(&mut object);
        let generate =
            object::name(&object).is_empty() && !object::generate_name(&object).is_empty();
        // A generated name may be in use already; a name that the client chose gets one attempt.
        let retries = if generate { NAME_RETRIES } else { 0 };
        for _ in 0..retries {
            let attempt = object.clone();
            let created = self.create_named(resource, namespace, attempt, generate, call);
            match created.await {
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
        }
        self.create_named(resource, namespace, object, generate, call)
            .await
    }

    async fn create_named(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        mut object: Value,
        generate: bool,
        call: &Call<'_>,
    ) -> Result<Object> {
        if generate {
            let name = self.generate_name(object::generate_name(&object));
            system_meta::set(&mut object, "name", name);
        }
        let strategy = &resource.strategy;
        strategy.prepare_create(&mut object, &call.context(self.clock.now()));
        let reservation = match &resource.hooks {
            Some(hooks) => hooks.begin_create(&mut object, call.dry_run)?,
            None => Box::new(()),
        };
        if let Some(generation) = strategy.rules().generation.initial() {
            system_meta::set(&mut object, "generation", generation);
        }
        resource.settle(&mut object);
        let errors = strategy.validate_create(&object, resource.kind.namespaced);
        let name = object::name(&object).to_owned();
        if !errors.is_empty() {
            return Err(Status::invalid(&resource.gk(), &name, &errors).into());
        }
        for warning in strategy.warnings(&object, None) {
            call.warnings.add(warning);
        }
        let attributes = call.attributes(Operation::Create, resource, "", namespace, &name);
        call.admission
            .validate(&attributes, Some(&object), None)
            .await?;
        let held = call.admission.hold(&attributes, &object, None).await?;
        if call.dry_run {
            return self.create_dry(resource, namespace, &name, object);
        }
        let stored = self
            .store_new(resource, namespace, &name, object, reservation, generate)
            .await;
        let may_be_made = stored.as_ref().map_or_else(Error::may_be_made, |_| true);
        held.settle(may_be_made).await;
        stored
    }

    async fn store_new(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        name: &str,
        mut object: Value,
        reservation: Box<dyn Reservation>,
        generated: bool,
    ) -> Result<Object> {
        // A text that is no number is dropped, as upstream's versioner drops it.
        if object::resource_version(&object).is_some_and(|version| version != 0) {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Status::unclassified(why).into());
        }
        resource.stored_form(&mut object);
        let mut write = Write::put(
            resource.key(namespace, name),
            Precondition::Absent,
            encode(&mut object)?,
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
                Ok(Object::stored(resource, entry))
            }
            Err(WriteError::Conflict { .. }) if generated => {
                Err(Status::generate_name_conflict(&resource.stored_gr(), name, 1).into())
            }
            Err(WriteError::Conflict { .. }) => {
                Err(Status::already_exists(&resource.stored_gr(), name).into())
            }
            Err(error) => Err(Error::from_write(
                &error,
                &resource.stored_gr(),
                name,
                "create",
            )),
        }
    }

    fn create_dry(
        &self,
        resource: &Arc<Resource>,
        namespace: &str,
        name: &str,
        object: Value,
    ) -> Result<Object> {
        if self.store.get(&resource.key(namespace, name)).is_some() {
            return Err(Status::already_exists(&resource.stored_gr(), name).into());
        }
        Ok(Object::tree(resource, object))
    }

    /// The fields that the server gives every new object.
    fn fill(&self, object: &mut Value) {
        system_meta::wipe(object);
        system_meta::set(object, "uid", system_meta::new_uid(&self.random));
        system_meta::set(object, "creationTimestamp", rfc3339(self.clock.now()));
    }

    fn generate_name(&self, base: &str) -> String {
        let base = base.get(..MAX_GENERATED_BASE).unwrap_or(base);
        format!("{base}{}", self.random.name_suffix(SUFFIX_LENGTH))
    }
}

impl<'a> Call<'a> {
    /// What admission decides on: this write of an object or, where named, of its subresource.
    #[must_use]
    pub fn attributes(
        &self,
        operation: Operation,
        resource: &'a Resource,
        subresource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> Attributes<'a> {
        let Self {
            user,
            dry_run,
            warnings,
            ..
        } = *self;
        Attributes {
            operation,
            resource,
            subresource,
            namespace,
            name,
            user,
            dry_run,
            warnings,
        }
    }
}

/// What happens to the metadata of every object that is created, before anything looks at it: the fields of the
/// server are emptied, the namespace is that of the request. For objects that are not stored.
///
/// # Errors
/// When the object names another namespace.
pub fn receive(resource: &Resource, namespace: &str, object: &mut Value) -> Result<()> {
    system_meta::wipe(object);
    for key in ["uid", "creationTimestamp"] {
        system_meta::remove(object, key);
    }
    check_namespace(resource, namespace, object)
}

/// The namespace in the object, where it has one, must be the one in the request; it is put in where it is missing.
///
/// # Errors
/// 400 for another namespace.
pub fn check_namespace(resource: &Resource, namespace: &str, object: &mut Value) -> Result<()> {
    let named = object::namespace(object);
    if !resource.kind.namespaced {
        if named.is_empty() {
            return Ok(());
        }
        // Upstream drops it: clients send it for kinds that they do not know the scope of.
        system_meta::remove(object, "namespace");
        return Ok(());
    }
    if named.is_empty() {
        system_meta::set(object, "namespace", namespace);
    } else if named != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )
        .into());
    }
    Ok(())
}
