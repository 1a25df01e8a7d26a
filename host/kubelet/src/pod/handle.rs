//! The two ends of a pod's worker. Desired state goes in and published state comes out, each over
//! a channel of which only the newest value counts, so nothing else is shared.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{Notify, watch};

use super::allocation::Allocation;
use super::resize::{Decision, Pending};
use crate::model::{self, Observed, Rejection};

/// Where a pod comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The API.
    Api,
    /// A manifest file; the API has a mirror of it.
    File,
    /// Only the runtime knows it: it is to be removed.
    Orphan,
}

/// What upstream gives a pod on a hard eviction (`immediateEvictionGracePeriodSeconds`), and what
/// is left to a pod whose object was already deleted.
const SHORTEST_GRACE: Duration = Duration::from_secs(1);

/// What the node wants of the pod.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) source: Source,
    /// The pod with the resources that the node has allocated to it.
    pub(crate) pod: Arc<Pod>,
    /// The pod as its source has it.
    asked: Arc<Pod>,
    allocation: Arc<Allocation>,
    /// It asks for other resources than it has.
    wants_resize: bool,
    /// What the node has decided about resizes.
    pub(crate) resize: Decision,
    /// The object or file was removed: stop at once, since there is no object to write a status to.
    pub(crate) removed: bool,
    /// Refused at admission.
    pub(crate) rejection: Option<Arc<Rejection>>,
    /// The node evicts the pod.
    pub(crate) eviction: Option<Arc<Rejection>>,
}

impl Desired {
    /// Deletion was asked for, or its source has removed the pod.
    pub(crate) fn is_deleting(&self) -> bool {
        self.removed || self.pod.metadata.deletion_timestamp.is_some()
    }

    /// Takes in what the source asks for.
    fn ask(&mut self, pod: Arc<Pod>) {
        self.pod = self.allocation.apply(&pod);
        self.wants_resize = !Arc::ptr_eq(&self.pod, &pod);
        if !self.wants_resize {
            self.resize.pending = None;
        }
        self.asked = pod;
    }

    /// How long a stop may take.
    pub(crate) fn grace(&self) -> Duration {
        if self.eviction.is_some() || (self.removed && self.source == Source::Api) {
            return SHORTEST_GRACE;
        }
        let spec = self.pod.spec.as_ref();
        let asked = self.pod.metadata.deletion_grace_period_seconds;
        let asked = asked.or(spec.and_then(|s| s.termination_grace_period_seconds));
        let secs = u64::try_from(asked.unwrap_or(30)).unwrap_or(1);
        Duration::from_secs(secs).max(SHORTEST_GRACE)
    }
}

/// What the worker last found and concluded.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) observed: Arc<Observed>,
    pub(crate) status: Arc<PodStatus>,
}

/// The outer end: the manager's, eviction's and the HTTP server's view of one pod.
pub(crate) struct PodHandle {
    pub(crate) source: Source,
    pub(crate) uid: String,
    desired: watch::Sender<Desired>,
    published: watch::Receiver<Published>,
    relist: Arc<Notify>,
    rewrite: Arc<Notify>,
}

/// The worker's end.
pub(crate) struct WorkerEnd {
    pub(crate) desired: watch::Receiver<Desired>,
    pub(crate) published: watch::Sender<Published>,
    /// The runtime reported something about the pod.
    pub(crate) relist: Arc<Notify>,
    /// The object that shows the pod differs from what was written.
    pub(crate) rewrite: Arc<Notify>,
}

/// Both ends for a pod that is new on this node.
pub(crate) fn channel(
    source: Source,
    pod: Arc<Pod>,
    rejection: Option<Rejection>,
) -> (PodHandle, WorkerEnd) {
    let uid = model::uid(&pod).to_owned();
    let (published, reader) = watch::channel(Published {
        observed: Arc::default(),
        status: Arc::new(pod.status.clone().unwrap_or_default()),
    });
    let allocation = Allocation::recorded(&pod);
    let mut desired = Desired {
        source,
        pod: pod.clone(),
        asked: pod.clone(),
        allocation: Arc::new(allocation),
        wants_resize: false,
        resize: Decision::resumed(&pod),
        removed: source == Source::Orphan,
        rejection: rejection.map(Arc::new),
        eviction: None,
    };
    desired.ask(pod);
    let (desired, orders) = watch::channel(desired);
    let relist = Arc::new(Notify::new());
    let rewrite = Arc::new(Notify::new());
    let handle = PodHandle {
        source,
        uid,
        desired,
        published: reader,
        relist: relist.clone(),
        rewrite: rewrite.clone(),
    };
    let end = WorkerEnd {
        desired: orders,
        published,
        relist,
        rewrite,
    };
    (handle, end)
}

impl PodHandle {
    /// The pod as its source last had it, but with the resources that the node has allocated to it.
    pub(crate) fn pod(&self) -> Arc<Pod> {
        self.desired.borrow().pod.clone()
    }

    /// The pod as its source last had it, if it asks for other resources than it has.
    pub(crate) fn asked_resize(&self) -> Option<Arc<Pod>> {
        let desired = self.desired.borrow();
        let asks = !desired.is_deleting() && desired.wants_resize;
        asks.then(|| desired.asked.clone())
    }

    /// Whether the pod, in this new version, asks for other resources than it has.
    pub(crate) fn is_resize(&self, pod: &Arc<Pod>) -> bool {
        let desired = self.desired.borrow();
        let is_deleting = desired.removed || pod.metadata.deletion_timestamp.is_some();
        !is_deleting && !Arc::ptr_eq(&desired.allocation.apply(pod), pod)
    }

