//! Stopping containers with their hooks and grace, and taking away what a pod leaves.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use k3s_client::EventType;
use k8s_openapi::api::core::v1::Pod;

use super::model::{self, ContainerRecord, Observed, Slot, every_container, is_sidecar};
use super::plan::{Kill, KillReason};
use super::worker::Worker;
use crate::{hook, image, logs, volume};

/// A container gets at least this long after its hook (`minimumGracePeriodInSeconds`).
const MIN_GRACE: Duration = Duration::from_secs(2);

/// Stops every container, the main ones first and sidecars last in reverse order, then the
/// sandboxes. A grace period that shrinks meanwhile takes effect at once.
pub(crate) async fn pod(
    worker: &Worker,
    pod: &Arc<Pod>,
    observed: &Arc<Observed>,
) -> Result<(), String> {
    let ctx = &worker.ctx;
    let mut first = true;
    loop {
        let grace = worker.handle.grace();
        let stop = all(worker, pod, observed, grace, first);
        tokio::select! {
            done = stop => {
                done?;
                break;
            }
            () = worker.handle.until(|h| h.grace() < grace) => first = false,
        }
    }
    for sandbox in observed.sandboxes.iter().filter(|s| s.ready) {
        ctx.cri
            .stop_sandbox(&sandbox.id)
            .await
            .map_err(|e| format!("failed to stop sandbox {}: {e}", sandbox.id))?;
    }
    Ok(())
}

async fn all(
    worker: &Worker,
    pod: &Arc<Pod>,
    observed: &Observed,
    grace: Duration,
    announce: bool,
) -> Result<(), String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let clock = &worker.ctx.config.clock;
    let deadline = clock.elapsed() + grace;
    let slot_of =
        |record: &ContainerRecord| every_container(&spec).find(|(_, c)| c.name == record.name);
    let sidecar = |record: &ContainerRecord| {
        slot_of(record).is_some_and(|(slot, c)| matches!(slot, Slot::Init(_)) && is_sidecar(&c))
    };
    let (last, main): (Vec<_>, Vec<_>) = observed.running().partition(|r| sidecar(r));
    let stop = |record: ContainerRecord, grace: Duration| {
        let slot = slot_of(&record).map(|(slot, _)| slot);
        async move {
            match slot {
                Some(slot) => {
                    let message = if announce {
                        format!("Stopping container {}", record.name)
                    } else {
                        String::new()
                    };
                    one(worker, pod, slot, &record.id, &message, grace).await
                }
                // Not in the spec any more, or an orphan's.
                None => worker
                    .ctx
                    .cri
                    .stop_container(&record.id, grace)
                    .await
                    .map_err(|e| e.to_string()),
            }
        }
    };
    try_join_all(main.into_iter().map(|r| stop(r.clone(), grace))).await?;
    let mut last: Vec<ContainerRecord> = last.into_iter().cloned().collect();
    last.sort_by_key(|r| std::cmp::Reverse(slot_of(r).map(|(slot, _)| slot)));
    for record in last {
        stop(record, deadline.saturating_sub(clock.elapsed())).await?;
    }
    Ok(())
}

/// Stops the containers a plan names.
pub(crate) async fn containers(
    worker: &Worker,
    pod: &Arc<Pod>,
    kills: &[Kill],
) -> Result<(), String> {
    let spec = pod.spec.clone().unwrap_or_default();
    let stops = kills.iter().map(|kill| {
        let own = kill.slot.of(&spec).and_then(|c| {
            let probe = match kill.reason {
                KillReason::Liveness => c.liveness_probe.as_ref(),
                KillReason::Startup => c.startup_probe.as_ref(),
                _ => None,
            };
            probe
                .and_then(|p| p.termination_grace_period_seconds)
                .and_then(|s| u64::try_from(s).ok())
        });
        let grace = own.map_or_else(|| worker.handle.grace(), Duration::from_secs);
        one(worker, pod, kill.slot, &kill.id, &kill.message, grace)
    });
    try_join_all(stops).await.map(drop)
}

