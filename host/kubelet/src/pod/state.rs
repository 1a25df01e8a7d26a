//! What a pod's worker knows from one sync to the next, and which of upstream's sync functions
//! comes next (`PodWorkerState` and `podSyncStatus` of `pkg/kubelet/pod_workers.go`). Pure: times
//! are handed in, on the monotonic clock unless a name says otherwise.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k3s_base::Backoffs;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::resize::{Decision, Resizing};
use super::restarts::Restarts;
use crate::model::{self, Observed, Rejection, Slot, Waiting};

/// Crash loop: 10 s, doubled up to 5 minutes.
const CRASH_BASE: Duration = Duration::from_secs(10);
const CRASH_CAP: Duration = Duration::from_secs(300);
/// A container whose start failed is tried again after this (upstream's `backOffPeriod`), as is a resize; pull
/// and crash back-offs hold a container back further.
const START_RETRY: Duration = Duration::from_secs(10);

/// The state of a pod's worker. A worker that has left `SyncPod` never comes back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WorkState {
    /// The pod should run: bring it towards its spec.
    SyncPod,
    /// The pod should end: stop what runs.
    TerminatingPod,
    /// Nothing runs: give back what the pod holds, and keep its record until deletion.
    TerminatedPod,
    /// Nothing runs and deletion was asked for: remove everything, then the object.
    Removal,
}

/// What the next state follows from, besides the node's own verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Deletion was asked for, or the pod's source does not have it any more.
    pub(crate) deleting: bool,
    /// The containers are done and none is started again.
    pub(crate) finished: bool,
    /// A container or sandbox runs.
    pub(crate) alive: bool,
}

/// Whether a container may be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartGate {
    Open,
    /// A back-off is not over.
    Waits,
    /// The same, and its status has not shown it before.
    EntersBackOff,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PodState {
    work: WorkState,
    /// Why the node ends the pod, if it does; the first verdict stays.
    ended: Option<Arc<Rejection>>,
    /// Why containers do not run, from the last attempt to start them.
    waiting: HashMap<String, Waiting>,
    /// Containers that the node stops to start them again.
    pub(crate) restarts: Restarts,
    /// How far the pod's resize is.
    pub(crate) resizing: Resizing,
    /// When a resize that failed may be tried again.
    resize_at: Option<Duration>,
    crash_loop: Backoffs,
    /// When a container whose start failed may be started again.
    retry_at: HashMap<String, Duration>,
    /// When the first of the containers that wait may be started, or counts as ready.
    due: Option<Duration>,
}

impl Default for PodState {
    fn default() -> Self {
        Self {
            work: WorkState::SyncPod,
            ended: None,
            waiting: HashMap::new(),
            restarts: Restarts::default(),
            resizing: Resizing::default(),
            resize_at: None,
            crash_loop: Backoffs::new(CRASH_BASE, CRASH_CAP),
            retry_at: HashMap::new(),
            due: None,
        }
    }
}

impl PodState {
    /// The state of a pod that this process takes over, or that is new.
    pub(crate) fn resumed(pod: &Pod) -> Self {
        Self {
            resizing: Resizing::resumed(pod),
            ..Self::default()
        }
    }

    pub(crate) fn work(&self) -> WorkState {
        self.work
    }

    /// Goes to the state that follows from the facts.
    pub(crate) fn advance(&mut self, facts: Facts) -> WorkState {
        let ending = self.work > WorkState::SyncPod
            || self.ended.is_some()
            || facts.deleting
            || facts.finished;
        self.work = match (ending, facts.alive, facts.deleting) {
            (false, ..) => WorkState::SyncPod,
            (true, true, _) => WorkState::TerminatingPod,
            (true, false, false) => WorkState::TerminatedPod,
            (true, false, true) => WorkState::Removal,
        };
        self.work
    }

    /// Ends the pod with this verdict, unless it has one.
    pub(crate) fn end(&mut self, verdict: Arc<Rejection>) {
        self.ended.get_or_insert(verdict);
    }

    /// Why the node ends the pod.
    pub(crate) fn ended(&self) -> Option<&Arc<Rejection>> {
        self.ended.as_ref()
    }

