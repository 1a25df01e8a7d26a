//! One pod's sync functions (`syncPod`, `SyncTerminatingPod`, `SyncTerminatedPod` of
//! `pkg/kubelet/kubelet.go`): observe the runtime, advance the state, perform one action of the
//! plan, publish. Between two actions the runtime is observed again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k3s_base::error::chain;
use k3s_client::EventType;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::watch;

use crate::model::{self, Observed, Rejection, Slot, State};
use crate::node::state::Readiness;
use crate::pod::burstable::BurstableShares;
use crate::pod::error::{StartError, SyncError};
use crate::pod::handle::Desired;
use crate::pod::message::TerminationMessages;
use crate::pod::perform::{Grace, Performer, SandboxContext, StartRequest};
use crate::pod::plan::{Action, Kill, KillReason, Known, Plan, plan};
use crate::pod::publish::{Publisher, View};
use crate::pod::sizes::Sizes;
use crate::pod::state::{Facts, PodState, StartGate, WorkState, deadline_left, next_attempt};
use crate::pod::status;
use crate::probe::probers::Probers;
use crate::volume::context::Mounted;
use crate::volume::pod::PodVolumes;

mod resize;

/// How long the start of a container that the node has stopped itself may take before the status shows that it
/// does not run.
const RESTART_SHOWN: Duration = Duration::from_secs(1);

/// What a sync led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Something was done: sync again at once.
    Again,
    /// Nothing to do until something changes.
    Wait,
    /// Nothing of the pod is left on the node.
    Finished,
}

/// The pod's state and the means to act on it. Its worker owns it.
pub(crate) struct PodSync {
    performer: Arc<Performer>,
    burstable: Arc<BurstableShares>,
    uid: String,
    desired: watch::Receiver<Desired>,
    readiness: watch::Receiver<Readiness>,
    publisher: Publisher,
    probers: Probers,
    volumes: PodVolumes,
    state: PodState,
    /// What the pod's containers have.
    sizes: Sizes,
    messages: TerminationMessages,
    /// The sandbox that containers are started in, as described for this version of the pod.
    sandbox: Option<(Arc<Pod>, Arc<SandboxContext>)>,
}

impl PodSync {
    pub(crate) fn new(
        performer: Arc<Performer>,
        burstable: Arc<BurstableShares>,
        probers: Probers,
        publisher: Publisher,
        desired: watch::Receiver<Desired>,
    ) -> Self {
        let pod = desired.borrow().pod.clone();
        Self {
            readiness: performer.containers.node.readiness(),
            volumes: PodVolumes::new(performer.volumes.clone()),
            performer,
            burstable,
            uid: model::uid(&pod).to_owned(),
            desired,
            publisher,
            probers,
            state: PodState::resumed(&pod),
            sizes: Sizes::default(),
            messages: TerminationMessages::default(),
            sandbox: None,
        }
    }

    /// Brings the pod one step on.
    pub(crate) async fn sync_once(&mut self) -> Result<Next, SyncError> {
        let desired = self.desired.borrow_and_update().clone();
        let mut observed = self.observe(&desired.pod).await?;
        self.probers.sync(&desired.pod, &observed);
        self.note_verdicts(&desired);
        let goes_on = self.state.work() == WorkState::SyncPod
            && self.state.ended().is_none()
            && !desired.is_deleting();
        if goes_on {
            self.note_resize(&desired, &observed);
        }
        let restarting = self.state.restarts.any_owed();
        let finished = goes_on && self.publish_settled(&desired.pod, &observed, restarting);
        loop {
            let facts = Facts {
                deleting: desired.is_deleting(),
                finished,
                alive: observed.alive(),
            };
            match self.state.advance(facts) {
                WorkState::SyncPod => return self.sync_pod(&desired.pod, &observed).await,
                WorkState::TerminatingPod => {
                    observed = self.sync_terminating_pod(&desired.pod, &observed).await?;
                }
                WorkState::TerminatedPod => {
                    self.sync_terminated_pod(&desired.pod, &observed).await?;
                    return Ok(Next::Wait);
                }
                WorkState::Removal => {
                    self.remove_pod(&desired.pod, &observed).await?;
                    return Ok(Next::Finished);
                }
            }
        }
    }

