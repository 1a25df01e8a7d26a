//! Addresses and ports of services: what a service asks for or is given, reserved before the write
//! and released when the write fails or the service is removed.
//!
//! The allocation is derived from the stored services; memory holds only an index over them plus the
//! reservations of writes in flight. So it cannot drift from the state, and two concurrent creates
//! cannot get the same address.

mod addresses;
mod allocated;
mod families;
mod ports;
mod settings;

use std::sync::Arc;

use k3s_base::Random;
use k3s_meta::{ErrorList, GroupKind, GroupResource, Status, object, tree};
use k3s_registry::{Hooks, Registry, Reservation, Resource, Result};
use serde_json::Value;

use allocated::{Allocated, Claim};
pub use settings::ServiceSettings;

/// Allocates addresses and ports to services as they are written.
pub(crate) struct ServiceAllocator {
    settings: ServiceSettings,
    random: Random,
    allocated: Arc<Allocated>,
}

/// One write's view of the allocation: what it has claimed so far, and errors found on the way.
struct Allocation<'a> {
    settings: &'a ServiceSettings,
    random: &'a Random,
    claim: Claim,
    errors: ErrorList,
    /// A failure that is not the client's mistake.
    failure: Option<Status>,
}

impl ServiceAllocator {
    pub(crate) fn new(settings: ServiceSettings, random: Random) -> Self {
        Self {
            settings,
            random,
            allocated: Arc::default(),
        }
    }

    fn begin(&self, service: &Value) -> Allocation<'_> {
        Allocation {
            settings: &self.settings,
            random: &self.random,
            claim: Claim::new(self.allocated.clone(), holder(service)),
            errors: ErrorList::new(),
            failure: None,
        }
    }
}

impl Allocation<'_> {
    /// Fills in families, addresses and ports of the service, up to the first of them that cannot be had:
    /// what is wrong with it is the answer, before the rest of the service is validated.
    fn run(&mut self, service: &mut Value, old: Option<&Value>) {
        let steps = [families::assign, addresses::assign, ports::assign];
        for step in steps {
            step(self, service, old);
            if self.has_failed() {
                return;
            }
        }
    }

    fn has_failed(&self) -> bool {
        !self.errors.is_empty() || self.failure.is_some()
    }

    /// The claims of a write that has found no errors.
    fn finish(self, service: &Value, dry_run: bool) -> Result<Box<dyn Reservation>> {
        if let Some(failure) = self.failure {
            return Err(failure.into());
        }
        if !self.errors.is_empty() {
            let gk = GroupKind::new("", "Service");
            return Err(Status::invalid(&gk, object::name(service), &self.errors).into());
        }
        // What a dry run claimed is released as soon as the claim is dropped.
        if dry_run {
            Ok(Box::new(()))
        } else {
            Ok(Box::new(self.claim))
        }
    }
}

impl Hooks for ServiceAllocator {
    fn load(&self, resource: &Resource, registry: &Registry) -> Result<()> {
        let snapshot = registry.store().snapshot();
        let entries = snapshot.range(&resource.prefix, None);
        // The rest cannot be served, and must not keep the server from starting.
        for entry in entries.filter(|entry| resource.is_readable(entry)) {
            let service = resource.decode(entry)?;
            let (addresses, ports) = (addresses::held(&service), ports::held(&service));
            self.allocated.load(&holder(&service), addresses, ports);
        }
        Ok(())
    }

    fn begin_create(&self, service: &mut Value, dry_run: bool) -> Result<Box<dyn Reservation>> {
        let mut allocation = self.begin(service);
        addresses::normalize(service);
        allocation.run(service, None);
        // Two clients create one service: what the second is refused for is that the first was there.
        if !allocation.errors.is_empty() && allocation.claim.has_twin() {
            let resource = GroupResource::new("", "services");
            return Err(Status::already_exists(&resource, object::name(service)).into());
        }
        allocation.finish(service, dry_run)
    }

    fn begin_update(
        &self,
        new: &mut Value,
        old: &Value,
        dry_run: bool,
    ) -> Result<Box<dyn Reservation>> {
        let mut allocation = self.begin(new);
        allocation.run(new, Some(old));
        let released_addresses = &addresses::held(old) - &addresses::held(new);
        let released_ports = &ports::held(old) - &ports::held(new);
        allocation
            .claim
            .release_on_commit(released_addresses, released_ports);
        allocation.finish(new, dry_run)
    }

    fn after_delete(&self, old: &Value) {
        self.allocated
            .release(addresses::held(old), ports::held(old));
    }
}

/// A service as others know it.
fn holder(service: &Value) -> Arc<str> {
    format!("{}/{}", object::namespace(service), object::name(service)).into()
}

/// Whether the service has endpoints alone.
fn is_headless(service: &Value) -> bool {
    tree::texts(service, "spec.clusterIPs").first() == Some(&"None")
}

/// True for a service type that has a cluster address.
fn needs_address(service: &Value) -> bool {
    tree::text(service, "spec.type") != "ExternalName"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the first services of one type after another get, and the failure of the last one.
    fn failure(range: &str, ports: u16, kinds: &[&str]) -> (u16, String) {
        let settings = ServiceSettings {
            cidrs: vec![range.parse().unwrap()],
            node_ports: 30000..=30000 + ports - 1,
        };
        let allocator = ServiceAllocator::new(settings, Random::seeded(7));
        let mut held = Vec::new();
        for (index, kind) in kinds.iter().enumerate() {
            let spec =
                json!({"type": kind, "externalTrafficPolicy": "Local", "ports": [{"port": 80}]});
            let name = format!("s{index}");
            let mut service = json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec});
            match allocator.begin_create(&mut service, false) {
                Ok(reservation) => held.push(reservation),
                Err(error) => {
                    assert_eq!(held.len() + 1, kinds.len());
                    let status = error.into_status();
                    return (status.code, status.message);
                }
            }
        }
        panic!("nothing failed");
    }

    #[test]
    fn a_full_range_is_a_failure_of_the_server() {
        for (range, ports, kinds, why) in [
            (
                "10.0.0.0/30",
                9,
                &["ClusterIP", "ClusterIP", "ClusterIP"][..],
                "failed to allocate a serviceIP for Service \"s2\": range is full",
            ),
            (
                "10.0.0.0/24",
                1,
                &["NodePort", "NodePort"][..],
                "failed to allocate a nodePort: range is full",
            ),
            (
                "10.0.0.0/24",
                1,
                &["LoadBalancer"][..],
                "failed to allocate a HealthCheck NodePort 0: range is full",
            ),
        ] {
            let text = format!("Internal error occurred: {why}");
            assert_eq!(failure(range, ports, kinds), (500, text));
        }
    }
}