    /// Why containers do not run, by name.
    pub(crate) fn waiting(&self) -> &HashMap<String, Waiting> {
        &self.waiting
    }

    /// Whether the container may be started. `exited_at` is when it last ran, if it has.
    pub(crate) fn start_gate(
        &mut self,
        pod: &Pod,
        container: &str,
        exited_at: Option<Duration>,
        now: Duration,
    ) -> StartGate {
        let retry_at = self.retry_at.get(container).copied();
        if let Some(at) = retry_at.filter(|at| *at > now) {
            self.wake_at(at);
            return StartGate::Waits;
        }
        let Some((left, delay)) = self.in_crash_loop_backoff(container, exited_at, now) else {
            return StartGate::Open;
        };
        self.wake_at(now + left);
        let message = format!(
            "back-off {} restarting failed container={container} pod={}",
            go_seconds(delay),
            model::pod_long(pod)
        );
        let waiting = Waiting {
            reason: "CrashLoopBackOff",
            message,
        };
        let before = self.waiting.insert(container.to_owned(), waiting.clone());
        if before == Some(waiting) {
            StartGate::Waits
        } else {
            StartGate::EntersBackOff
        }
    }

    /// What is left of the container's back-off, and its whole length.
    fn in_crash_loop_backoff(
        &self,
        container: &str,
        exited_at: Option<Duration>,
        now: Duration,
    ) -> Option<(Duration, Duration)> {
        self.crash_loop.in_backoff(container, exited_at?, now)
    }

    /// The container was created again after a run: the next back-off is longer.
    pub(crate) fn note_restart(&mut self, container: &str, now: Duration) {
        self.crash_loop.next(container, now);
        self.restarts.created(container);
    }

    /// The container runs.
    pub(crate) fn note_started(&mut self, container: &str) {
        self.waiting.remove(container);
        self.retry_at.remove(container);
        self.restarts.started(container);
    }

    /// The container could not be started and is tried again later.
    pub(crate) fn note_start_failure(&mut self, container: &str, waiting: Waiting, now: Duration) {
        let again = now + START_RETRY;
        self.wake_at(again);
        self.retry_at.insert(container.to_owned(), again);
        self.waiting.insert(container.to_owned(), waiting);
    }

    /// Whether what runs may be resized now.
    pub(crate) fn may_resize(&mut self, now: Duration) -> bool {
        let Some(at) = self.resize_at.filter(|at| *at > now) else {
            return true;
        };
        self.wake_at(at);
        false
    }

    /// A resize has failed; it is tried again later, or when another one is accepted.
    pub(crate) fn note_resize_failure(&mut self, now: Duration) {
        self.resize_at = Some(now + START_RETRY);
    }

    /// Takes in what was decided about a resize, and whether anything that runs `differs` from it. Returns the
    /// generation of a resize that is finished now.
    pub(crate) fn note_resize(
        &mut self,
        decision: &Decision,
        generation: i64,
        differs: bool,
    ) -> Option<i64> {
        let accepted = decision.accepted;
        if self.resizing.is_new(accepted) {
            self.resize_at = None;
        }
        // What was stopped for a resize has its resources when it runs again.
        let restarts = self.restarts.any_owed() && self.resizing.progress().is_some();
        self.resizing
            .advance(accepted, generation, differs || restarts)
    }

    /// Has a sync come at this time of the clock.
    pub(crate) fn wake_at(&mut self, at: Duration) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// How long until the first container that waits may be started or counts as ready, or the first timer
    /// of the pod is due. Timers are of running pods: a passed deadline must not wake the worker of a finished
    /// pod again and again.
    pub(crate) fn next_due<const N: usize>(
        &mut self,
        timers: [Option<Duration>; N],
        now: Duration,
    ) -> Option<Duration> {
        // Every sync finds the containers that wait again.
        let due = self.due.take().map(|at| at.saturating_sub(now));
        if self.work > WorkState::SyncPod {
            return due;
        }
        due.into_iter().chain(timers.into_iter().flatten()).min()
    }
}