    /// Takes in this version of the pod, and allocates to it what it asks for.
    pub(crate) fn accept_resize(&self, asked: &Arc<Pod>) {
        let allocation = Arc::new(Allocation::asked(asked));
        self.desired.send_modify(|desired| {
            desired.allocation = allocation;
            desired.resize = Decision {
                accepted: Some(model::generation(asked)),
                pending: None,
            };
            desired.ask(asked.clone());
        });
    }

    /// Takes in this version of the pod, and notes why it does not get what it asks for; true when that is news.
    pub(crate) fn defer_resize(&self, asked: &Arc<Pod>, pending: Pending) -> bool {
        let mut is_new = false;
        self.desired.send_if_modified(|desired| {
            let is_known = Arc::ptr_eq(&desired.asked, asked);
            desired.ask(asked.clone());
            let before = desired.resize.pending.replace(pending.clone());
            is_new = before
                .as_ref()
                .is_none_or(|before| before.generation != pending.generation);
            !is_known || before.as_ref() != Some(&pending)
        });
        is_new
    }

    /// Whether the pod is known in this version of its object.
    pub(crate) fn is_version(&self, resource_version: &str) -> bool {
        let desired = self.desired.borrow();
        desired.pod.metadata.resource_version.as_deref() == Some(resource_version)
    }

    /// A new state of the pod's object.
    pub(crate) fn update_pod(&self, pod: Arc<Pod>) {
        self.desired.send_modify(|desired| desired.ask(pod));
    }

    /// The object or file was removed.
    pub(crate) fn remove(&self) {
        self.desired.send_modify(|desired| desired.removed = true);
    }

    /// Ends the pod with this verdict, at once.
    pub(crate) fn evict(&self, verdict: Rejection) {
        let verdict = Some(Arc::new(verdict));
        self.desired
            .send_modify(|desired| desired.eviction = verdict);
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.desired.borrow().removed
    }

    /// See [`Desired::is_deleting`].
    pub(crate) fn is_deleting(&self) -> bool {
        self.desired.borrow().is_deleting()
    }

    /// Whether the pod counts against the node: it was admitted and has not finished.
    pub(crate) fn is_active(&self) -> bool {
        let admitted = self.desired.borrow().rejection.is_none();
        admitted && !model::is_terminal(self.status().phase.as_deref())
    }

    /// Whether the pod may still be evicted.
    pub(crate) fn is_evictable(&self) -> bool {
        let desired = self.desired.borrow();
        let ending = desired.is_deleting() || desired.eviction.is_some();
        drop(desired);
        !ending && self.is_active()
    }

    /// What the runtime has of the pod, as the worker last saw it.
    pub(crate) fn observed(&self) -> Arc<Observed> {
        self.published.borrow().observed.clone()
    }

    /// The pod's status as the node sees it; the API may not have it yet.
    pub(crate) fn status(&self) -> Arc<PodStatus> {
        self.published.borrow().status.clone()
    }

    /// Resolves once nothing of the pod runs.
    pub(crate) async fn stopped(&self) {
        let mut published = self.published.clone();
        // A worker that has ended has left nothing.
        let _ended = published.wait_for(|p| !p.observed.alive()).await;
    }

    /// Has the status compared with the object, and written where it differs.
    pub(crate) fn rewrite(&self) {
        self.rewrite.notify_one();
    }

    /// Asks the worker to read the runtime's state again.
    pub(crate) fn relist(&self) {
        self.relist.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_grace_period_shrinks_with_what_is_wanted() {
        let pod = |deletion: Option<i64>| -> Arc<Pod> {
            let value = json!({"metadata": {"uid": "u", "deletionGracePeriodSeconds": deletion},
                "spec": {"terminationGracePeriodSeconds": 60, "containers": []}});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let (handle, end) = channel(Source::Api, pod(None), None);
        let grace = || end.desired.borrow().grace().as_secs();
        assert_eq!(grace(), 60);
        handle.update_pod(pod(Some(5)));
        assert_eq!(grace(), 5);
        handle.update_pod(pod(Some(0)));
        assert_eq!(grace(), 1);
        handle.update_pod(pod(Some(30)));
        handle.evict(Rejection {
            reason: "Evicted".into(),
            message: String::new(),
        });
        assert_eq!(grace(), 1);
        assert!(!handle.is_evictable() && handle.is_active());
    }

    #[test]
    fn a_pod_has_what_it_had_until_its_resize_is_accepted() {
        let pod = |generation: i64, cpu: &str| -> Arc<Pod> {
            let resources = json!({"requests": {"cpu": cpu}});
            let value = json!({"metadata": {"uid": "u", "generation": generation},
                "spec": {"containers": [{"name": "c", "resources": resources}]}});
            Arc::new(serde_json::from_value(value).unwrap())
        };
        let (handle, end) = channel(Source::Api, pod(1, "1"), None);
        let desired = || end.desired.borrow().clone();
        let cpu = || crate::qos::pod_requests(&desired().pod).milli_cpu;
        assert!(handle.asked_resize().is_none());
        let asked = pod(2, "3");
        assert!(handle.is_resize(&asked) && !handle.is_resize(&pod(2, "1")));
        let pending = |generation, text: &str| Pending {
            message: text.to_owned(),
            generation,
        };
        assert!(handle.defer_resize(&asked, pending(2, "no room")));
        assert_eq!((cpu(), model::generation(&desired().pod)), (1000, 2));
        assert!(handle.asked_resize().is_some());
        assert!(!handle.defer_resize(&asked, pending(2, "still no room")));
        assert!(handle.defer_resize(&pod(3, "4"), pending(3, "still no room")));
        handle.update_pod(pod(4, "1"));
        assert_eq!(desired().resize, Decision::default());
        handle.accept_resize(&asked);
        assert!(handle.asked_resize().is_none());
        assert_eq!((cpu(), desired().resize.accepted), (3000, Some(2)));
    }
}
