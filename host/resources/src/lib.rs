//! Operations on resources that need other objects or state, above the generic registry.
//!
//! A kind that is described by its own object alone is all in `k3s-kinds`. What is here needs more:
//! Services share address ranges, an eviction asks disruption budgets, `scale` is another form of a
//! workload, custom resources come from definitions. The registry calls this crate through its
//! extension points ([`k3s_registry::Hooks`], [`k3s_registry::Dynamic`]); the API server calls it for
//! subresources. Folders follow the API groups.
//!
//! Nothing here knows HTTP, and nothing starts a task: loops that follow the store are the API
//! server's.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod apiextensions;
pub mod core;
pub mod scale;

use std::sync::Arc;

use k3s_base::Random;
use k3s_registry::{Hooks, Resources};

use crate::core::service::{ServiceAllocator, ServiceSettings};

/// The table of all built-in resources, with the hooks of those that need state of their own.
#[must_use]
pub fn resources(services: ServiceSettings, random: &Random) -> Arc<Resources> {
    let allocator: Arc<dyn Hooks> = Arc::new(ServiceAllocator::new(services, random.clone()));
    let hooks = |group: &str, plural: &str| match (group, plural) {
        ("", "services") => Some(allocator.clone()),
        _ => None,
    };
    Arc::new(Resources::new(k3s_api::kinds(), hooks))
}