/// What is left of `activeDeadlineSeconds` for a pod that started at `started`.
pub(crate) fn deadline_left(
    pod: &Pod,
    started: Option<Timestamp>,
    now: Timestamp,
) -> Option<Duration> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let limit = Duration::from_secs(u64::try_from(seconds).ok()?);
    let ran = Duration::try_from(now.duration_since(started?)).unwrap_or_default();
    Some(limit.saturating_sub(ran))
}

/// The number of the next container: one more than the newest has, or than the status remembers of
/// a container that the runtime has lost.
pub(crate) fn next_attempt(pod: &Pod, observed: &Observed, slot: Slot, container: &str) -> u32 {
    if let Some(record) = observed.latest(container) {
        return record.attempt.saturating_add(1);
    }
    last_status(pod, slot, container).map_or(0, |old| {
        let state = old.state.as_ref();
        let ran = state.is_some_and(|s| s.running.is_some() || s.terminated.is_some());
        let restarts = u32::try_from(old.restart_count).unwrap_or(0);
        restarts.saturating_add(u32::from(ran))
    })
}

fn last_status<'a>(pod: &'a Pod, slot: Slot, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let list = match slot {
        Slot::Init(_) => &status.init_container_statuses,
        Slot::Main(_) => &status.container_statuses,
        Slot::Ephemeral(_) => &status.ephemeral_container_statuses,
    };
    list.iter().flatten().find(|s| s.name == container)
}

