//! One task per pod: looks at the runtime, decides by `plan.rs`, acts, publishes the status, sleeps
//! until something happens. It alone touches the pod's containers, so nothing is started twice.
//!
//! When the process stops, workers leave their pods running: the next process adopts them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k3s_client::{EventType, Informer, Subscription, resources};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;

use super::backoff::Backoffs;
use super::model::{self, Observed, State};
use super::status::{Inputs, Rejection, Waiting, pod_status};
use super::table::Handle;
use super::{conditions, plan, start, stop, writer};
use crate::container::fields::NodeFacts;
use crate::context::Ctx;
use crate::probe::Probers;
use crate::volume;

/// Nothing happened for this long: look anyway, in case an event was lost.
const SAFETY_RELIST: Duration = Duration::from_secs(90);
/// Failed steps are tried again after this, doubled up to the cap.
const RETRY_BASE: Duration = Duration::from_millis(500);
const RETRY_CAP: Duration = Duration::from_secs(30);
/// Crash loop: 10 s, doubled up to 5 minutes.
const CRASH_BASE: Duration = Duration::from_secs(10);
const CRASH_CAP: Duration = Duration::from_secs(300);

/// What the worker remembers between looks.
pub(crate) struct Worker {
    pub(crate) ctx: Ctx,
    pub(crate) handle: Arc<Handle>,
    /// Why a container does not run, from the last try.
    pub(crate) waiting: HashMap<String, Waiting>,
    pub(crate) crash: Backoffs,
    /// When something that waits is due.
    pub(crate) due: Option<Duration>,
    /// When a container whose start failed is tried again.
    pub(crate) retry_at: HashMap<String, Duration>,
    retry: Duration,
    probers: Probers,
    status: watch::Sender<PodStatus>,
    /// A verdict that ended the pod while it ran.
    ended: Option<Rejection>,
    watches: Vec<(Informer, Subscription)>,
    mounted_for: Option<Arc<Pod>>,
    messages: HashMap<String, String>,
}

/// What one look led to.
enum Next {
    /// Something was done: look again at once.
    Again,
    /// Sleep until woken or due.
    Wait,
    /// The pod is gone.
    Done,
}

/// Runs the pod until it is gone or the process stops.
pub(crate) async fn run(ctx: Ctx, handle: Arc<Handle>) {
    let (status, updates) = watch::channel(PodStatus::default());
    let worker = Worker {
        ctx: ctx.clone(),
        handle: handle.clone(),
        waiting: HashMap::new(),
        crash: Backoffs::new(CRASH_BASE, CRASH_CAP),
        due: None,
        retry_at: HashMap::new(),
        retry: RETRY_BASE,
        probers: Probers::new(&ctx, &handle),
        status,
        ended: None,
        watches: Vec::new(),
        mounted_for: None,
        messages: HashMap::new(),
    };
    // The writer ends when the worker drops its sender, after the last status.
    let (gone, ()) = tokio::join!(
        worker.run(),
        writer::run(ctx.clone(), handle.clone(), updates)
    );
    if gone {
        writer::delete(&ctx, &handle).await;
        ctx.pods.remove(&handle.uid);
        super::manager::readmit(&ctx, &handle);
    }
}

