//! Making a pod's sandbox and starting its containers.

use std::sync::Arc;
use std::time::Duration;

use k3s_client::{EventType, resources};
use k3s_cri::v1;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::backoff::go_seconds;
use super::model::{self, ContainerRecord, Observed, Slot, State};
use super::plan::Plan;
use super::status::Waiting;
use super::table::Handle;
use super::worker::Worker;
use crate::container::create::{Request, container_config};
use crate::container::sandbox::sandbox_config;
use crate::container::security::unsupported_container;
use crate::context::Ctx;
use crate::volume::{self, Mounted};
use crate::{hook, image, logs};

/// A container whose start failed is tried again after this (upstream's `backOffPeriod`); pull and
/// crash back-offs hold it back further.
const RETRY: Duration = Duration::from_secs(10);

/// What the containers of one sandbox share.
struct Ground {
    sandbox_id: String,
    config: v1::PodSandboxConfig,
    handler: String,
    volumes: Mounted,
}

/// Performs the plan's creation part; true when something was started.
pub(crate) async fn start(
    worker: &mut Worker,
    pod: &Arc<Pod>,
    observed: &Arc<Observed>,
    plan: &Plan,
) -> Result<bool, String> {
    let due: Vec<Slot> = plan
        .start
        .iter()
        .copied()
        .filter(|slot| !held_back(worker, pod, observed, *slot))
        .collect();
    if due.is_empty() && plan.create_sandbox.is_none() {
        return Ok(false);
    }
    if !network_ready(worker, pod).await {
        return Err("the pod network is not ready".to_owned());
    }
    worker.ctx.services.has_synced().await;
    let (ground, created) = ground(worker, pod, observed, plan).await?;
    let observed = if created {
        observe(worker).await?
    } else {
        observed.clone()
    };
    if created {
        worker.publish(pod, &observed, false);
    }
    let mut started = created;
    for slot in due {
        if worker.handle.is_deleting() {
            return Ok(true);
        }
        match start_container(worker, pod, &observed, slot, &ground).await {
            Ok(()) => started = true,
            Err(waiting) => note_failure(worker, pod, &observed, slot, waiting),
        }
    }
    Ok(started)
}

async fn observe(worker: &Worker) -> Result<Arc<Observed>, String> {
    let observed = worker
        .ctx
        .cri
        .observe(&worker.handle.uid)
        .await
        .map_err(|e| e.to_string())?;
    Ok(worker.handle.set_observed(observed))
}

/// Pods with a network of their own wait for it; the others are what brings it up.
async fn network_ready(worker: &Worker, pod: &Pod) -> bool {
    if worker.ctx.node.network_ok() || (model::host_network(pod) && worker.ctx.node.runtime_ok()) {
        return true;
    }
    // Bounded: the caller tries again, and says so in the log only.
    let change = tokio::time::timeout(Duration::from_secs(1), worker.ctx.node.changed()).await;
    change.is_ok()
        && (worker.ctx.node.network_ok()
            || (model::host_network(pod) && worker.ctx.node.runtime_ok()))
}

/// Whether the container is in a crash loop and has to wait; notes why and until when.
fn held_back(worker: &mut Worker, pod: &Pod, observed: &Observed, slot: Slot) -> bool {
    let spec = pod.spec.clone().unwrap_or_default();
    let Some(container) = slot.of(&spec) else {
        return true;
    };
    let now = worker.ctx.config.clock.elapsed();
    if let Some(at) = worker
        .retry_at
        .get(&container.name)
        .copied()
        .filter(|at| *at > now)
    {
        worker.due = Some(worker.due.map_or(at, |due| due.min(at)));
        return true;
    }
    let ended = observed
        .latest(&container.name)
        .filter(|r| r.state == State::Exited);
    let Some(record) = ended else { return false };
    let since = monotonic(worker, record.finished_at_ns, now);
    let Some((left, delay)) = worker.crash.in_backoff(&container.name, since, now) else {
        return false;
    };
    let message = format!(
        "back-off {} restarting failed container={} pod={}",
        go_seconds(delay),
        container.name,
        model::pod_long(pod)
    );
    worker.due = Some(worker.due.map_or(now + left, |due| due.min(now + left)));
    let waiting = Waiting {
        reason: "CrashLoopBackOff".to_owned(),
        message,
    };
    if worker.waiting.get(&container.name) != Some(&waiting) {
        let event = format!(
            "Back-off restarting failed container {} in pod {}",
            container.name,
            model::pod_long(pod)
        );
        worker
            .ctx
            .events
            .container(pod, slot, EventType::Warning, "BackOff", event);
    }
    worker.waiting.insert(container.name.clone(), waiting);
    true
}

/// A wall time of the runtime on the monotonic scale.
fn monotonic(worker: &Worker, wall_ns: i64, now: Duration) -> Duration {
    let wall_now = i64::try_from(worker.ctx.config.clock.now().as_nanosecond()).unwrap_or(i64::MAX);
    now.saturating_sub(Duration::from_nanos(
        u64::try_from(wall_now.saturating_sub(wall_ns)).unwrap_or(0),
    ))
}

