//! The node's own side: its object, status, lease and health.

pub(crate) mod conditions;
pub(crate) mod info;
mod lease;
mod registration;
mod status;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k3s_client::{Error, Object, Patch, resources};
use k3s_cri::v1;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::container::security::Features;
use crate::context::Ctx;
use crate::eviction::Conditions;
use conditions::Health;
pub(crate) use info::Machine;

/// Between looks at the runtime and the machine once the node is ready.
const PERIOD: Duration = Duration::from_secs(10);
/// ... and before, doubled up to that: readiness should not wait for the next tick.
const STARTING: Duration = Duration::from_millis(100);
/// An unchanged status is written this often (upstream's `nodeStatusReportFrequency`).
const REPORT: Duration = Duration::from_secs(300);

/// What the node knows of itself, shared by all components.
#[derive(Debug)]
pub(crate) struct NodeState {
    pub(crate) machine: Machine,
    pub(crate) ips: Vec<IpAddr>,
    runtime: Mutex<v1::StatusResponse>,
    object: Mutex<Option<Object>>,
    pods_synced: AtomicBool,
    runtime_ok: AtomicBool,
    network_ok: AtomicBool,
    pressure: Mutex<Conditions>,
    wake: Notify,
    changed: Notify,
}

impl NodeState {
    pub(crate) fn new(machine: Machine, ips: Vec<IpAddr>) -> Self {
        Self {
            machine,
            ips,
            runtime: Mutex::default(),
            object: Mutex::default(),
            pods_synced: AtomicBool::new(false),
            runtime_ok: AtomicBool::new(false),
            network_ok: AtomicBool::new(false),
            pressure: Mutex::default(),
            wake: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Addresses as text, primary first.
    pub(crate) fn ip_texts(&self) -> Vec<String> {
        self.ips.iter().map(ToString::to_string).collect()
    }

    /// The machine's memory.
    pub(crate) fn memory_bytes(&self) -> i64 {
        self.machine.memory_bytes
    }

    /// The Node as last seen.
    pub(crate) fn object(&self) -> Option<Object> {
        self.object.lock().clone()
    }

    /// What the runtime says it can do.
    pub(crate) fn features(&self) -> Features {
        let runtime = self.runtime.lock();
        Features {
            recursive_read_only: runtime.runtime_handlers.iter().any(|h| {
                h.name.is_empty()
                    && h.features
                        .as_ref()
                        .is_some_and(|f| f.recursive_read_only_mounts)
            }),
            supplemental_groups_policy: runtime
                .features
                .as_ref()
                .is_some_and(|f| f.supplemental_groups_policy),
        }
    }

    /// The runtime answers and says it is ready.
    pub(crate) fn runtime_ok(&self) -> bool {
        self.runtime_ok.load(Ordering::SeqCst)
    }

    /// The pod network is ready.
    pub(crate) fn network_ok(&self) -> bool {
        self.network_ok.load(Ordering::SeqCst)
    }

    /// What the node is short of, as the last look of the eviction manager left it.
    pub(crate) fn pressure(&self) -> Conditions {
        *self.pressure.lock()
    }

    /// Takes note of what the node is short of; a change is reported at once.
    pub(crate) fn set_pressure(&self, conditions: Conditions) {
        let before = std::mem::replace(&mut *self.pressure.lock(), conditions);
        if before != conditions {
            self.wake.notify_one();
        }
    }

    /// The first list of pods is in.
    pub(crate) fn set_pods_synced(&self) {
        self.pods_synced.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Resolves when runtime or network readiness changes.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn note_runtime(&self, status: v1::StatusResponse) {
        let ok = |kind: &str| {
            status
                .status
                .iter()
                .flat_map(|s| &s.conditions)
                .any(|c| c.r#type == kind && c.status)
        };
        let before = (self.runtime_ok(), self.network_ok());
        self.runtime_ok.store(ok("RuntimeReady"), Ordering::SeqCst);
        self.network_ok.store(ok("NetworkReady"), Ordering::SeqCst);
        *self.runtime.lock() = status;
        if before != (self.runtime_ok(), self.network_ok()) {
            self.changed.notify_waiters();
        }
    }
}

/// Starts the node's tasks.
pub(crate) fn start(ctx: &Ctx) {
    ctx.tasks
        .spawn_until_stopped("node status", run(ctx.clone()));
    ctx.tasks
        .spawn_until_stopped("node lease", lease::run(ctx.clone()));
}

async fn run(ctx: Ctx) {
    let mut reported: Option<Duration> = None;
    let mut role_set = false;
    let mut starting = STARTING;
    loop {
        let health = observe(&ctx).await;
        let mut wait = PERIOD;
        if health.not_ready.is_empty() {
            starting = STARTING;
        } else {
            wait = starting;
            starting = (starting * 2).min(PERIOD);
        }
        match report(&ctx, &health, &mut reported).await {
            Ok(node) => {
                *ctx.node.object.lock() = Some(node.clone());
                if ctx.config.control_plane && !role_set {
                    let client = ctx.supervisor.as_ref().unwrap_or(&ctx.client);
                    match registration::set_role(client, &node).await {
                        Ok(()) => role_set = true,
                        Err(error) => tracing::warn!(%error, "control-plane role label not set"),
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "node status not written");
                wait = Duration::from_millis(500);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = ctx.node.wake.notified() => {}
        }
    }
}

/// Looks at the runtime, and at what the eviction manager found.
async fn observe(ctx: &Ctx) -> Health {
    let mut health = Health::default();
    match ctx.cri.status().await {
        Ok(status) => {
            for condition in status
                .status
                .iter()
                .flat_map(|s| &s.conditions)
                .filter(|c| !c.status)
            {
                let what = if condition.r#type == "NetworkReady" {
                    "container runtime network"
                } else {
                    "container runtime"
                };
                health.not_ready.push(format!(
                    "{what} not ready: {}=false reason:{} message:{}",
                    condition.r#type, condition.reason, condition.message
                ));
            }
            ctx.node.note_runtime(status);
        }
        Err(error) => {
            ctx.node.note_runtime(v1::StatusResponse::default());
            health.not_ready.push(format!(
                "container runtime status check may not have completed yet: {error}"
            ));
        }
    }
    if !ctx.node.pods_synced.load(Ordering::SeqCst) {
        health
            .not_ready
            .push("kubelet has not yet read its pods".to_owned());
    }
    health.pressure = ctx.node.pressure();
    health
}

/// Processes now and at most.
pub(crate) fn pids() -> Option<(i64, i64)> {
    let loadavg = std::fs::read_to_string("/proc/loadavg").ok()?;
    let running = loadavg
        .split_whitespace()
        .nth(3)?
        .split('/')
        .nth(1)?
        .parse()
        .ok()?;
    let max = std::fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some((running, max))
}

/// Registers the node or brings its object to the present state; returns the object.
async fn report(
    ctx: &Ctx,
    health: &Health,
    reported: &mut Option<Duration>,
) -> Result<Object, Error> {
    let config = &ctx.config;
    let images = ctx.cri.images().await.unwrap_or_default();
    let runtime = ctx.node.runtime.lock().clone();
    let disk_bytes = k3s_sys::volume::usage(&config.root_dir).map_or(0, |u| u.capacity_bytes);
    let fields = status::status(
        config,
        &status::Facts {
            machine: &ctx.node.machine,
            node_ips: &ctx.node.ips,
            disk_bytes,
            runtime_version: &ctx.runtime_version,
            runtime: &runtime,
            images: &images,
            port: ctx.port(),
        },
    );
    let now = config.clock.now();
    let node = match ctx
        .client
        .get(&resources::NODES, None, &config.node_name)
        .await
    {
        Err(error) if error.is_not_found() => {
            let fresh = conditions::conditions(health, &[], now);
            let node = registration::new_node(config, &ctx.node.ips, &fields, &fresh);
            let node = ctx.client.create(&resources::NODES, None, &node).await?;
            ctx.events.node(&node, "Starting", "Starting kubelet.");
            node
        }
        other => other?,
    };
    let node = match registration::reconcile(config, &ctx.node.ips, node.value()) {
        Some(patch) => {
            ctx.client
                .patch(
                    &resources::NODES,
                    None,
                    &config.node_name,
                    &Patch::Merge(patch),
                )
                .await?
        }
        None => node,
    };
    sync_pod_cidr(ctx, &node).await;
    let null = Value::Null;
    let before = node.value().get("status").unwrap_or(&null);
    let old = before
        .get("conditions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let list = conditions::conditions(health, &old, now);
    let elapsed = config.clock.elapsed();
    let due = reported.is_none_or(|at| elapsed.saturating_sub(at) >= REPORT);
    let Some(patch) = status::patch(before, &fields, &list, due) else {
        return Ok(node);
    };
    let was_ready = is_ready(&old);
    let node = ctx
        .client
        .patch_status(
            &resources::NODES,
            None,
            &config.node_name,
            &Patch::Strategic(patch),
        )
        .await?;
    *reported = Some(elapsed);
    if was_ready != health.not_ready.is_empty() {
        let (reason, message) = if health.not_ready.is_empty() {
            ("NodeReady", "NodeReady")
        } else {
            ("NodeNotReady", "NodeNotReady")
        };
        ctx.events.node(
            &node,
            reason,
            &format!("Node {} status is now: {message}", config.node_name),
        );
    }
    Ok(node)
}

fn is_ready(conditions: &[Value]) -> bool {
    conditions.iter().any(|c| {
        c.get("type").and_then(Value::as_str) == Some("Ready")
            && c.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// Tells the runtime the pod network once it is known.
async fn sync_pod_cidr(ctx: &Ctx, node: &Object) {
    let cidr = |o: &Object| {
        o.value()
            .get("spec")
            .and_then(|s| s.get("podCIDR"))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let new = cidr(node);
    let old = ctx.node.object().as_ref().and_then(cidr);
    if let Some(new) = new.filter(|new| old.as_ref() != Some(new))
        && let Err(error) = ctx.cri.set_pod_cidr(&new).await
    {
        tracing::debug!(%error, "runtime did not take the pod CIDR");
    }
}
