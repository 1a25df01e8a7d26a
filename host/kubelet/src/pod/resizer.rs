//! Whether this node resizes its pods (`pkg/kubelet/allocation/allocation_manager.go`). A resize that does not
//! fit beside the other pods waits, and is decided on again whenever something about the pods changes.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;
use k3s_client::EventType;
use k8s_openapi::api::core::v1::Pod;

use super::allocation::increases;
use super::handle::PodHandle;
use super::manager::PodManager;
use super::resize::{self, Pending, event_message};
use crate::model::{self, Rejection};
use crate::qos::{self, QosClass};

impl PodManager {
    /// Decides about every resize that waits, in the order of their precedence.
    pub(super) async fn resize_pods(&self) {
        let mut waiting = Vec::new();
        for handle in self.workers.table.list() {
            if let Some(asked) = handle.asked_resize().filter(|_| handle.is_active()) {
                waiting.push((precedence(&handle, &asked), handle, asked));
            }
        }
        waiting.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        for (_, handle, asked) in waiting {
            self.resize_pod(&handle, &asked).await;
        }
    }

    /// Decides about the resize that this version of the pod asks for.
    pub(super) async fn resize_pod(&self, handle: &PodHandle, asked: &Arc<Pod>) {
        match self.decide(asked).await {
            Ok(None) => self.accept_resize(handle, asked),
            Ok(Some(rejection)) => self.defer_resize(handle, asked, rejection),
            Err(error) => {
                handle.update_pod(asked.clone());
                self.try_again(asked, &error);
            }
        }
    }

    fn accept_resize(&self, handle: &PodHandle, asked: &Arc<Pod>) {
        handle.accept_resize(asked);
        self.workers.burstable.update();
        let generation = model::generation(asked);
        let message = event_message("Pod resize started", asked, generation, "");
        self.events
            .pod(asked, EventType::Normal, "ResizeStarted", message);
    }

    fn defer_resize(&self, handle: &PodHandle, asked: &Arc<Pod>, rejection: Rejection) {
        let Rejection { reason, message } = rejection;
        let generation = model::generation(asked);
        let what = format!("Pod resize {reason}");
        let text = event_message(&what, asked, generation, &message);
        let pending = Pending {
            message,
            generation,
        };
        if handle.defer_resize(asked, pending) {
            self.events
                .pod(asked, EventType::Warning, "ResizeDeferred", text);
        }
    }
}

/// Those that ask for no more than they have come first, then those of higher priority, then guaranteed ones,
/// then those that wait the longest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Precedence {
    increases: bool,
    priority: Reverse<i32>,
    is_burstable: bool,
    is_new: bool,
    since: Option<Timestamp>,
}

fn precedence(handle: &PodHandle, asked: &Pod) -> Precedence {
    let priority = asked.spec.as_ref().and_then(|spec| spec.priority);
    let status = handle.status();
    let conditions = status.conditions.iter().flatten();
    let mut pending = conditions.filter(|condition| condition.type_ == resize::PENDING);
    let since = pending
        .next()
        .and_then(|it| it.last_transition_time.as_ref());
    Precedence {
        increases: increases(asked, &handle.pod()),
        priority: Reverse(priority.unwrap_or(0)),
        is_burstable: qos::qos_class(asked) != QosClass::Guaranteed,
        is_new: since.is_none(),
        since: since.map(|since| since.0),
    }
}