fn note_failure(
    worker: &mut Worker,
    pod: &Arc<Pod>,
    observed: &Observed,
    slot: Slot,
    waiting: Waiting,
) {
    let spec = pod.spec.clone().unwrap_or_default();
    let Some(container) = slot.of(&spec) else {
        return;
    };
    // Of image errors the event names the reason only: the pull has its own with the details.
    let image = matches!(
        waiting.reason.as_str(),
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"
    );
    let what = if image {
        &waiting.reason
    } else {
        &waiting.message
    };
    worker.ctx.events.container(
        pod,
        slot,
        EventType::Warning,
        "Failed",
        format!("Error: {what}"),
    );
    let again = worker.ctx.config.clock.elapsed() + RETRY;
    worker.due = Some(worker.due.map_or(again, |due| due.min(again)));
    worker.retry_at.insert(container.name.clone(), again);
    worker.waiting.insert(container.name.clone(), waiting);
    worker.publish(pod, observed, false);
}

/// The sandbox, its configuration and the pod's volumes; true when the sandbox is new.
async fn ground(
    worker: &mut Worker,
    pod: &Arc<Pod>,
    observed: &Observed,
    plan: &Plan,
) -> Result<(Ground, bool), String> {
    let ctx = worker.ctx.clone();
    ctx.cgroups
        .create_pod(&ctx.config, pod)
        .map_err(|e| format!("failed to ensure pod cgroup: {e}"))?;
    logs::prepare_pod_dir(&ctx.config, pod)
        .map_err(|e| format!("failed to make the pod's directories: {e}"))?;
    let facts = worker.facts(pod, observed);
    let volumes = match volume::mount_all(&ctx, pod, &facts).await {
        Ok(volumes) => volumes,
        Err(error) => {
            ctx.events
                .pod(pod, EventType::Warning, "FailedMount", error.to_string());
            return Err(error.to_string());
        }
    };
    worker.watch_references(pod);
    worker.volumes_are_fresh(pod);
    let attempt = plan
        .create_sandbox
        .or_else(|| observed.sandboxes.first().map(|s| s.attempt))
        .unwrap_or(0);
    let failed = |message: String| {
        let message = format!("Failed to create pod sandbox: {message}");
        ctx.events.pod(
            pod,
            EventType::Warning,
            "FailedCreatePodSandBox",
            message.clone(),
        );
        message
    };
    let config = sandbox_config(&ctx, pod, attempt).map_err(failed)?;
    let handler = runtime_handler(worker, pod).await.map_err(failed)?;
    let (sandbox_id, created) = match plan.create_sandbox {
        None => (
            observed
                .sandboxes
                .first()
                .map(|s| s.id.clone())
                .unwrap_or_default(),
            false,
        ),
        Some(_) => (
            ctx.cri
                .run_sandbox(config.clone(), &handler)
                .await
                .map_err(|e| failed(e.to_string()))?,
            true,
        ),
    };
    Ok((
        Ground {
            sandbox_id,
            config,
            handler,
            volumes,
        },
        created,
    ))
}

/// The handler of the pod's RuntimeClass; empty for the default.
async fn runtime_handler(worker: &Worker, pod: &Pod) -> Result<String, String> {
    let Some(class) = pod
        .spec
        .as_ref()
        .and_then(|s| s.runtime_class_name.clone())
        .filter(|c| !c.is_empty())
    else {
        return Ok(String::new());
    };
    let object = worker
        .ctx
        .client
        .get(&resources::RUNTIME_CLASSES, None, &class)
        .await;
    let object = object.map_err(|e| format!("failed to get sandbox runtime: {e}"))?;
    let handler = object
        .value()
        .get("handler")
        .and_then(serde_json::Value::as_str);
    Ok(handler.unwrap_or_default().to_owned())
}

fn wait(reason: &str, message: impl Into<String>) -> Waiting {
    Waiting {
        reason: reason.to_owned(),
        message: message.into(),
    }
}

async fn start_container(
    worker: &mut Worker,
    pod: &Arc<Pod>,
    observed: &Observed,
    slot: Slot,
    ground: &Ground,
) -> Result<(), Waiting> {
    let ctx = worker.ctx.clone();
    let spec = pod.spec.clone().unwrap_or_default();
    let Some(container) = slot.of(&spec) else {
        return Ok(());
    };
    let target = target(&ctx, &spec, observed, slot, &container)?;
    // A pull may take long; deletion does not wait for it.
    let handle = worker.handle.clone();
    let image = tokio::select! {
        image = image::ensure(&ctx, pod, slot, &container, &ground.config, &ground.handler) => image?,
        () = handle.until(Handle::is_deleting) => return Ok(()),
    };
    let facts = worker.facts(pod, observed);
    let attempt = next_attempt(worker, observed, slot, &container);
    let asked = container.image.clone().unwrap_or_default();
    let request = Request {
        pod,
        container: &container,
        attempt,
        image: &image,
        image_name: &asked,
        volumes: &ground.volumes,
        facts: &facts,
        target: target.as_deref(),
    };
    let config = container_config(&ctx, &request)
        .await
        .map_err(|e| wait("CreateContainerConfigError", e))?;
    logs::prepare_container_dir(&ctx.config, pod, &container.name)
        .map_err(|e| wait("CreateContainerError", e.to_string()))?;
    let id = ctx
        .cri
        .create_container(&ground.sandbox_id, config, ground.config.clone())
        .await
        .map_err(|e| wait("CreateContainerError", e.to_string()))?;
    ctx.events.container(
        pod,
        slot,
        EventType::Normal,
        "Created",
        format!("Created container: {}", container.name),
    );
    note_start(worker, observed, &container);
    if let Err(error) = ctx.cri.start_container(&id).await {
        let message = error.to_string();
        return Err(wait("RunContainerError", message));
    }
    ctx.events.container(
        pod,
        slot,
        EventType::Normal,
        "Started",
        format!("Started container {}", container.name),
    );
    logs::link(&ctx.config, pod, &container.name, &id, attempt);
    worker.waiting.remove(&container.name);
    worker.retry_at.remove(&container.name);
    prune(worker, observed, &container).await;
    post_start(worker, pod, slot, &container, &id).await
}

