//! The node's network for a component that is tried out: its plans are read and compared, not made true,
//! until the component takes over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_runtime::Bandwidth;
use k3s_sys::net::DefaultRoute;
use k3s_wit_bindings::net::k3s::net::net::Plan;

use super::net::{NodeNetwork, PlanError};

/// A network that does nothing until it is told to.
pub(super) struct Rehearsal {
    pub(super) real: Arc<dyn NodeNetwork>,
    /// Whether plans are made true.
    pub(super) live: Arc<AtomicBool>,
}

impl Rehearsal {
    fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }
}

impl NodeNetwork for Rehearsal {
    fn limit(&self, id: &str, namespace: &Path, limits: Bandwidth) -> Result<(), PlanError> {
        if self.is_live() {
            self.real.limit(id, namespace, limits)
        } else {
            Ok(())
        }
    }

    fn begin_pod(&self, id: &str, namespace: PathBuf) {
        self.real.begin_pod(id, namespace);
    }

    fn end_pod(&self, id: &str) {
        self.real.end_pod(id);
    }

    fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, PlanError> {
        if self.is_live() {
            return self.real.apply(owner, plan);
        }
        let changes = self.real.differences(owner, plan)?;
        Ok(u32::try_from(changes.len()).unwrap_or(u32::MAX))
    }

    fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, PlanError> {
        self.real.differences(owner, plan)
    }

    fn remove(&self, owner: &str) -> Result<(), PlanError> {
        if self.is_live() {
            self.real.remove(owner)
        } else {
            Ok(())
        }
    }

    fn owners(&self) -> Result<BTreeSet<String>, PlanError> {
        self.real.owners()
    }

    fn uplink(&self) -> Result<DefaultRoute, PlanError> {
        self.real.uplink()
    }
}
