//! Follows the runtime's container events and wakes the workers of the pods they are about
//! (upstream's evented PLEG, `pkg/kubelet/pleg/evented.go`).

use std::sync::Arc;
use std::time::Duration;

use k3s_cri::{Code, v1};
use k3s_lifecycle::Tasks;

use super::handle::PodHandle;
use super::table::PodTable;
use crate::cri::Cri;
use crate::labels;

/// A runtime that cuts the event stream is asked again after this.
const RECONNECT: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct LifecycleEvents {
    pub(crate) cri: Cri,
    pub(crate) pods: Arc<PodTable>,
    pub(crate) tasks: Tasks,
}

impl LifecycleEvents {
    /// Starts the follower's task.
    pub(crate) fn start(self) {
        let tasks = self.tasks.clone();
        tasks.spawn_until_stopped("runtime events", self.run());
    }

    async fn run(self) {
        loop {
            match self.cri.events().await {
                Ok(events) => self.follow(events).await,
                Err(error) => {
                    tracing::debug!(%error, "no runtime events");
                    // A runtime from before CRI events (containerd 1.6): relisting is all that is left.
                    if error.code == Code::Unimplemented {
                        self.relist_all();
                    }
                }
            }
            if !self.tasks.sleep(RECONNECT).await {
                return;
            }
        }
    }

    async fn follow(&self, mut events: tonic::Streaming<v1::ContainerEventResponse>) {
        // While there was no stream, events were lost.
        self.relist_all();
        loop {
            match events.message().await {
                Ok(Some(event)) => self.relist_pod_of(&event),
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(%status, "runtime event stream ended");
                    return;
                }
            }
        }
    }

    fn relist_all(&self) {
        for handle in self.pods.list() {
            handle.relist();
        }
    }

    fn relist_pod_of(&self, event: &v1::ContainerEventResponse) {
        if let Some(uid) = pod_uid(event) {
            if let Some(handle) = self.pods.get(uid) {
                handle.relist();
            }
            return;
        }
        // An event that names no pod belongs to the one that has the container or sandbox.
        let handles = self.pods.list();
        for handle in handles.iter().filter(|h| has(h, &event.container_id)) {
            handle.relist();
        }
    }
}

/// The pod that the event names.
fn pod_uid(event: &v1::ContainerEventResponse) -> Option<&str> {
    let uid = match sandbox_uid(event) {
        Some(uid) => uid,
        None => {
            let mut statuses = event.containers_statuses.iter();
            statuses.find_map(|status| status.labels.get(labels::POD_UID))?
        }
    };
    if uid.is_empty() {
        return None;
    }
    Some(uid)
}

fn sandbox_uid(event: &v1::ContainerEventResponse) -> Option<&String> {
    let sandbox = event.pod_sandbox_status.as_ref()?;
    match &sandbox.metadata {
        Some(metadata) => Some(&metadata.uid),
        None => sandbox.labels.get(labels::POD_UID),
    }
}

fn has(handle: &PodHandle, id: &str) -> bool {
    let observed = handle.observed();
    let mut containers = observed.containers.iter();
    let mut sandboxes = observed.sandboxes.iter();
    containers.any(|c| c.id == id) || sandboxes.any(|s| s.id == id)
}
