//! The controllers of the controller manager, and K3s' cloud-node controller.
//!
//! Each controller is a folder: `mod.rs` says what it watches and starts it, `plan.rs` (or several
//! files named after what they decide) is pure, `apply.rs` performs. All act through the API with
//! their own service account, read from one set of informers, and write only what differs: an idle
//! cluster sees no request of theirs.
//!
//! Deliberately absent for now: horizontal autoscaling, certificate signing. Their kinds are served and not
//! acted on.

mod cloudnode;
mod clusterrole;
mod common;
mod context;
mod cronjob;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod endpointslice;
mod endpointslicemirroring;
mod ephemeral;
mod error;
mod garbagecollector;
mod job;
mod namespace;
mod nodeipam;
mod nodelifecycle;
mod persistentvolume;
mod podgc;
mod protection;
mod replicaset;
mod resourcequota;
mod rootca;
mod serviceaccount;
mod statefulset;
mod token;
mod ttl;

pub use context::ControllersConfig;
pub use k3s_reconcile::{ControllerStatus, Statuses};

use context::Context;
use k3s_lifecycle::Tasks;

/// The running controllers.
#[derive(Clone, Debug)]
pub struct Controllers {
    statuses: Statuses,
}

impl Controllers {
    /// Starts all controllers. Each waits for the API.
    #[must_use]
    pub fn start(config: ControllersConfig, tasks: &Tasks) -> Self {
        let tasks = tasks.child("controllers");
        let context = Context::new(config, &tasks);
        for start in STARTERS {
            start(&context);
        }
        Self {
            statuses: context.statuses,
        }
    }

    /// How every controller does.
    #[must_use]
    pub fn statuses(&self) -> Vec<ControllerStatus> {
        self.statuses.snapshot()
    }

    /// Whether every controller has its informers in.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.statuses.all_synced()
    }
}

/// One entry per controller.
const STARTERS: &[fn(&Context)] = &[
    cloudnode::start,
    clusterrole::start,
    cronjob::start,
    daemonset::start,
    deployment::start,
    disruption::start,
    endpoints::start,
    endpointslice::start,
    endpointslicemirroring::start,
    ephemeral::start,
    garbagecollector::start,
    job::start,
    namespace::start,
    nodeipam::start,
    nodelifecycle::start,
    persistentvolume::start,
    podgc::start,
    protection::start,
    replicaset::start,
    resourcequota::start,
    rootca::start,
    serviceaccount::start,
    statefulset::start,
    token::start,
    ttl::start,
];