/// Stops one container: event, `preStop` hook within the grace period, signal, kill.
pub(crate) async fn one(
    worker: &Worker,
    pod: &Arc<Pod>,
    slot: Slot,
    id: &str,
    message: &str,
    grace: Duration,
) -> Result<(), String> {
    let ctx = &worker.ctx;
    if !message.is_empty() {
        ctx.events
            .container(pod, slot, EventType::Normal, "Killing", message);
    }
    let spec = pod.spec.clone().unwrap_or_default();
    let container = slot.of(&spec);
    let mut left = grace;
    let container = container.as_deref();
    if let Some((container, handler)) =
        container.and_then(|c| Some((c, c.lifecycle.as_ref()?.pre_stop.as_ref()?)))
    {
        let began = ctx.config.clock.elapsed();
        let ip = worker
            .facts(pod, &worker.handle.observed())
            .pod_ips
            .first()
            .cloned()
            .unwrap_or_default();
        match tokio::time::timeout(grace, hook::run(ctx, handler, container, id, &ip)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                ctx.events.container(
                    pod,
                    slot,
                    EventType::Warning,
                    "FailedPreStopHook",
                    format!("PreStopHook failed: {error}"),
                );
            }
            Err(_) => {
                tracing::info!(pod = %model::pod_key(pod), container = container.name, "preStop hook did not end within the grace period")
            }
        }
        left = grace.saturating_sub(ctx.config.clock.elapsed().saturating_sub(began));
    }
    let left = if worker.handle.is_removed() {
        left
    } else {
        left.max(MIN_GRACE)
    };
    ctx.cri
        .stop_container(id, left)
        .await
        .map_err(|e| format!("failed to stop container {id}: {e}"))
}

/// Gives back what a finished pod holds besides its containers and logs.
pub(crate) async fn release(worker: &Worker, pod: &Arc<Pod>) -> Result<(), String> {
    let ctx = &worker.ctx;
    let uid = model::uid(pod).to_owned();
    ctx.tokens.forget(&uid);
    image::forget_pod(ctx, &uid);
    let volumes = ctx.config.pod_dir(&uid).join("volumes");
    let sub_paths = ctx.config.pod_dir(&uid).join("volume-subpaths");
    let removed = tokio::task::spawn_blocking(move || {
        volume::remove_pod_dir(&sub_paths)?;
        volume::remove_pod_dir(&volumes)
    });
    removed
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| format!("volumes not removed: {e}"))?;
    ctx.cgroups
        .remove_pod(&uid)
        .map_err(|e| format!("cgroup of pod {uid} not removed: {e}"))?;
    super::manager::balance(ctx);
    Ok(())
}

/// Removes everything of the pod from the node.
pub(crate) async fn remove(
    worker: &Worker,
    pod: &Arc<Pod>,
    observed: &Observed,
) -> Result<(), String> {
    let ctx = &worker.ctx;
    for record in &observed.containers {
        ctx.cri
            .remove_container(&record.id)
            .await
            .map_err(|e| format!("container {} not removed: {e}", record.id))?;
        logs::remove_container_log(&ctx.config, pod, record);
    }
    for sandbox in &observed.sandboxes {
        // Stopping is repeated: it also takes down the network, which may have failed before.
        ctx.cri
            .stop_sandbox(&sandbox.id)
            .await
            .map_err(|e| format!("sandbox {} not stopped: {e}", sandbox.id))?;
        ctx.cri
            .remove_sandbox(&sandbox.id)
            .await
            .map_err(|e| format!("sandbox {} not removed: {e}", sandbox.id))?;
    }
    release(worker, pod).await?;
    let dir = ctx.config.pod_dir(model::uid(pod));
    tokio::task::spawn_blocking(move || volume::remove_pod_dir(&dir))
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| format!("pod directory not removed: {e}"))?;
    logs::remove_pod_dir(&ctx.config, pod);
    Ok(())
}
