//! The stream that pod lifecycle is driven by: each change of a container, with the state of its
//! whole pod (kubernetes/cri-api, `GetContainerEvents`).

use k3s_cri::v1::{ContainerEventResponse, ContainerEventType};
use tokio::sync::broadcast;

use super::manager::Manager;

/// Events a slow client may lag behind; then its stream ends with an error, and it lists again.
pub(crate) const BUFFER: usize = 1024;

pub(crate) type Sender = broadcast::Sender<ContainerEventResponse>;

impl Manager {
    /// Sends an event to all subscribers. For a sandbox itself `container` is the sandbox's ID, as with
    /// containerd.
    pub(crate) fn emit(&self, sandbox: &str, container: &str, kind: ContainerEventType) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let Ok(found) = self.sandbox(sandbox) else {
            return;
        };
        let event = ContainerEventResponse {
            container_id: container.to_owned(),
            container_event_type: kind as i32,
            created_at: self.now_ns(),
            pod_sandbox_status: Some(found.to_status()),
            containers_statuses: self
                .containers_of(sandbox)
                .iter()
                .map(|container| container.to_status())
                .collect(),
        };
        // There may be no subscriber any more.
        let _ = self.events.send(event);
    }
}
