//! The eviction task: reads the signals every ten seconds (upstream's `monitoringInterval`), updates
//! the node's pressure and acts on the worst shortage. Neither `statvfs` nor `/proc` can announce a
//! shortage, so this is one of the few places that poll.

use std::sync::Arc;
use std::time::Duration;

use k3s_client::EventType;
use k3s_lifecycle::Tasks;

use super::plan::{self, Candidate, Met, Pressure};
use super::usage::UsageReader;
use super::{limits, message, signals};
use crate::config::KubeletConfig;
use crate::cri::Cri;
use crate::events::Events;
use crate::image::gc;
use crate::image::manager::ImageManager;
use crate::model::{self, Rejection};
use crate::node::state::NodeState;
use crate::pod::handle::PodHandle;
use crate::pod::table::PodTable;

/// Between two readings of the signals.
const PERIOD: Duration = Duration::from_secs(10);
/// An evicted pod may take this long to end before the signals are read again
/// (`podCleanupTimeout`).
const CLEANUP: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct EvictionManager {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) cri: Cri,
    pub(crate) events: Events,
    pub(crate) node: Arc<NodeState>,
    pub(crate) usage: UsageReader,
    pub(crate) images: Arc<ImageManager>,
    pub(crate) pods: Arc<PodTable>,
}

impl EvictionManager {
    /// Starts the manager's task.
    pub(crate) fn start(self, tasks: &Tasks) {
        let stopping = tasks.clone();
        tasks.spawn_until_stopped("eviction", async move {
            let mut pressure = Pressure::default();
            loop {
                self.synchronize(&mut pressure).await;
                if !stopping.sleep(PERIOD).await {
                    return;
                }
            }
        });
    }

    /// One reading of the signals and what follows from it.
    async fn synchronize(&self, pressure: &mut Pressure) {
        let settings = &self.config.eviction;
        let observations = signals::observe(&self.config, &self.cri).await;
        let met = plan::met(settings, &observations, pressure.met());
        let now = self.config.clock.elapsed();
        let conditions = pressure.update(&met, now, settings.transition);
        self.node.set_pressure(conditions);
        self.enforce_limits().await;
        let Some(worst) = plan::worst(&met) else {
            return;
        };
        tracing::warn!(
            signal = worst.signal.name(),
            threshold = %worst.threshold,
            available = worst.available,
            "attempting to reclaim"
        );
        if let Some(node) = self.node.object() {
            let resource = worst.signal.resource();
            let message = format!("Attempting to reclaim {resource}");
            self.events
                .node_warning(&node, "EvictionThresholdMet", &message);
        }
        if !self.reclaim_images(worst).await {
            self.evict_one(worst).await;
        }
    }

    /// Evicts every pod that is over a limit of its own. Costs nothing where no pod has one.
    async fn enforce_limits(&self) {
        let mut limited = self.evictable();
        limited.retain(|handle| limits::has_limit(&handle.pod()));
        if limited.is_empty() {
            return;
        }
        let usages = match self.usage.read().await {
            Ok(usages) => usages,
            Err(error) => {
                tracing::debug!(%error, "use of pods not known");
                return;
            }
        };
        for handle in limited {
            let pod = handle.pod();
            let message = match limits::over_volume(&self.config, &pod).await {
                Some(message) => Some(message),
                None => {
                    let used = usages.get(&handle.uid).cloned().unwrap_or_default();
                    limits::over_limit(&pod, &used)
                }
            };
            if let Some(message) = message {
                self.evict(&handle, message);
            }
        }
    }

    /// Removes unused images where disk is short; true when that was enough.
    async fn reclaim_images(&self, met: &Met) -> bool {
        if !met.signal.is_disk() {
            return false;
        }
        if let Err(error) = gc::collect_all(&self.images).await {
            tracing::warn!(%error, "unused images not removed");
        }
        let observations = signals::observe(&self.config, &self.cri).await;
        let settings = &self.config.eviction;
        let now = plan::met(settings, &observations, &[met.signal]);
        let still_met = now.iter().any(|still| still.signal == met.signal);
        !still_met
    }

    /// Evicts the first pod in the order of eviction and waits until it has ended, so that the next
    /// reading sees what it gave back.
    async fn evict_one(&self, met: &Met) {
        let usages = match self.usage.read().await {
            Ok(usages) => usages,
            Err(error) => {
                tracing::warn!(%error, "use of pods not known");
                return;
            }
        };
        let mut candidates = Vec::new();
        for handle in self.evictable() {
            let usage = usages.get(&handle.uid);
            candidates.push(Candidate {
                pod: handle.pod(),
                usage: usage.cloned().unwrap_or_default(),
            });
        }
        for candidate in plan::ranked(candidates, met.signal) {
            let uid = model::uid(&candidate.pod);
            // It may have ended while its files were counted.
            let Some(handle) = self.pods.get(uid) else {
                continue;
            };
            let message = message::low_on_resource(met, &candidate);
            self.evict(&handle, message);
            let stopped = handle.stopped();
            let _late = tokio::time::timeout(CLEANUP, stopped).await;
            return;
        }
        tracing::warn!(resource = met.signal.resource(), "no pod can be evicted");
    }

    /// Pods that run, are not about to end and are not critical.
    fn evictable(&self) -> Vec<Arc<PodHandle>> {
        let mut handles = self.pods.list();
        handles.retain(|handle| handle.is_evictable() && !model::is_critical(&handle.pod()));
        handles
    }

    /// Ends the pod with the verdict; its worker stops the containers at once.
    fn evict(&self, handle: &PodHandle, message: String) {
        let reason = "Evicted";
        let shown = message.clone();
        self.events
            .pod(&handle.pod(), EventType::Warning, reason, shown);
        handle.evict(Rejection {
            reason: reason.to_owned(),
            message,
        });
    }
}