/// The id of the container whose processes an ephemeral one is to see. What the node checks of the
/// others when it takes the pod is checked of ephemeral ones here.
fn target(
    ctx: &Ctx,
    spec: &PodSpec,
    observed: &Observed,
    slot: Slot,
    container: &Container,
) -> Result<Option<String>, Waiting> {
    if !matches!(slot, Slot::Ephemeral(_)) {
        return Ok(None);
    }
    if let Some(refused) = unsupported_container(container, ctx.features()) {
        return Err(wait("CreateContainerConfigError", refused.message));
    }
    let Some(name) = slot.target(spec) else {
        return Ok(None);
    };
    let record = observed
        .latest(name)
        .filter(|record| record.state == State::Running);
    let missing = || {
        wait(
            "CreateContainerConfigError",
            format!("unable to find target container {name}"),
        )
    };
    record
        .map(|record| Some(record.id.clone()))
        .ok_or_else(missing)
}

/// The number of the new container: one more than the newest, or than the status remembers.
fn next_attempt(worker: &Worker, observed: &Observed, slot: Slot, container: &Container) -> u32 {
    if let Some(record) = observed.latest(&container.name) {
        return record.attempt.saturating_add(1);
    }
    let status = worker.handle.pod().status.clone().unwrap_or_default();
    let list = match slot {
        Slot::Init(_) => status.init_container_statuses,
        Slot::Main(_) => status.container_statuses,
        Slot::Ephemeral(_) => status.ephemeral_container_statuses,
    };
    let old = list
        .into_iter()
        .flatten()
        .find(|s| s.name == container.name);
    old.map_or(0, |old| {
        let ran = old
            .state
            .is_some_and(|s| s.running.is_some() || s.terminated.is_some());
        u32::try_from(old.restart_count)
            .unwrap_or(0)
            .saturating_add(u32::from(ran))
    })
}

/// A start after a run counts for the crash loop.
fn note_start(worker: &mut Worker, observed: &Observed, container: &Container) {
    if observed
        .latest(&container.name)
        .is_some_and(|r| r.state == State::Exited)
    {
        let now = worker.ctx.config.clock.elapsed();
        worker.crash.next(&container.name, now);
    }
}

/// Of each container the newest and the one before stay (for `lastState` and `logs --previous`).
async fn prune(worker: &Worker, observed: &Observed, container: &Container) {
    let old: Vec<&ContainerRecord> = observed
        .containers
        .iter()
        .filter(|c| c.name == container.name)
        .skip(1)
        .collect();
    for record in old {
        if let Err(error) = worker.ctx.cri.remove_container(&record.id).await {
            tracing::debug!(%error, container = record.id, "old container not removed");
            continue;
        }
        logs::remove_container_log(&worker.ctx.config, &worker.handle.pod(), record);
    }
}

async fn post_start(
    worker: &mut Worker,
    pod: &Arc<Pod>,
    slot: Slot,
    container: &Container,
    id: &str,
) -> Result<(), Waiting> {
    let Some(handler) = container
        .lifecycle
        .as_ref()
        .and_then(|l| l.post_start.as_ref())
    else {
        return Ok(());
    };
    let observed = observe(worker)
        .await
        .map_err(|e| wait("PostStartHookError", e))?;
    worker.publish(pod, &observed, false);
    let ip = worker
        .facts(pod, &observed)
        .pod_ips
        .first()
        .cloned()
        .unwrap_or_default();
    let handle = worker.handle.clone();
    let done = tokio::select! {
        done = hook::run(&worker.ctx, handler, container, id, &ip) => done,
        () = handle.until(Handle::is_deleting) => return Ok(()),
    };
    let Err(error) = done else { return Ok(()) };
    worker.ctx.events.container(
        pod,
        slot,
        EventType::Warning,
        "FailedPostStartHook",
        format!("PostStartHook failed: {error}"),
    );
    let grace = worker.handle.grace();
    super::stop::one(worker, pod, slot, id, "FailedPostStartHook", grace)
        .await
        .map_err(|e| wait("PostStartHookError", e))?;
    Err(wait("PostStartHookError", error))
}
