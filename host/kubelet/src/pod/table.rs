//! The pods this node works on, and what their workers, probers and the HTTP server share of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::model::{self, Observed};
use super::plan::Verdicts;
use super::status::Rejection;

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

/// What upstream gives a pod on a hard eviction (`immediateEvictionGracePeriodSeconds`).
const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// One pod on this node.
pub(crate) struct Handle {
    pub(crate) source: Source,
    pub(crate) uid: String,
    pod: Mutex<Arc<Pod>>,
    /// The object or file is gone: stop at once, nobody waits for a status.
    removed: AtomicBool,
    /// Refused at admission.
    pub(crate) rejection: Mutex<Option<Rejection>>,
    /// The node wants the pod gone.
    eviction: Mutex<Option<Rejection>>,
    observed: Mutex<Arc<Observed>>,
    status: Mutex<PodStatus>,
    /// The object's version after this node's last write of its status.
    written: AtomicU64,
    verdicts: Mutex<HashMap<String, Verdicts>>,
    wake: Notify,
    /// Wakes a kill in progress when the grace period shrinks.
    hurry: Notify,
}

impl Handle {
    pub(crate) fn new(source: Source, pod: Arc<Pod>) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        Self {
            source,
            uid: model::uid(&pod).to_owned(),
            pod: Mutex::new(pod),
            removed: AtomicBool::new(source == Source::Orphan),
            rejection: Mutex::default(),
            eviction: Mutex::default(),
            observed: Mutex::default(),
            status: Mutex::new(status),
            written: AtomicU64::new(0),
            verdicts: Mutex::default(),
            wake: Notify::new(),
            hurry: Notify::new(),
        }
    }

    /// Notes the version that the node's own write made.
    pub(crate) fn wrote(&self, version: u64) {
        self.written.fetch_max(version, Ordering::AcqRel);
    }

    /// Whether `pod` is newer than the node's last write: somebody else wrote since.
    pub(crate) fn is_newer(&self, pod: &Pod) -> bool {
        let version = pod
            .metadata
            .resource_version
            .as_deref()
            .and_then(|v| v.parse().ok());
        version.unwrap_or(0) > self.written.load(Ordering::Acquire)
    }

    /// The desired pod as last seen.
    pub(crate) fn pod(&self) -> Arc<Pod> {
        self.pod.lock().clone()
    }

    /// Takes a new desired state.
    pub(crate) fn update(&self, pod: Arc<Pod>) {
        *self.pod.lock() = pod;
        self.hurry.notify_waiters();
        self.wake.notify_one();
    }

    /// The object or file is gone.
    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::SeqCst);
        self.hurry.notify_waiters();
        self.wake.notify_one();
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }

    /// Deletion was asked for, or the pod is gone from its source.
    pub(crate) fn is_deleting(&self) -> bool {
        self.is_removed() || self.pod.lock().metadata.deletion_timestamp.is_some()
    }

    /// Ends the pod with this verdict, at once.
    pub(crate) fn evict(&self, verdict: Rejection) {
        *self.eviction.lock() = Some(verdict);
        self.hurry.notify_waiters();
        self.wake.notify_one();
    }

    /// Why the node evicts the pod, if it does.
    pub(crate) fn eviction(&self) -> Option<Rejection> {
        self.eviction.lock().clone()
    }

    /// How long a stop may take now.
    pub(crate) fn grace(&self) -> Duration {
        if self.eviction.lock().is_some() {
            return EVICTION_GRACE;
        }
        if self.is_removed() && self.source == Source::Api {
            return Duration::from_secs(1);
        }
        let pod = self.pod.lock();
        let own = pod
            .spec
            .as_ref()
            .and_then(|s| s.termination_grace_period_seconds);
        let asked = pod
            .metadata
            .deletion_grace_period_seconds
            .or(own)
            .unwrap_or(30);
        Duration::from_secs(u64::try_from(asked).unwrap_or(1).max(1))
    }

    /// Asks the worker to look again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Resolves once the condition holds; looked at after every change of the desired state.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let mut hurried = std::pin::pin!(self.hurry.notified());
            // Registered before the look, so that no change falls between the two.
            hurried.as_mut().enable();
            if condition(self) {
                return;
            }
            hurried.await;
        }
    }

    pub(crate) fn observed(&self) -> Arc<Observed> {
        self.observed.lock().clone()
    }

    pub(crate) fn set_observed(&self, observed: Observed) -> Arc<Observed> {
        let observed = Arc::new(observed);
        *self.observed.lock() = observed.clone();
        observed
    }

    pub(crate) fn status(&self) -> PodStatus {
        self.status.lock().clone()
    }

    pub(crate) fn set_status(&self, status: PodStatus) {
        *self.status.lock() = status;
    }

    pub(crate) fn verdicts(&self) -> HashMap<String, Verdicts> {
        self.verdicts.lock().clone()
    }

    /// Changes a container's verdicts; wakes the worker when that made a difference.
    pub(crate) fn judge(&self, container_id: &str, change: impl FnOnce(&mut Verdicts)) {
        let mut verdicts = self.verdicts.lock();
        let entry = verdicts.entry(container_id.to_owned()).or_default();
        let before = *entry;
        change(entry);
        let changed = before != *entry;
        drop(verdicts);
        if changed {
            self.wake();
        }
    }

    /// Forgets containers that do not run any more.
    pub(crate) fn retain_verdicts(&self, keep: impl Fn(&str) -> bool) {
        self.verdicts.lock().retain(|id, _| keep(id));
    }
}

/// All of them, by uid.
#[derive(Default)]
pub(crate) struct Table(Mutex<HashMap<String, Arc<Handle>>>);

impl Table {
    pub(crate) fn get(&self, uid: &str) -> Option<Arc<Handle>> {
        self.0.lock().get(uid).cloned()
    }

    /// The pod of that name; of two with the name (one on its way out) the newer.
    pub(crate) fn by_name(&self, namespace: &str, name: &str) -> Option<Arc<Handle>> {
        let all = self.list();
        let named = all.into_iter().filter(|h| {
            let pod = h.pod();
            h.source != Source::Orphan
                && model::namespace(&pod) == namespace
                && model::name(&pod) == name
        });
        named.min_by_key(|h| h.is_deleting())
    }

    pub(crate) fn list(&self) -> Vec<Arc<Handle>> {
        self.0.lock().values().cloned().collect()
    }

    pub(crate) fn insert(&self, handle: Arc<Handle>) {
        self.0.lock().insert(handle.uid.clone(), handle);
    }

    pub(crate) fn remove(&self, uid: &str) {
        self.0.lock().remove(uid);
    }
}