    /// Reads what the runtime has of the pod and shows it to the node's other parts.
    async fn observe(&mut self, pod: &Pod) -> Result<Arc<Observed>, SyncError> {
        let mut observed = self.performer.observe(&self.uid).await?;
        let config = &self.performer.config;
        self.messages.fill(config, pod, &mut observed);
        self.sizes.adopt(pod, &self.publisher.status(), &observed);
        Ok(self.publisher.publish_observed(observed))
    }

    /// Takes the node's reasons to end the pod: refusal, eviction, the pod's own deadline.
    fn note_verdicts(&mut self, desired: &Desired) {
        let verdicts = [&desired.rejection, &desired.eviction];
        for verdict in verdicts.into_iter().flatten() {
            self.state.end(verdict.clone());
        }
        // A pod that has finished has kept its deadline, also when it is seen after it.
        let status = self.publisher.status();
        let finished = model::is_terminal(status.phase.as_deref());
        let overdue = !finished && self.deadline_left() == Some(Duration::ZERO);
        let ends_already = self.state.ended().is_some() || desired.is_deleting();
        if overdue && !ends_already {
            self.end_overdue(&desired.pod);
        }
    }

    fn end_overdue(&mut self, pod: &Pod) {
        let message = "Pod was active on the node longer than the specified deadline";
        let reason = "DeadlineExceeded";
        self.performer
            .events
            .pod(pod, EventType::Normal, reason, message);
        let rejection = Rejection {
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        self.state.end(Arc::new(rejection));
    }

    /// What separates the pod from its spec, and the first step.
    fn plan(&mut self, pod: &Pod, observed: &Observed) -> (Plan, Option<Action>) {
        let now = self.performer.config.clock.elapsed();
        let may_resize = self.state.may_resize(now);
        let known = Known {
            verdicts: self.probers.verdicts(),
            restarts: &self.state.restarts,
            sizes: &self.sizes,
            may_resize,
        };
        let plan = plan(pod, observed, &known);
        let action = plan.next_action(|slot| self.may_start(pod, observed, slot));
        (plan, action)
    }

    /// Whether a container that the node has stopped is about to run again: that shows once it does.
    fn restarts(&self, pod: &Pod, action: Option<&Action>) -> bool {
        match action {
            Some(Action::StartContainer(slot)) => self.is_owed(pod, *slot),
            Some(Action::Resize(_)) => self.state.restarts.any_owed(),
            _ => false,
        }
    }

    /// Performs the next action of the plan.
    async fn sync_pod(
        &mut self,
        pod: &Arc<Pod>,
        observed: &Arc<Observed>,
    ) -> Result<Next, SyncError> {
        let (plan, action) = self.plan(pod, observed);
        let recreates = plan.create_sandbox.is_some();
        if action.is_some() && !self.restarts(pod, action.as_ref()) {
            // The action may take long.
            self.publish(pod, observed, false);
        }
        match action {
            None => {
                // What waits shows why.
                self.publish_settled(pod, observed, false);
                self.refresh_volumes(pod, observed).await;
                return Ok(Next::Wait);
            }
            Some(Action::KillPod) => self.kill_pod(pod, observed, recreates).await?,
            Some(Action::KillContainers(kills)) => {
                self.note_restarts(pod, &plan);
                self.kill_containers(pod, observed, &kills).await?;
            }
            Some(Action::CreateSandbox { attempt }) => {
                if !self.may_start_pod(pod).await {
                    return Ok(Next::Wait);
                }
                self.create_sandbox(pod, observed, attempt).await?;
            }
            Some(Action::Resize(slots)) => self.resize(pod, observed, &slots).await,
            Some(Action::StartContainer(slot)) => {
                if !self.may_start_pod(pod).await {
                    self.publish(pod, observed, false);
                    return Ok(Next::Wait);
                }
                let started = self.start_container(pod, observed, slot).await;
                if started.is_err() {
                    self.publish(pod, observed, false);
                }
                started?;
            }
        }
        Ok(Next::Again)
    }

    /// Keeps in mind which of the containers that are stopped now are to be started again.
    fn note_restarts(&mut self, pod: &Pod, plan: &Plan) {
        for kill in &plan.kill {
            let container = pod.spec.as_ref().and_then(|spec| kill.slot.of(spec));
            if let Some(container) = container.filter(|_| plan.start.contains(&kill.slot)) {
                let pod_changed = matches!(kill.reason, KillReason::Changed | KillReason::Resized);
                self.state.restarts.stop(&container.name, pod_changed);
            }
        }
    }

    fn is_owed(&self, pod: &Pod, slot: Slot) -> bool {
        let container = pod.spec.as_ref().and_then(|spec| slot.of(spec));
        container.is_some_and(|container| self.state.restarts.is_owed(&container.name))
    }

    /// Whether network and Services are there; [`PodSync::changed`] resolves when they are.
    async fn may_start_pod(&mut self, pod: &Pod) -> bool {
        let readiness = *self.readiness.borrow_and_update();
        if !readiness.admits(model::host_network(pod)) {
            tracing::debug!(pod = %model::pod_key(pod), "the pod network is not ready");
            return false;
        }
        self.performer.containers.api.services_synced().await;
        true
    }

    /// Whether the container does not wait for a back-off; one that enters it gets an event.
    fn may_start(&mut self, pod: &Pod, observed: &Observed, slot: Slot) -> bool {
        let spec = pod.spec.as_ref();
        let Some(container) = spec.and_then(|spec| slot.of(spec)) else {
            return false;
        };
        let name = &container.name;
        let now = self.performer.config.clock.elapsed();
        let latest = observed.latest(name);
        let exited = latest.filter(|record| record.state == State::Exited);
        let exited_at = exited.map(|record| self.monotonic(record.finished_at_ns, now));
        match self.state.start_gate(pod, name, exited_at, now) {
            StartGate::Open => return true,
            StartGate::Waits => {}
            StartGate::EntersBackOff => {
                let pod_name = model::pod_long(pod);
                let message =
                    format!("Back-off restarting failed container {name} in pod {pod_name}");
                self.performer
                    .events
                    .container(pod, slot, EventType::Warning, "BackOff", message);
            }
        }
        false
    }

    /// A wall time of the runtime on the monotonic scale.
    fn monotonic(&self, wall_ns: i64, now: Duration) -> Duration {
        let wall_now = self.performer.config.clock.now().as_nanosecond();
        let wall_now = i64::try_from(wall_now).unwrap_or(i64::MAX);
        let ago_ns = wall_now.saturating_sub(wall_ns);
        let ago_ns = u64::try_from(ago_ns).unwrap_or(0);
        let ago = Duration::from_nanos(ago_ns);
        now.saturating_sub(ago)
    }

    /// Stops everything because the plan says so; with `recreates` a new sandbox follows.
    async fn kill_pod(
        &mut self,
        pod: &Pod,
        observed: &Observed,
        recreates: bool,
    ) -> Result<(), SyncError> {
        if recreates {
            let message = "Pod sandbox changed, it will be killed and re-created.";
            self.performer
                .events
                .pod(pod, EventType::Normal, "SandboxChanged", message);
        }
        self.stop_all(pod, observed).await
    }

    async fn kill_containers(
        &self,
        pod: &Pod,
        observed: &Observed,
        kills: &[Kill],
    ) -> Result<(), SyncError> {
        let grace = grace(&self.desired.borrow());
        self.performer
            .kill_containers(pod, observed, kills, grace)
            .await
    }

    async fn create_sandbox(
        &mut self,
        pod: &Arc<Pod>,
        observed: &Observed,
        attempt: u32,
    ) -> Result<(), SyncError> {
        self.mount_volumes(pod, observed).await?;
        let sandbox = self.performer.create_sandbox(pod, attempt).await?;
        self.sandbox = Some((pod.clone(), Arc::new(sandbox)));
        Ok(())
    }

    /// The sandbox that the pod has.
    async fn sandbox(
        &mut self,
        pod: &Arc<Pod>,
        observed: &Observed,
    ) -> Result<Option<Arc<SandboxContext>>, SyncError> {
        let Some(record) = observed.ready_sandbox() else {
            return Ok(None);
        };
        if let Some((described_for, sandbox)) = &self.sandbox
            && Arc::ptr_eq(described_for, pod)
            && sandbox.id == record.id
        {
            return Ok(Some(sandbox.clone()));
        }
        let sandbox = self.performer.open_sandbox(pod, record).await?;
        let sandbox = Arc::new(sandbox);
        self.sandbox = Some((pod.clone(), sandbox.clone()));
        Ok(Some(sandbox))
    }

    /// The pod's volumes, made or refreshed where something they depend on has changed.
    async fn fresh_volumes(
        &mut self,
        pod: &Arc<Pod>,
        observed: &Observed,
    ) -> Result<Arc<Mounted>, SyncError> {
        let now = self.performer.config.clock.now();
        match self.volumes.fresh(pod, now) {
            Some(mounted) => Ok(mounted),
            None => self.mount_volumes(pod, observed).await,
        }
    }

    /// Makes the pod's cgroup, directories and volumes.
    async fn mount_volumes(
        &mut self,
        pod: &Arc<Pod>,
        observed: &Observed,
    ) -> Result<Arc<Mounted>, SyncError> {
        if self.performer.prepare_pod(pod)? {
            self.sizes.note_pod(pod);
        }
        let node = self.performer.containers.node_context(pod, observed);
        Ok(self.volumes.mount(pod, &node).await?)
    }

    /// Brings the files of a running pod up to date when their sources or the pod changed.
    async fn refresh_volumes(&mut self, pod: &Arc<Pod>, observed: &Observed) {
        if observed.ready_sandbox().is_none() {
            return;
        }
        if let Err(error) = self.fresh_volumes(pod, observed).await {
            // The old files stay; the next change or relist tries again.
            self.report(pod, &error);
        }
    }

    /// Starts one container. A failure of its own makes it wait; only one of the pod is an error.
    async fn start_container(
        &mut self,
        pod: &Arc<Pod>,
        observed: &Arc<Observed>,
        slot: Slot,
    ) -> Result<(), SyncError> {
        let spec = pod.spec.as_ref();
        let Some(container) = spec.and_then(|spec| slot.of(spec)) else {
            return Ok(());
        };
        let attempt = next_attempt(pod, observed, slot, &container.name);
        let volumes = self.fresh_volumes(pod, observed).await?;
        let Some(sandbox) = self.sandbox(pod, observed).await? else {
            return Ok(());
        };
        let request = StartRequest {
            pod,
            slot,
            container: &container,
            observed,
            attempt,
            sandbox: &sandbox,
            volumes: &volumes,
        };
        if let Err(error) = self.try_start(&request).await {
            self.note_start_failure(pod, slot, &container, &error);
        }
        Ok(())
    }

    /// Deletion cuts the pull and the hook short: the next sync stops what was started.
    async fn try_start(&mut self, request: &StartRequest<'_>) -> Result<(), StartError> {
        let performer = self.performer.clone();
        let deleting = deleted(self.desired.clone());
        tokio::pin!(deleting);
        let mut hidden = self.state.restarts.is_owed(&request.container.name);
        let pull = performer.ensure_image(request);
        tokio::pin!(pull);
        let image = loop {
            tokio::select! {
                image = &mut pull => break image?,
                () = &mut deleting => return Ok(()),
                () = tokio::time::sleep(RESTART_SHOWN), if hidden => {
                    hidden = false;
                    self.publish(request.pod, request.observed, false);
                }
            }
        };
        let started = performer.start_container(request, &image).await;
        let is_created = match &started {
            Ok(_) => true,
            Err(error) => error.has_container(),
        };
        if is_created {
            self.note_created(request);
        }
        let id = started?;
        self.sizes.note_container(&id, request.container);
        self.state.note_started(&request.container.name);
        let lifecycle = request.container.lifecycle.as_ref();
        let has_hook = lifecycle.is_some_and(|lifecycle| lifecycle.post_start.is_some());
        if !has_hook {
            return Ok(());
        }
        // The container runs while its hook does, and its status says so.
        if let Ok(observed) = self.observe(request.pod).await {
            self.publish(request.pod, &observed, false);
        }
        let grace = grace(&self.desired.borrow());
        tokio::select! {
            done = performer.post_start(request, &id, grace) => Ok(done?),
            () = deleting => Ok(()),
        }
    }

    /// A container made after a run counts for the crash loop.
    fn note_created(&mut self, request: &StartRequest<'_>) {
        let name = &request.container.name;
        let record = request.observed.latest(name);
        if record.is_some_and(|record| record.state == State::Exited) {
            let now = self.performer.config.clock.elapsed();
            self.state.note_restart(name, now);
        }
    }

    fn note_start_failure(
        &mut self,
        pod: &Pod,
        slot: Slot,
        container: &Container,
        error: &StartError,
    ) {
        let message = error.event_message();
        self.performer
            .events
            .container(pod, slot, EventType::Warning, "Failed", message);
        let now = self.performer.config.clock.elapsed();
        self.state
            .note_start_failure(&container.name, error.waiting(), now);
    }

    /// Stops what runs; returns what the runtime has afterwards.
    async fn sync_terminating_pod(
        &mut self,
        pod: &Pod,
        observed: &Observed,
    ) -> Result<Arc<Observed>, SyncError> {
        self.publish(pod, observed, false);
        self.stop_all(pod, observed).await?;
        let after = self.observe(pod).await?;
        if after.alive() {
            return Err(SyncError::StillRunning);
        }
        Ok(after)
    }

    /// Stops containers, then sandboxes. A grace period that shrinks meanwhile takes effect at once.
    async fn stop_all(&mut self, pod: &Pod, observed: &Observed) -> Result<(), SyncError> {
        let mut desired = self.desired.clone();
        let mut announce = true;
        loop {
            let (grace, period) = {
                let desired = desired.borrow_and_update();
                let period = desired.grace();
                (grace(&desired), period)
            };
            let stop = self
                .performer
                .kill_all_containers(pod, observed, grace, announce);
            tokio::select! {
                stopped = stop => break stopped?,
                () = shrunk(&mut desired, period) => announce = false,
            }
        }
        self.performer.stop_sandboxes(observed).await
    }

    /// Gives back what the pod holds; its containers and logs stay until it is deleted.
    async fn sync_terminated_pod(
        &mut self,
        pod: &Pod,
        observed: &Observed,
    ) -> Result<(), SyncError> {
        self.publish_end(pod, observed);
        self.performer.release(&self.uid).await?;
        self.burstable.update();
        Ok(())
    }

    /// Removes everything of the pod from the node.
    async fn remove_pod(&mut self, pod: &Pod, observed: &Observed) -> Result<(), SyncError> {
        self.publish_end(pod, observed);
        self.performer.remove(pod, observed).await?;
        self.burstable.update();
        Ok(())
    }

    /// Publishes the last status and ends what follows a running pod.
    fn publish_end(&mut self, pod: &Pod, observed: &Observed) {
        self.probers.stop();
        self.publish(pod, observed, true);
        self.volumes.close();
        self.sandbox = None;
    }

    /// True when the phase is one that no pod leaves.
    fn publish(&mut self, pod: &Pod, observed: &Observed, terminal: bool) -> bool {
        self.note_settling(pod, observed);
        self.publisher.publish(&self.view(pod, observed, terminal))
    }

    /// Publishes, but not to the API while a container has just been started: it is about to become
    /// ready, or to end. Nor while one is `restarting`: it is about to run again.
    fn publish_settled(&mut self, pod: &Pod, observed: &Observed, restarting: bool) -> bool {
        let now = self.note_settling(pod, observed);
        let restarts = &self.state.restarts;
        self.publisher.publish(&View {
            held: restarting || status::is_settling(pod, observed, restarts, now),
            ..self.view(pod, observed, false)
        })
    }

    /// Has a sync come when the status that is published next is out of date, and returns the time of this
    /// note. It is taken before the status is computed: what the status holds for not ready yet is so now, too.
    fn note_settling(&mut self, pod: &Pod, observed: &Observed) -> Timestamp {
        let clock = &self.performer.config.clock;
        let now = clock.now();
        let restarts = &self.state.restarts;
        if let Some(left) = status::until_ready(pod, observed, restarts, now) {
            self.state.wake_at(clock.elapsed() + left);
        }
        now
    }

    fn view<'a>(&'a self, pod: &'a Pod, observed: &'a Observed, terminal: bool) -> View<'a> {
        View {
            pod,
            observed,
            state: &self.state,
            verdicts: self.probers.verdicts(),
            sizes: &self.sizes,
            pending: self.desired.borrow().resize.pending.clone(),
            terminal,
            held: false,
        }
    }

    /// Says in log and event what went wrong.
    pub(crate) fn report(&self, pod: &Pod, error: &SyncError) {
        tracing::debug!(pod = %model::pod_key(pod), error = chain(error), "pod not synced");
        if let Some((reason, message)) = error.event() {
            self.performer
                .events
                .pod(pod, EventType::Warning, reason, message);
        }
    }

    fn deadline_left(&self) -> Option<Duration> {
        let status = self.publisher.status();
        let started = status.start_time.as_ref().map(|time| time.0);
        let pod = &self.desired.borrow().pod;
        let now = self.performer.config.clock.now();
        deadline_left(pod, started, now)
    }

    /// How long until a sync is due although nothing changes, if one is: a back-off ends, a token
    /// has to be renewed, a container has run long enough to be ready or the pod's deadline passes.
    pub(crate) fn next_due(&mut self) -> Option<Duration> {
        let clock = &self.performer.config.clock;
        let token = self.volumes.until_refresh(&self.uid, clock.now());
        let timers = [token, self.deadline_left()];
        self.state.next_due(timers, clock.elapsed())
    }

    /// Resolves when something that the pod depends on changes: what is wanted of it, a probe's
    /// verdict, the source of a file, the readiness of the network.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.desired.changed() => {}
            () = self.probers.changed() => {}
            () = self.volumes.changed() => {}
            Ok(()) = self.readiness.changed() => {}
        }
    }
}

fn grace(desired: &Desired) -> Grace {
    if desired.removed {
        Grace::strict(desired.grace())
    } else {
        Grace::new(desired.grace())
    }
}

/// Resolves once the pod is to be deleted.
async fn deleted(mut desired: watch::Receiver<Desired>) {
    if desired.wait_for(Desired::is_deleting).await.is_err() {
        // The handle is dropped with the process, so only the worker's own stop ends it.
        std::future::pending().await
    }
}

/// Resolves once the grace period is shorter than `period`.
async fn shrunk(desired: &mut watch::Receiver<Desired>, period: Duration) {
    let shorter = desired.wait_for(|desired| desired.grace() < period);
    if shorter.await.is_err() {
        std::future::pending().await
    }
}
