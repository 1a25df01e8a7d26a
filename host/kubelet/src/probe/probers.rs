//! The probers of one pod and what they found last. The pod's worker owns it; probers only send.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_lifecycle::CancellationToken;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use tokio::sync::{mpsc, watch};

use super::prober::{Kind, ProbeContext, ProbeResult, Prober};
use crate::model::{ContainerRecord, Observed, Slot, State, all_containers, is_sidecar};
use crate::pod::handle::Published;
use crate::pod::plan::Verdicts;

/// Results on their way to the worker; a prober waits while the worker is busy with a long step.
const RESULTS: usize = 16;

/// See the module. Dropping it stops the probers.
pub(crate) struct Probers {
    ctx: Arc<ProbeContext>,
    published: watch::Receiver<Published>,
    running: HashMap<String, CancellationToken>,
    verdicts: HashMap<String, Verdicts>,
    sender: mpsc::Sender<ProbeResult>,
    results: mpsc::Receiver<ProbeResult>,
}

impl Probers {
    pub(crate) fn new(ctx: Arc<ProbeContext>, published: watch::Receiver<Published>) -> Self {
        let (sender, results) = mpsc::channel(RESULTS);
        Self {
            ctx,
            published,
            running: HashMap::new(),
            verdicts: HashMap::new(),
            sender,
            results,
        }
    }

    /// The latest verdicts, by container id.
    pub(crate) fn verdicts(&self) -> &HashMap<String, Verdicts> {
        &self.verdicts
    }

    /// Resolves when a probe changes its verdict.
    pub(crate) async fn changed(&mut self) {
        loop {
            // The sender lives in `self`, so there is always a next result to wait for.
            if let Some(result) = self.results.recv().await
                && self.apply(&result)
            {
                return;
            }
        }
    }

    /// True when the verdict changed.
    fn apply(&mut self, result: &ProbeResult) -> bool {
        if !self.running.contains_key(&result.container_id) {
            return false;
        }
        let verdicts = self
            .verdicts
            .entry(result.container_id.clone())
            .or_default();
        let verdict = match result.kind {
            Kind::Startup => &mut verdicts.startup,
            Kind::Liveness => &mut verdicts.liveness,
            Kind::Readiness => &mut verdicts.readiness,
        };
        verdict.replace(result.success) != Some(result.success)
    }

    /// Starts probers of containers that run now, stops those of containers that do not, and takes
    /// the results that are in.
    pub(crate) fn sync(&mut self, pod: &Arc<Pod>, observed: &Observed) {
        let runs = |id: &str| {
            let mut running = observed.running();
            running.any(|record| record.id == id)
        };
        let gone = self.running.extract_if(|id, _| !runs(id));
        for (_, stop) in gone {
            stop.cancel();
        }
        self.verdicts.retain(|id, _| runs(id));
        while let Ok(result) = self.results.try_recv() {
            self.apply(&result);
        }
        let Some(spec) = &pod.spec else {
            return;
        };
        for (slot, container) in all_containers(spec) {
            if !is_probed(slot, container) {
                continue;
            }
            let record = observed.latest(&container.name);
            let running = record.filter(|record| record.state == State::Running);
            let Some(record) = running else {
                continue;
            };
            if !self.running.contains_key(&record.id) {
                self.adopt_verdicts(pod, container, record);
                self.start(pod, slot, container, record);
            }
        }
    }

    /// Stops all of them.
    pub(crate) fn stop(&mut self) {
        self.running.drain().for_each(|(_, stop)| stop.cancel());
    }

    /// A container that ran before this process did keeps the verdict its status shows, so that an
    /// adopted pod does not flap.
    fn adopt_verdicts(&mut self, pod: &Pod, container: &Container, record: &ContainerRecord) {
        let Some(old) = last_status(pod, &record.id) else {
            return;
        };
        let verdicts = self.verdicts.entry(record.id.clone()).or_default();
        if container.startup_probe.is_some() && old.started == Some(true) {
            verdicts.startup.get_or_insert(true);
        }
        if old.ready {
            verdicts.readiness.get_or_insert(true);
        }
    }

    fn start(
        &mut self,
        pod: &Arc<Pod>,
        slot: Slot,
        container: &Container,
        record: &ContainerRecord,
    ) {
        let stop = self.ctx.tasks.stopping().child_token();
        self.running.insert(record.id.clone(), stop.clone());
        let verdicts = self.verdicts.get(&record.id).copied();
        let prober = Prober {
            ctx: self.ctx.clone(),
            published: self.published.clone(),
            results: self.sender.clone(),
            pod: pod.clone(),
            slot,
            container: container.clone(),
            id: record.id.clone(),
            started_ns: record.started_at_ns,
            started: verdicts.unwrap_or_default().startup == Some(true),
        };
        self.ctx.tasks.spawn("prober", async move {
            tokio::select! {
                () = prober.run() => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

impl Drop for Probers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Only containers that keep running are probed.
fn is_probed(slot: Slot, container: &Container) -> bool {
    let has_probe = container.startup_probe.is_some()
        || container.liveness_probe.is_some()
        || container.readiness_probe.is_some();
    has_probe && (matches!(slot, Slot::Main(_)) || is_sidecar(container))
}

/// What the pod's status says of the container with that id.
fn last_status<'a>(pod: &'a Pod, id: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = [&status.container_statuses, &status.init_container_statuses];
    let suffix = format!("://{id}");
    lists.into_iter().flatten().flatten().find(|status| {
        let id = status.container_id.as_deref();
        id.is_some_and(|id| id.ends_with(&suffix))
    })
}
