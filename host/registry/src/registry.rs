//! The registry: the store, the table of resources, and what writes need from outside.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_store::{Entry, Extract, Store};

use crate::service::{ServiceHooks, ServiceSettings};
use crate::{Error, Hooks, Object, Resource, Resources, Result, View};
use k3s_meta::Status;

/// How long an Event is kept (`--event-ttl`).
const EVENT_TTL: Duration = Duration::from_secs(3600);

/// What a registry is made of.
pub struct RegistryConfig {
    /// Time of creation and deletion.
    pub clock: Clock,
    /// UIDs and generated names.
    pub random: Random,
    /// Address ranges of services.
    pub services: ServiceSettings,
}

/// The generic store of all resources. Cheap to clone; clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Store,
    pub(crate) resources: Arc<Resources>,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// The first half of making a registry: the store needs [`View`]s from the table of resources, and
/// the registry needs the store.
pub struct Prepared {
    resources: Arc<Resources>,
    services: Arc<ServiceHooks>,
    config: RegistryConfig,
}

impl Registry {
    /// Builds the table of resources. Open the store with [`Prepared::extract`], then
    /// [`Prepared::finish`].
    #[must_use]
    pub fn prepare(config: RegistryConfig) -> Prepared {
        let services = Arc::new(ServiceHooks::new(
            config.services.clone(),
            config.random.clone(),
        ));
        let hooks = services.clone();
        let resources = Resources::new(k3s_api::kinds(), move |group, plural| {
            (group.is_empty() && plural == "services").then(|| hooks.clone() as Arc<dyn Hooks>)
        });
        Prepared {
            resources: Arc::new(resources),
            services,
            config,
        }
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
        self.store
            .get(&resource.key(namespace, name))
            .ok_or_else(|| Status::not_found(&resource.gr(), name).into())
    }

    /// How long an object of this resource is kept without being written again.
    pub(crate) fn ttl(resource: &Resource) -> Option<Duration> {
        (resource.kind.kind == "Event").then_some(EVENT_TTL)
    }
}

impl Prepared {
    /// What the store is to attach to entries.
    #[must_use]
    pub fn extract(&self) -> Extract {
        let resources = self.resources.clone();
        Extract::new(move |key, value| View::extract(&resources, key, value))
    }

    /// The registry over a store that was opened with [`Prepared::extract`].
    ///
    /// # Errors
    /// When stored services cannot be decoded, since their addresses would be given out twice.
    pub fn finish(self, store: Store) -> Result<Registry> {
        let Self {
            resources,
            services,
            config,
        } = self;
        let registry = Registry {
            store,
            resources,
            clock: config.clock,
            random: config.random,
        };
        services.load(&registry)?;
        Ok(registry)
    }
}
