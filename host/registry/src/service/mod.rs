//! Addresses and ports of services: what a service asks for or is given, reserved before the write
//! and released when it fails or the service goes.
//!
//! The allocation is derived from the stored services; in memory it is only the index over them plus
//! the reservations of writes in flight. So it cannot drift from the state, and two creations at
//! once cannot get the same address.

mod addresses;
mod families;
mod ports;
mod settings;
mod taken;

use std::sync::Arc;

use k3s_base::Random;
use k3s_meta::{ErrorList, GroupKind, Status, object, tree};
use serde_json::Value;

pub use settings::ServiceSettings;
use taken::{Claim, Taken};

use crate::{Hooks, Registry, Reservation, Resource, Result};

/// The hooks of services.
pub(crate) struct ServiceHooks {
    settings: ServiceSettings,
    random: Random,
    taken: Arc<Taken>,
}

/// One write's view of the allocation: errors found and things claimed on the way.
struct Work<'a> {
    settings: &'a ServiceSettings,
    random: &'a Random,
    claim: Claim,
    errors: ErrorList,
}

impl ServiceHooks {
    pub(crate) fn new(settings: ServiceSettings, random: Random) -> Self {
        Self {
            settings,
            random,
            taken: Arc::default(),
        }
    }

    /// Takes note of what stored services hold.
    pub(crate) fn load(&self, registry: &Registry) -> Result<()> {
        let resource = registry.resource("", "v1", "services")?;
        let snapshot = registry.store.snapshot();
        for entry in snapshot.range(&resource.prefix, None) {
            let service = resource.decode(entry)?;
            self.taken
                .load(addresses::held(&service), ports::held(&service));
        }
        Ok(())
    }

    fn work(&self) -> Work<'_> {
        let claim = Claim::new(self.taken.clone());
        Work {
            settings: &self.settings,
            random: &self.random,
            claim,
            errors: ErrorList::new(),
        }
    }

    fn finish(work: Work<'_>, service: &Value, dry_run: bool) -> Result<Box<dyn Reservation>> {
        if !work.errors.is_empty() {
            let gk = GroupKind::new("", "Service");
            return Err(Status::invalid(&gk, object::name(service), &work.errors).into());
        }
        // What a dry run claimed goes back as soon as the claim is dropped.
        if dry_run {
            Ok(Box::new(()))
        } else {
            Ok(Box::new(work.claim))
        }
    }
}

impl Hooks for ServiceHooks {
    fn create(&self, service: &mut Value, dry_run: bool) -> Result<Box<dyn Reservation>> {
        let mut work = self.work();
        addresses::assign(&mut work, service, None);
        ports::assign(&mut work, service, None);
        Self::finish(work, service, dry_run)
    }

    fn update(&self, new: &mut Value, old: &Value, dry_run: bool) -> Result<Box<dyn Reservation>> {
        let mut work = self.work();
        addresses::carry_over(new, old);
        ports::carry_over(new, old);
        addresses::assign(&mut work, new, Some(old));
        ports::assign(&mut work, new, Some(old));
        work.claim.release_on_commit(
            addresses::held(old)
                .difference(&addresses::held(new))
                .copied(),
            ports::held(old).difference(&ports::held(new)).copied(),
        );
        Self::finish(work, new, dry_run)
    }

    fn deleted(&self, old: &Value) {
        self.taken.release(addresses::held(old), ports::held(old));
    }
}

impl Resource {
    /// True for a service type that has a cluster address.
    pub(crate) fn service_needs_address(service: &Value) -> bool {
        tree::text(service, "spec.type") != "ExternalName"
    }
}
