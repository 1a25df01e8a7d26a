//! Computes a pod's status and hands it on: to those who read it on the node, and to the writer
//! that brings it to the API.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_base::Clock;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;

use super::conditions;
use super::handle::Published;
use super::inputs::Inputs;
use super::plan::Verdicts;
use super::resize::Pending;
use super::sizes::Sizes;
use super::state::PodState;
use super::status::pod_status;
use crate::model::{self, Observed};
use crate::node::state::NodeState;

/// What a status is computed from, besides what the node knows of itself.
pub(crate) struct View<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) observed: &'a Observed,
    pub(crate) state: &'a PodState,
    pub(crate) verdicts: &'a HashMap<String, Verdicts>,
    pub(crate) sizes: &'a Sizes,
    /// Why the pod is not resized.
    pub(crate) pending: Option<Pending>,
    /// No container will be started again.
    pub(crate) terminal: bool,
    /// For the node only: it will change in a moment, which saves the API a write.
    pub(crate) held: bool,
}

/// The one writer of a pod's published state.
pub(crate) struct Publisher {
    pub(crate) node: Arc<NodeState>,
    /// Prefix of container ids.
    pub(crate) runtime_name: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) published: watch::Sender<Published>,
    /// The status to write to the API; changed only when there is something to write.
    pub(crate) updates: watch::Sender<Arc<PodStatus>>,
    /// The version of the object that the writer's last write made.
    pub(crate) written: watch::Receiver<u64>,
}

impl Publisher {
    /// Shows what the runtime has.
    pub(crate) fn publish_observed(&self, observed: Observed) -> Arc<Observed> {
        let observed = Arc::new(observed);
        let shared = observed.clone();
        self.published
            .send_modify(|published| published.observed = shared);
        observed
    }

    /// The status as last computed.
    pub(crate) fn status(&self) -> Arc<PodStatus> {
        self.published.borrow().status.clone()
    }

    /// Computes the status and shows it; true when its phase is one that no pod leaves.
    pub(crate) fn publish(&self, view: &View<'_>) -> bool {
        let ended = view.state.ended();
        // A pod that ends by a verdict is failed only once its containers are stopped.
        let rejection = ended.filter(|_| view.terminal || !view.observed.alive());
        let status = pod_status(&Inputs {
            pod: view.pod,
            observed: view.observed,
            verdicts: view.verdicts,
            waiting: view.state.waiting(),
            restarts: &view.state.restarts,
            sizes: view.sizes,
            pending: view.pending.as_ref(),
            progress: view.state.resizing.progress(),
            before: &self.status(),
            rejection: rejection.map(Arc::as_ref),
            terminal: view.terminal,
            node_ips: self.node.ip_texts(),
            runtime: &self.runtime_name,
            now: self.clock.now(),
        });
        let status = Arc::new(status);
        let finished = model::is_terminal(status.phase.as_deref());
        let shown = status.clone();
        self.published
            .send_modify(|published| published.status = shown);
        let overwritten = self.is_overwritten(view.pod, &status);
        if view.held {
            return finished;
        }
        self.updates.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed || overwritten
        });
        finished
    }

    /// Whether another component has written conditions of the node's since the node's last write.
    fn is_overwritten(&self, pod: &Pod, status: &PodStatus) -> bool {
        let version = pod.metadata.resource_version.as_deref();
        let version = version.and_then(|version| version.parse::<u64>().ok());
        version.unwrap_or(0) > *self.written.borrow() && conditions::overwritten(pod, status)
    }
}
