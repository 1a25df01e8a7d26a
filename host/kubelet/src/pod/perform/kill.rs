//! Stopping containers with their hooks and grace periods.

use std::cmp::Reverse;
use std::time::Duration;

use futures_util::future::try_join_all;
use k3s_base::error::chain;
use k3s_client::EventType;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{Grace, Performer};
use crate::hook;
use crate::model::{self, ContainerRecord, Observed, Slot, every_container, is_sidecar};
use crate::pod::error::SyncError;
use crate::pod::plan::{Kill, KillReason};

impl Performer {
    /// Stops every container of the pod: all others at once, then sidecars one after the other in
    /// reverse order. With `announce` each gets an event.
    pub(crate) async fn kill_all_containers(
        &self,
        pod: &Pod,
        observed: &Observed,
        grace: Grace,
        announce: bool,
    ) -> Result<(), SyncError> {
        let clock = &self.config.clock;
        let deadline = clock.elapsed() + grace.period;
        let mut sidecars = Vec::new();
        let mut stops = Vec::new();
        for record in observed.running() {
            let slot = slot_of(pod, record);
            let is_sidecar = slot.is_some_and(|slot| is_sidecar_slot(pod, slot));
            if is_sidecar {
                sidecars.push((slot, record));
            } else {
                let stop = self.kill_one(pod, observed, slot, record, grace, announce);
                stops.push(stop);
            }
        }
        try_join_all(stops).await?;
        sidecars.sort_by_key(|(slot, _)| Reverse(*slot));
        for (slot, record) in sidecars {
            let period = deadline.saturating_sub(clock.elapsed());
            let left = Grace { period, ..grace };
            self.kill_one(pod, observed, slot, record, left, announce)
                .await?;
        }
        Ok(())
    }

    async fn kill_one(
        &self,
        pod: &Pod,
        observed: &Observed,
        slot: Option<Slot>,
        record: &ContainerRecord,
        grace: Grace,
        announce: bool,
    ) -> Result<(), SyncError> {
        let Some(slot) = slot else {
            // Not in the spec any more, or an orphan's: there is no hook to run.
            return self.stop_container(&record.id, grace.period).await;
        };
        let message = if announce {
            format!("Stopping container {}", record.name)
        } else {
            String::new()
        };
        self.kill_container(pod, observed, slot, &record.id, &message, grace)
            .await
    }

    /// Stops the containers that a plan names, all at once.
    pub(crate) async fn kill_containers(
        &self,
        pod: &Pod,
        observed: &Observed,
        kills: &[Kill],
        grace: Grace,
    ) -> Result<(), SyncError> {
        let stops = kills.iter().map(|kill| {
            let Kill {
                slot, id, message, ..
            } = kill;
            let period = probe_grace(pod, kill).unwrap_or(grace.period);
            let grace = Grace { period, ..grace };
            self.kill_container(pod, observed, *slot, id, message, grace)
        });
        try_join_all(stops).await?;
        Ok(())
    }

    /// Stops one container: event (where there is a message), `preStop` hook, signal, kill.
    pub(super) async fn kill_container(
        &self,
        pod: &Pod,
        observed: &Observed,
        slot: Slot,
        id: &str,
        message: &str,
        grace: Grace,
    ) -> Result<(), SyncError> {
        if !message.is_empty() {
            self.events
                .container(pod, slot, EventType::Normal, "Killing", message);
        }
        let clock = &self.config.clock;
        let began = clock.elapsed();
        let spec = pod.spec.as_ref();
        let container = spec.and_then(|spec| slot.of(spec));
        if let Some(container) = &container {
            self.pre_stop(pod, observed, slot, container, id, grace.period)
                .await;
        }
        let spent = clock.elapsed().saturating_sub(began);
        let left = grace.period.saturating_sub(spent);
        let left = left.max(grace.minimum);
        self.stop_container(id, left).await
    }

    /// Runs the `preStop` hook for at most `limit`; a container is stopped also after a failed one.
    async fn pre_stop(
        &self,
        pod: &Pod,
        observed: &Observed,
        slot: Slot,
        container: &Container,
        id: &str,
        limit: Duration,
    ) {
        let lifecycle = container.lifecycle.as_ref();
        let Some(handler) = lifecycle.and_then(|l| l.pre_stop.as_ref()) else {
            return;
        };
        let ip = self.pod_ip(pod, observed);
        let hook = hook::run(&self.cri, handler, container, id, &ip);
        let Ok(ended) = tokio::time::timeout(limit, hook).await else {
            let pod = model::pod_key(pod);
            let container = &container.name;
            tracing::info!(%pod, container, "preStop hook did not end within the grace period");
            return;
        };
        if let Err(error) = ended {
            let message = format!("PreStopHook failed: {}", chain(&error));
            let reason = "FailedPreStopHook";
            self.events
                .container(pod, slot, EventType::Warning, reason, message);
        }
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), SyncError> {
        let stopped = self.cri.stop_container(id, grace).await;
        stopped.map_err(|source| SyncError::StopContainer {
            id: id.to_owned(),
            source,
        })
    }

    /// Stops the pod's sandboxes, once their containers have stopped.
    pub(crate) async fn stop_sandboxes(&self, observed: &Observed) -> Result<(), SyncError> {
        for sandbox in observed.sandboxes.iter().filter(|s| s.ready) {
            self.stop_sandbox(&sandbox.id).await?;
        }
        Ok(())
    }

    pub(super) async fn stop_sandbox(&self, id: &str) -> Result<(), SyncError> {
        let stopped = self.cri.stop_sandbox(id).await;
        stopped.map_err(|source| SyncError::StopSandbox {
            id: id.to_owned(),
            source,
        })
    }
}

/// Where the spec has the container, if it still has it.
fn slot_of(pod: &Pod, record: &ContainerRecord) -> Option<Slot> {
    let mut containers = every_container(pod.spec.as_ref()?);
    let found = containers.find(|(_, container)| container.name == record.name);
    found.map(|(slot, _)| slot)
}

fn is_sidecar_slot(pod: &Pod, slot: Slot) -> bool {
    let is_init = matches!(slot, Slot::Init(_));
    let spec = pod.spec.as_ref();
    let container = spec.and_then(|spec| slot.of(spec));
    is_init && container.is_some_and(|container| is_sidecar(&container))
}

/// The grace period of the probe that failed, where it sets its own.
fn probe_grace(pod: &Pod, kill: &Kill) -> Option<Duration> {
    let container = kill.slot.of(pod.spec.as_ref()?)?;
    let probe = match kill.reason {
        KillReason::Liveness => container.liveness_probe.as_ref()?,
        KillReason::Startup => container.startup_probe.as_ref()?,
        KillReason::Changed | KillReason::Resized | KillReason::Unknown => return None,
    };
    let seconds = probe.termination_grace_period_seconds?;
    let seconds = u64::try_from(seconds).ok()?;
    Some(Duration::from_secs(seconds))
}