/// `10s`, `2m40s`: as Go prints whole seconds.
fn go_seconds(duration: Duration) -> String {
    let secs = duration.as_secs();
    match (secs / 60, secs % 60) {
        (0, s) => format!("{s}s"),
        (m, s) => format!("{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        assert_eq!(go_seconds(Duration::from_secs(10)), "10s");
        assert_eq!(go_seconds(Duration::from_secs(160)), "2m40s");
    }

    fn verdict(reason: &str) -> Arc<Rejection> {
        Arc::new(Rejection {
            reason: reason.into(),
            message: String::new(),
        })
    }

    /// `deleting`, `finished`, `alive`, each present or not.
    fn facts(words: &str) -> Facts {
        Facts {
            deleting: words.contains("deleting"),
            finished: words.contains("finished"),
            alive: words.contains("alive"),
        }
    }

    #[test]
    fn work_only_moves_towards_the_end() {
        use WorkState::{Removal, SyncPod, TerminatedPod, TerminatingPod};
        // From each state, what the facts lead to.
        for (from, words, want) in [
            (SyncPod, "", SyncPod),
            (SyncPod, "alive", SyncPod),
            (SyncPod, "finished alive", TerminatingPod),
            (SyncPod, "finished", TerminatedPod),
            (SyncPod, "deleting alive", TerminatingPod),
            (SyncPod, "deleting", Removal),
            (TerminatingPod, "alive", TerminatingPod),
            (TerminatingPod, "", TerminatedPod),
            (TerminatingPod, "deleting", Removal),
            (TerminatedPod, "", TerminatedPod),
            (TerminatedPod, "alive", TerminatingPod),
            (TerminatedPod, "deleting", Removal),
            (Removal, "deleting", Removal),
        ] {
            let mut state = PodState {
                work: from,
                ..PodState::default()
            };
            assert_eq!(state.advance(facts(words)), want, "{from:?} {words}");
        }
    }

    #[test]
    fn the_first_verdict_ends_the_pod() {
        let mut state = PodState::default();
        state.end(verdict("DeadlineExceeded"));
        state.end(verdict("Evicted"));
        let reason = state.ended().map(|v| v.reason.clone());
        assert_eq!(reason.as_deref(), Some("DeadlineExceeded"));
        assert_eq!(state.advance(facts("alive")), WorkState::TerminatingPod);
    }

    #[test]
    fn containers_wait_for_their_back_offs() {
        let secs = Duration::from_secs;
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"}}),
        )
        .unwrap();
        let mut state = PodState::default();
        let gate = |state: &mut PodState, exited: Option<u64>, now: u64| {
            state.start_gate(&pod, "c", exited.map(secs), secs(now))
        };
        assert_eq!(gate(&mut state, None, 0), StartGate::Open);
        // The first restart is free, the second waits.
        assert_eq!(gate(&mut state, Some(1), 1), StartGate::Open);
        state.note_restart("c", secs(1));
        assert_eq!(gate(&mut state, Some(2), 3), StartGate::EntersBackOff);
        assert_eq!(gate(&mut state, Some(2), 4), StartGate::Waits);
        assert_eq!(state.next_due([], secs(4)), Some(secs(8)));
        assert_eq!(
            state.waiting()["c"].message,
            "back-off 10s restarting failed container=c pod=p_n(u)"
        );
        assert_eq!(gate(&mut state, Some(2), 12), StartGate::Open);
        state.note_started("c");
        assert!(state.waiting().is_empty());
        let failure = Waiting {
            reason: "RunContainerError",
            message: String::new(),
        };
        state.note_start_failure("c", failure, secs(20));
        assert_eq!(gate(&mut state, None, 29), StartGate::Waits);
        assert_eq!(state.next_due([], secs(29)), Some(secs(1)));
        assert_eq!(gate(&mut state, None, 30), StartGate::Open);
    }

    #[test]
    fn a_moment_that_passed_before_it_was_asked_for_wakes_at_once_and_once() {
        let millis = Duration::from_millis;
        let mut state = PodState::default();
        state.wake_at(millis(50));
        assert_eq!(state.next_due([], millis(51)), Some(Duration::ZERO));
        assert_eq!(state.next_due([], millis(51)), None);
    }

    #[test]
    fn a_failed_resize_waits_unless_another_one_is_accepted() {
        let secs = Duration::from_secs;
        let accepted = |generation| Decision {
            accepted: Some(generation),
            pending: None,
        };
        let mut state = PodState::default();
        assert_eq!(state.note_resize(&accepted(2), 2, true), None);
        assert!(state.may_resize(secs(1)));
        state.note_resize_failure(secs(1));
        assert!(!state.may_resize(secs(2)));
        assert_eq!(state.next_due([], secs(2)), Some(secs(9)));
        assert!(state.may_resize(secs(11)));
        state.note_resize_failure(secs(11));
        assert_eq!(state.note_resize(&accepted(3), 3, true), None);
        assert!(state.may_resize(secs(12)));
        // A container that was stopped for it runs again first.
        state.restarts.stop("c", true);
        assert_eq!(state.note_resize(&accepted(3), 3, false), None);
        state.note_started("c");
        assert_eq!(state.note_resize(&accepted(3), 3, false), Some(3));
    }

    #[test]
    fn timers_wake_only_the_workers_of_running_pods() {
        let secs = Duration::from_secs;
        let timers = [Some(secs(7)), Some(Duration::ZERO), None];
        let mut state = PodState::default();
        assert_eq!(state.next_due(timers, secs(1)), Some(Duration::ZERO));
        state.advance(facts("finished"));
        assert_eq!(state.next_due(timers, secs(1)), None);
    }

    #[test]
    fn a_deadline_counts_from_the_pods_start() {
        let pod: Pod = serde_json::from_value(
            json!({"spec": {"activeDeadlineSeconds": 10, "containers": []}}),
        )
        .unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let left = |started, now| deadline_left(&pod, started, now).map(|left| left.as_secs());
        assert_eq!(left(Some(at(100)), at(104)), Some(6));
        assert_eq!(left(Some(at(100)), at(200)), Some(0));
        assert_eq!(left(None, at(200)), None);
    }

    #[test]
    fn attempts_continue_after_a_container_the_runtime_has_lost() {
        let pod: Pod = serde_json::from_value(json!({"status": {"containerStatuses": [
            {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 4, "state": {"running": {}}}]}}))
        .unwrap();
        let none = Observed::default();
        assert_eq!(next_attempt(&pod, &none, Slot::Main(0), "c"), 5);
        assert_eq!(next_attempt(&pod, &none, Slot::Main(0), "new"), 0);
    }
}
