//! The node's network for a plugin that does not serve yet: its plans are read and compared, not made
//! true, until the plugin takes over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_runtime::Bandwidth;
use k3s_sys::net::DefaultRoute;
use k3s_wit_bindings::net::k3s::net::net::Plan;

use crate::error::PlanError;
use crate::host::NodeNetwork;

/// A network that changes nothing while its plugin is a candidate.
pub struct Rehearsal {
    real: Arc<dyn NodeNetwork>,
    /// Whether plans are made true.
    live: Arc<AtomicBool>,
}

impl Rehearsal {
    /// Plans go to `real` from the moment on that `live` is set.
    #[must_use]
    pub fn new(real: Arc<dyn NodeNetwork>, live: Arc<AtomicBool>) -> Self {
        Self { real, live }
    }

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
