//! A node's network in memory, for checking components: the rules for plans are the real ones, and what
//! a plan says is remembered instead of done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;

use k3s_runtime::Bandwidth;
use k3s_sys::net::DefaultRoute;
use k3s_wit_bindings::net::k3s::net::net::{LinkKind, Plan};
use parking_lot::Mutex;

use crate::error::PlanError;
use crate::grants::Grants;
use crate::host::{NodeNetwork, validate};

/// The fake node's way out.
const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

#[derive(Default)]
struct World {
    /// Plans that say something, by owner.
    plans: BTreeMap<String, Plan>,
    /// Sandboxes that calls are about at present.
    pods: BTreeSet<String>,
    /// Plans that changed something.
    changes: u32,
}

/// A node without a kernel.
pub struct FakeNode {
    grants: Grants,
    world: Mutex<World>,
}

impl FakeNode {
    /// A node on which nothing exists yet.
    #[must_use]
    pub fn new(grants: Grants) -> Self {
        Self {
            grants,
            world: Mutex::default(),
        }
    }

    /// Plans that changed something so far.
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.world.lock().changes
    }

    fn check(&self, world: &World, owner: &str, plan: &Plan) -> Result<(), PlanError> {
        validate(owner, plan, &self.grants)?;
        let links = || {
            world
                .plans
                .iter()
                .filter(|(other, _)| *other != owner)
                .flat_map(|(_, p)| &p.links)
        };
        for link in &plan.links {
            if links().any(|other| other.name == link.name) {
                return Err(PlanError::Conflict(format!(
                    "link {} belongs to another owner",
                    link.name
                )));
            }
            if matches!(link.kind, LinkKind::Pod(_)) && !world.pods.contains(owner) {
                return Err(PlanError::Invalid(format!(
                    "no call is about a sandbox {owner}"
                )));
            }
        }
        let exists = |name: &str| links().chain(&plan.links).any(|link| link.name == name);
        match plan.routes.iter().find(|route| !exists(&route.link)) {
            Some(route) => Err(PlanError::Invalid(format!(
                "a route over a link that does not exist: {}",
                route.link
            ))),
            None => Ok(()),
        }
    }
}

/// The generated types cannot be compared.
fn same(a: &Plan, b: &Plan) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn says_nothing(plan: &Plan) -> bool {
    plan.links.is_empty()
        && plan.routes.is_empty()
        && plan.neighbours.is_empty()
        && plan.tables.is_empty()
        && plan.elements.is_empty()
}

impl NodeNetwork for FakeNode {
    fn limit(&self, _: &str, _: &std::path::Path, _: Bandwidth) -> Result<(), PlanError> {
        Ok(())
    }

    fn begin_pod(&self, id: &str, _: PathBuf) {
        self.world.lock().pods.insert(id.to_owned());
    }

    fn end_pod(&self, id: &str) {
        self.world.lock().pods.remove(id);
    }

    fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, PlanError> {
        let mut world = self.world.lock();
        self.check(&world, owner, plan)?;
        if world
            .plans
            .get(owner)
            .map_or_else(|| says_nothing(plan), |old| same(old, plan))
        {
            return Ok(0);
        }
        world.changes += 1;
        if says_nothing(plan) {
            world.plans.remove(owner);
        } else {
            world.plans.insert(owner.to_owned(), plan.clone());
        }
        Ok(1)
    }

    fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, PlanError> {
        let world = self.world.lock();
        validate(owner, plan, &self.grants)?;
        let equal = world
            .plans
            .get(owner)
            .map_or_else(|| says_nothing(plan), |old| same(old, plan));
        Ok(if equal {
            Vec::new()
        } else {
            vec![format!("the plan of {owner} is different")]
        })
    }

    fn remove(&self, owner: &str) -> Result<(), PlanError> {
        let mut world = self.world.lock();
        world.changes += u32::from(world.plans.remove(owner).is_some());
        Ok(())
    }

    fn owners(&self) -> Result<BTreeSet<String>, PlanError> {
        Ok(self.world.lock().plans.keys().cloned().collect())
    }

    fn uplink(&self) -> Result<DefaultRoute, PlanError> {
        Ok(DefaultRoute {
            interface: "eth0".to_owned(),
            index: 2,
            mtu: 1500,
            address: UPLINK,
            gateway: None,
        })
    }
}
