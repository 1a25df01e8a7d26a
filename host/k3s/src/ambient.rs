//! What every part of the process is handed: time, randomness, metrics, the start-up timeline, and the
//! task group that it runs in.

use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_client::{Client, Informers};
use k3s_lifecycle::Tasks;
use k3s_observe::{Metrics, Timeline};
use k3s_plugin_host::Policy;

/// Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Ambient {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) metrics: Metrics,
    pub(crate) timeline: Timeline,
    pub(crate) tasks: Tasks,
}

impl Ambient {
    /// The process's own, for its first stage.
    pub(crate) fn new(clock: Clock, tasks: Tasks) -> Self {
        Self {
            random: Random::from_os(),
            metrics: Metrics::new(),
            timeline: Timeline::start(clock.clone()),
            clock,
            tasks,
        }
    }

    /// The same for another stage.
    pub(crate) fn in_stage(&self, tasks: Tasks) -> Self {
        Self {
            tasks,
            ..self.clone()
        }
    }

    /// What instances of plugins are run with.
    pub(crate) fn environment(&self) -> Environment {
        Environment {
            policy: Policy::default(),
            clock: self.clock.clone(),
            random: self.random.clone(),
        }
    }

    /// A set of informers that read with `client`.
    pub(crate) fn informers(&self, client: &Client) -> Informers {
        Informers::new(
            client.clone(),
            self.clock.clone(),
            self.random.clone(),
            &self.tasks,
        )
    }
}
