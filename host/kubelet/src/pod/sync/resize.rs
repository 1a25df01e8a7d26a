//! The part of a sync that changes the resources of what runs.

use k3s_base::error::chain;
use k3s_client::EventType;
use k8s_openapi::api::core::v1::Pod;

use super::PodSync;
use crate::model::{self, Observed, Slot};
use crate::pod::error::ResizeError;
use crate::pod::handle::Desired;
use crate::pod::resize::event_message;

impl PodSync {
    /// Takes in what the node has decided about a resize, and says when one is finished.
    pub(super) fn note_resize(&mut self, desired: &Desired, observed: &Observed) {
        let pod = &desired.pod;
        let generation = model::generation(pod);
        let differs = self.sizes.differ(pod, observed);
        let finished = self.state.note_resize(&desired.resize, generation, differs);
        if let Some(generation) = finished {
            let message = event_message("Pod resize completed", pod, generation, "");
            self.performer
                .events
                .pod(pod, EventType::Normal, "ResizeCompleted", message);
        }
    }

    /// Gives the pod's cgroup and these containers the resources of the spec. A failure shows in the pod's
    /// status and is tried again later; containers start all the same.
    pub(super) async fn resize(&mut self, pod: &Pod, observed: &Observed, slots: &[Slot]) {
        let mut resizes = Vec::new();
        let mut resized = Vec::new();
        for slot in slots {
            let container = pod.spec.as_ref().and_then(|spec| slot.of(spec));
            let record = container.as_ref().and_then(|it| observed.latest(&it.name));
            let (Some(container), Some(record)) = (container, record) else {
                continue;
            };
            if let Some(actual) = self.sizes.of(&record.id) {
                let id = &record.id;
                let resize = self.performer.container_resize(pod, &container, id, actual);
                resizes.push(resize);
                resized.push((id, container));
            }
        }
        if let Err(error) = self.performer.resize_pod(pod, &resizes).await {
            return self.note_resize_failure(pod, &error);
        }
        for (id, container) in resized {
            self.sizes.note_container(id, &container);
        }
        self.sizes.note_pod(pod);
    }

    fn note_resize_failure(&mut self, pod: &Pod, error: &ResizeError) {
        let text = chain(error);
        tracing::debug!(pod = %model::pod_key(pod), error = text, "pod not resized");
        if let Some(generation) = self.state.resizing.fail(&text) {
            let message = event_message("Pod resize error", pod, generation, &text);
            self.performer
                .events
                .pod(pod, EventType::Warning, "ResizeError", message);
        }
        let now = self.performer.config.clock.elapsed();
        self.state.note_resize_failure(now);
    }
}
