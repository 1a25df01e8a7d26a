//! Eviction: when memory, disk, inodes or process ids run short, what is unused goes first, then pods,
//! one at a time (`pkg/kubelet/eviction`).
//!
//! Signals are looked at every ten seconds. What is met becomes the node's pressure conditions, which
//! stay for the transition period after the last shortage, so that a node does not flap; the node
//! lifecycle controller makes taints of them.

mod limits;
mod message;
mod plan;
mod settings;
mod signals;
mod usage;

use std::time::Duration;

use k3s_client::EventType;

use crate::context::Ctx;
use crate::image;
use crate::pod::model;
use crate::pod::status::Rejection;
use crate::pod::table::Handle;
pub(crate) use plan::Conditions;
pub use settings::{EvictionSettings, EvictionSettingsError};

use plan::{Candidate, Met, Pressure};

/// Between looks (upstream's `monitoringInterval`).
const PERIOD: Duration = Duration::from_secs(10);
/// An evicted pod may take this long to be gone before the next look (`podCleanupTimeout`).
const CLEANUP: Duration = Duration::from_secs(30);

/// Starts the look-out.
pub(crate) fn start(ctx: &Ctx) {
    ctx.tasks.spawn_until_stopped("eviction", run(ctx.clone()));
}

async fn run(ctx: Ctx) {
    let mut pressure = Pressure::default();
    loop {
        look(&ctx, &mut pressure).await;
        if !ctx.tasks.sleep(PERIOD).await {
            return;
        }
    }
}

async fn look(ctx: &Ctx, pressure: &mut Pressure) {
    let settings = &ctx.config.eviction;
    let observations = signals::observe(ctx).await;
    let met = plan::met(settings, &observations, pressure.met());
    let now = ctx.config.clock.elapsed();
    let conditions = pressure.update(&met, now, settings.transition);
    ctx.node.set_pressure(conditions);
    limits::enforce(ctx).await;
    let Some(first) = plan::worst(&met) else {
        return;
    };
    tracing::warn!(signal = first.signal.name(), threshold = %first.threshold, available = first.available, "attempting to reclaim");
    if let Some(node) = ctx.node.object() {
        let message = format!("Attempting to reclaim {}", first.signal.resource());
        ctx.events
            .node_warning(&node, "EvictionThresholdMet", &message);
    }
    if reclaimed_without_pods(ctx, first).await {
        return;
    }
    evict_one(ctx, first).await;
}

/// Removes dead containers' and images' files where disk is short; true when that was enough.
async fn reclaimed_without_pods(ctx: &Ctx, met: &Met) -> bool {
    if !met.signal.is_disk() {
        return false;
    }
    if let Err(error) = image::gc::collect_all(ctx).await {
        tracing::warn!(%error, "unused images not removed");
    }
    let observations = signals::observe(ctx).await;
    let now = plan::met(&ctx.config.eviction, &observations, &[met.signal]);
    !now.iter().any(|m| m.signal == met.signal)
}

async fn evict_one(ctx: &Ctx, met: &Met) {
    let usages = match usage::pods(ctx).await {
        Ok(usages) => usages,
        Err(error) => {
            tracing::warn!(%error, "use of pods not known");
            return;
        }
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for handle in ctx
        .pods
        .list()
        .into_iter()
        .filter(|handle| is_active(handle))
    {
        let usage = usages.get(&handle.uid).cloned().unwrap_or_default();
        candidates.push(Candidate {
            pod: handle.pod(),
            usage,
        });
    }
    for candidate in plan::ranked(candidates, met.signal) {
        let Some(handle) = ctx.pods.get(model::uid(&candidate.pod)) else {
            continue;
        };
        evict(ctx, &handle, message::low_on_resource(met, &candidate));
        // The next look should see what this one gave back.
        let gone = async {
            while ctx
                .pods
                .get(&handle.uid)
                .is_some_and(|h| h.observed().alive())
            {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        let _late = tokio::time::timeout(CLEANUP, gone).await;
        return;
    }
    tracing::warn!(resource = met.signal.resource(), "no pod can be evicted");
}

fn is_active(handle: &Handle) -> bool {
    !handle.is_deleting()
        && handle.eviction().is_none()
        && handle.rejection.lock().is_none()
        && !matches!(
            handle.status().phase.as_deref(),
            Some("Succeeded" | "Failed")
        )
        && !is_critical(&handle.pod())
}

/// Static pods and those of system priority are never evicted (`IsCriticalPod`).
pub(crate) fn is_critical(pod: &k8s_openapi::api::core::v1::Pod) -> bool {
    let annotated = |key: &str| pod.metadata.annotations.as_ref().and_then(|a| a.get(key));
    annotated(crate::labels::CONFIG_SOURCE).is_some_and(|source| source != "api")
        || pod
            .spec
            .as_ref()
            .and_then(|s| s.priority)
            .is_some_and(|p| p >= SYSTEM_CRITICAL)
}

/// `SystemCriticalPriority`.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Ends the pod with the verdict; its worker stops the containers at once.
fn evict(ctx: &Ctx, handle: &Handle, message: String) {
    ctx.events.pod(
        &handle.pod(),
        EventType::Warning,
        "Evicted",
        message.clone(),
    );
    handle.evict(Rejection {
        reason: "Evicted".to_owned(),
        message,
    });
}
