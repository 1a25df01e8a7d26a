//! The two ends of a pod's worker. Desired state goes in and published state comes out, each over
//! a channel of which only the newest value counts, so nothing else is shared.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::{Notify, watch};

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
    pub(crate) pod: Arc<Pod>,
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
    let (desired, orders) = watch::channel(Desired {
        source,
        pod,
        removed: source == Source::Orphan,
        rejection: rejection.map(Arc::new),
        eviction: None,
    });
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
    /// The pod as its source last had it.
    pub(crate) fn pod(&self) -> Arc<Pod> {
        self.desired.borrow().pod.clone()
    }

    /// Whether the pod is known in this version of its object.
    pub(crate) fn is_version(&self, resource_version: &str) -> bool {
        let desired = self.desired.borrow();
        desired.pod.metadata.resource_version.as_deref() == Some(resource_version)
    }

    /// A new state of the pod's object.
    pub(crate) fn update_pod(&self, pod: Arc<Pod>) {
        self.desired.send_modify(|desired| desired.pod = pod);
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
}
