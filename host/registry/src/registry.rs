//! The registry: the store, the table of resources, and what writes need from outside.

use std::sync::Arc;

use k3s_base::{Clock, Random};
use k3s_meta::Status;
use k3s_meta::names::is_path_segment;
use k3s_meta::quote::quote;
use k3s_store::{Entry, Store};

use crate::error::{Error, Result};
use crate::object::Object;
use crate::resource::{Resource, Resources};

/// The generic store of all resources. Cheap to clone; clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Store,
    pub(crate) resources: Arc<Resources>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Registry {
    /// A registry of `resources` over a store that was opened with [`View::extractor`](crate::view::View::extractor) of the same
    /// resources. `clock` stamps objects, `random` makes UIDs and generated names.
    ///
    /// # Errors
    /// When stored objects of a resource with hooks cannot be decoded.
    pub fn new(
        store: Store,
        resources: Arc<Resources>,
        clock: Clock,
        random: Random,
    ) -> Result<Self> {
        let registry = Self {
            store,
            resources,
            clock,
            random,
        };
        for resource in registry.resources.iter() {
            if let Some(hooks) = &resource.hooks {
                hooks.load(resource, &registry)?;
            }
        }
        Ok(registry)
    }

    /// All resources.
    #[must_use]
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// A resource of a kind that is always served.
    ///
    /// # Errors
    /// When the tables lack it, which is a mistake in this program.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Result<&Arc<Resource>> {
        self.resources.get(group, version, plural).ok_or_else(|| {
            Error::internal(format_args!(
                "resource {plural}.{version}.{group} is not registered"
            ))
        })
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock that stamps objects.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The source of UIDs and generated names.
    #[must_use]
    pub fn random(&self) -> &Random {
        &self.random
    }

    /// One object, newest state.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn get(&self, resource: &Arc<Resource>, namespace: &str, name: &str) -> Result<Object> {
        self.entry(resource, namespace, name)
            .map(|entry| Object::stored(resource, entry))
    }

    pub(crate) fn entry(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<Entry>> {
        // Who asks for no name is told that there is none such.
        if !name.is_empty() {
            check_name(name)?;
        }
        self.store
            .get(&resource.key(namespace, name))
            .ok_or_else(|| Status::not_found(&resource.stored_gr(), name).into())
    }
}

/// A name is one segment of a path and of a key (`NamespaceKeyFunc`).
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Status::bad_request("Name parameter required.").into());
    }
    is_path_segment(name).map_err(|violations| {
        let name = quote(name);
        let why: Vec<String> = violations.into_iter().collect();
        Status::bad_request(format!("Name parameter invalid: {name}: {}", why.join(";"))).into()
    })
}