impl Worker {
    /// True when the pod is gone; false when the process stops.
    async fn run(mut self) -> bool {
        let stopping = self.ctx.tasks.stopping();
        loop {
            let step = tokio::select! {
                step = self.look() => step,
                () = stopping.cancelled() => return false,
            };
            match step {
                Ok(Next::Again) => self.retry = RETRY_BASE,
                Ok(Next::Wait) => {
                    self.retry = RETRY_BASE;
                    if !self.sleep(SAFETY_RELIST).await {
                        return false;
                    }
                }
                Ok(Next::Done) => return true,
                Err(message) => {
                    tracing::debug!(pod = %model::pod_key(&self.handle.pod()), %message, "pod step failed");
                    let wait = self.retry;
                    self.retry = (self.retry * 2).min(RETRY_CAP);
                    if !self.sleep(wait).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Waits for a wake-up, a due time or `limit`; false when the process stops.
    async fn sleep(&mut self, limit: Duration) -> bool {
        let now = self.ctx.config.clock.elapsed();
        let due = self.due.take().map(|at| at.saturating_sub(now));
        let token = self
            .ctx
            .tokens
            .next_refresh(&self.handle.uid)
            .and_then(|at| Duration::try_from(at.duration_since(self.ctx.config.clock.now())).ok());
        let deadline = self.deadline_left();
        let wait = [due, token, deadline]
            .into_iter()
            .flatten()
            .fold(limit, Duration::min);
        let stopping = self.ctx.tasks.stopping();
        tokio::select! {
            () = tokio::time::sleep(wait) => self.mounted_for = token.filter(|t| *t <= wait).map_or(self.mounted_for.take(), |_| None),
            () = self.handle.woken() => {}
            () = changed(&mut self.watches) => self.mounted_for = None,
            () = stopping.cancelled() => return false,
        }
        true
    }

    /// One look at the pod and what follows from it.
    async fn look(&mut self) -> Result<Next, String> {
        let pod = self.handle.pod();
        let mut observed = self
            .ctx
            .cri
            .observe(&self.handle.uid)
            .await
            .map_err(|e| e.to_string())?;
        self.read_messages(&pod, &mut observed);
        let observed = self.handle.set_observed(observed);
        self.probers.sync(&pod, &observed);
        if self.handle.is_deleting() {
            return self.terminate(&pod, true).await;
        }
        if self.ended.is_none() {
            self.ended = self.handle.eviction();
        }
        if self.handle.rejection.lock().is_some() || self.ended.is_some() {
            return self.terminate(&pod, false).await;
        }
        if self.deadline_left() == Some(Duration::ZERO) {
            let message = "Pod was active on the node longer than the specified deadline";
            self.ctx
                .events
                .pod(&pod, EventType::Normal, "DeadlineExceeded", message);
            self.ended = Some(Rejection {
                reason: "DeadlineExceeded".into(),
                message: message.into(),
            });
            return Ok(Next::Again);
        }
        let phase = self.publish(&pod, &observed, false);
        if matches!(phase.as_str(), "Succeeded" | "Failed") {
            return self.terminate(&pod, false).await;
        }
        self.refresh_volumes(&pod, &observed).await;
        self.sync(&pod, &observed).await
    }

    /// Brings the pod towards its spec.
    async fn sync(&mut self, pod: &Arc<Pod>, observed: &Arc<Observed>) -> Result<Next, String> {
        let plan = plan::plan(pod, observed, &self.handle.verdicts());
        if plan.is_empty() {
            return Ok(Next::Wait);
        }
        if plan.kill_pod {
            if plan.create_sandbox.is_some() {
                self.ctx.events.pod(
                    pod,
                    EventType::Normal,
                    "SandboxChanged",
                    "Pod sandbox changed, it will be killed and re-created.",
                );
            }
            stop::pod(self, pod, observed).await?;
            return Ok(Next::Again);
        }
        if !plan.kill.is_empty() {
            stop::containers(self, pod, &plan.kill).await?;
            return Ok(Next::Again);
        }
        let started = start::start(self, pod, observed, &plan).await?;
        Ok(if started {
            Next::Again
        } else {
            // What waits shows why.
            self.publish(pod, observed, false);
            Next::Wait
        })
    }

    /// Stops everything; `delete` also removes what is left and ends the worker.
    async fn terminate(&mut self, pod: &Arc<Pod>, delete: bool) -> Result<Next, String> {
        let mut observed = self.handle.observed();
        if observed.alive() {
            self.publish(pod, &observed, false);
            stop::pod(self, pod, &observed).await?;
            let mut after = self
                .ctx
                .cri
                .observe(&self.handle.uid)
                .await
                .map_err(|e| e.to_string())?;
            self.read_messages(pod, &mut after);
            observed = self.handle.set_observed(after);
            if observed.alive() {
                return Err("containers are still running after they were stopped".to_owned());
            }
        }
        self.probers.stop();
        self.publish(pod, &observed, true);
        self.watches.clear();
        if delete {
            stop::remove(self, pod, &observed).await?;
            return Ok(Next::Done);
        }
        stop::release(self, pod).await?;
        Ok(Next::Wait)
    }

    /// Computes the status, shows it to the server's endpoints and hands it to the writer; returns
    /// the phase.
    pub(crate) fn publish(&self, pod: &Arc<Pod>, observed: &Observed, terminal: bool) -> String {
        let before = self.handle.status();
        let rejection = self
            .handle
            .rejection
            .lock()
            .clone()
            .or_else(|| self.ended.clone());
        // A pod that ends by a verdict is failed only once its containers are stopped.
        let rejection = rejection.filter(|_| terminal || !observed.alive());
        let status = pod_status(&Inputs {
            pod,
            observed,
            verdicts: &self.handle.verdicts(),
            waiting: &self.waiting,
            before: &before,
            rejection: rejection.as_ref(),
            terminal,
            node_ips: &self.ctx.node.ip_texts(),
            runtime: &self.ctx.runtime_name,
            now: self.ctx.config.clock.now(),
        });
        let phase = status.phase.clone().unwrap_or_default();
        self.handle.set_status(status.clone());
        let overwritten = self.handle.is_newer(pod) && conditions::overwritten(pod, &status);
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed || overwritten
        });
        phase
    }

    /// What volumes and environment are told of the node and the pod's addresses.
    pub(crate) fn facts(&self, pod: &Pod, observed: &Observed) -> NodeFacts {
        let node_ips = self.ctx.node.ip_texts();
        let pod_ips = if model::host_network(pod) {
            node_ips.clone()
        } else {
            observed
                .ready_sandbox()
                .map(|s| s.ips.clone())
                .unwrap_or_default()
        };
        let machine = &self.ctx.node.machine;
        NodeFacts {
            node_ips,
            pod_ips,
            allocatable_milli_cpu: machine.cpus * 1000,
            allocatable_memory_bytes: machine.memory_bytes,
            allocatable_ephemeral_bytes: k3s_sys::volume::usage(&self.ctx.config.root_dir)
                .map_or(0, |u| i64::try_from(u.capacity_bytes).unwrap_or(i64::MAX)),
        }
    }

    /// Follows the ConfigMaps and Secrets behind the pod's files.
    pub(crate) fn watch_references(&mut self, pod: &Pod) {
        if !self.watches.is_empty() {
            return;
        }
        for (secret, name) in volume::references(pod) {
            let resource = if secret {
                &resources::SECRETS
            } else {
                &resources::CONFIG_MAPS
            };
            let scope = k3s_client::Scope::fields(format!("metadata.name={name}"))
                .in_namespace(model::namespace(pod));
            let informer = self.ctx.informers.of(resource, scope);
            let subscription = informer.subscribe();
            self.watches.push((informer, subscription));
        }
    }

    /// Marks the volumes as made from this state of the pod.
    pub(crate) fn volumes_are_fresh(&mut self, pod: &Arc<Pod>) {
        self.mounted_for = Some(pod.clone());
    }

    /// Brings the files of a running pod up to date when their sources or the pod changed.
    async fn refresh_volumes(&mut self, pod: &Arc<Pod>, observed: &Observed) {
        let fresh = self
            .mounted_for
            .as_ref()
            .is_some_and(|p| Arc::ptr_eq(p, pod));
        if fresh || observed.ready_sandbox().is_none() {
            return;
        }
        let facts = self.facts(pod, observed);
        match volume::mount_all(&self.ctx, pod, &facts).await {
            Ok(_) => {
                self.watch_references(pod);
                self.volumes_are_fresh(pod);
            }
            // The old files stay; the next change or relist tries again.
            Err(error) => {
                self.ctx
                    .events
                    .pod(pod, EventType::Warning, "FailedMount", error.to_string())
            }
        }
    }

    fn deadline_left(&self) -> Option<Duration> {
        let pod = self.handle.pod();
        let limit = u64::try_from(pod.spec.as_ref()?.active_deadline_seconds?).ok()?;
        let started = self.handle.status().start_time?.0;
        let ran = Duration::try_from(self.ctx.config.clock.now().duration_since(started))
            .unwrap_or_default();
        Some(Duration::from_secs(limit).saturating_sub(ran))
    }

    /// Last words of ended containers, read once each.
    fn read_messages(&mut self, pod: &Pod, observed: &mut Observed) {
        self.messages
            .retain(|id, _| observed.containers.iter().any(|c| &c.id == id));
        for record in observed
            .containers
            .iter_mut()
            .filter(|c| c.state == State::Exited)
        {
            if !self.messages.contains_key(&record.id) {
                let message = super::message::last_words(&self.ctx, pod, record);
                self.messages.insert(record.id.clone(), message);
            }
            if let Some(message) = self.messages.get(&record.id).filter(|m| !m.is_empty()) {
                record.message.clone_from(message);
            }
        }
    }
}

/// Resolves when one of the watched objects changes.
async fn changed(watches: &mut [(Informer, Subscription)]) {
    if watches.is_empty() {
        return std::future::pending().await;
    }
    let next = watches
        .iter_mut()
        .map(|(_, subscription)| Box::pin(subscription.next()));
    futures_util::future::select_all(next).await;
}
