//! Objects that every cluster has: system namespaces, default policy, priority classes, the
//! `kubernetes` service. Created at each start where missing; what users changed stays.

mod kubernetes;
mod namespaces;
mod policy;
mod priority;
mod rbac;

use std::net::IpAddr;

use k3s_meta::{Reason, UserInfo};
use k3s_registry::{Call, DeleteOptions, NoAdmission, Registry, Result, Scope, Update, Warnings};
use serde_json::Value;

/// What the default objects depend on.
pub(crate) struct Settings {
    pub(crate) advertise_address: IpAddr,
    pub(crate) advertise_port: u16,
    pub(crate) service_address: IpAddr,
    pub(crate) service_cidrs: Vec<String>,
    /// Cluster roles to leave out, with their bindings.
    pub(crate) without_roles: Vec<String>,
}

/// Creates what is missing.
pub(crate) async fn run(registry: &Registry, settings: &Settings) -> Result<()> {
    let bootstrapper = Bootstrapper::new(registry);
    namespaces::ensure(&bootstrapper).await?;
    rbac::ensure(&bootstrapper, &settings.without_roles).await?;
    priority::ensure(&bootstrapper).await?;
    kubernetes::ensure(&bootstrapper, settings).await
}

/// Writes default objects as the server itself.
struct Bootstrapper<'a> {
    registry: &'a Registry,
    user: UserInfo,
    warnings: Warnings,
}

impl<'a> Bootstrapper<'a> {
    fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            user: UserInfo::new("system:apiserver", ["system:masters"]),
            warnings: Warnings::default(),
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            user: &self.user,
            dry_run: false,
            admission: &NoAdmission,
            warnings: &self.warnings,
        }
    }

    /// The object, or `None` when it does not exist.
    fn find(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>> {
        let resource = self.registry.resource(group, "v1", plural)?;
        match self.registry.get(resource, namespace, name) {
            Ok(object) => object.to_value().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the object unless one of its name exists.
    async fn create(
        &self,
        group: &str,
        plural: &str,
        namespace: &str,
        object: Value,
    ) -> Result<()> {
        let resource = self.registry.resource(group, "v1", plural)?;
        match self
            .registry
            .create(resource, namespace, object, &self.call())
            .await
        {
            Err(error) if error.status().reason != Reason::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes the object if it exists.
    async fn delete(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Result<()> {
        let resource = self.registry.resource(group, "v1", plural)?;
        match self
            .registry
            .delete(
                resource,
                namespace,
                name,
                &DeleteOptions::default(),
                &self.call(),
            )
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Changes an object that exists.
    async fn change(
        &self,
        (group, plural): (&str, &str),
        (namespace, name): (&str, &str),
        change: impl Fn(&mut Value) + Send + Sync,
    ) -> Result<()> {
        let resource = self.registry.resource(group, "v1", plural)?;
        let update = Update {
            resource,
            namespace,
            name,
            scope: Scope::Main,
            create_missing: false,
        };
        let changed = |current: Option<&Value>| {
            let mut object = current.cloned().unwrap_or_default();
            change(&mut object);
            Ok(object)
        };
        self.registry.update(&update, &self.call(), changed).await?;
        Ok(())
    }
}
