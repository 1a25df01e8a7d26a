//! Registers the node and keeps its status up to date (`pkg/kubelet/kubelet_node_status.go`).

use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{Backoff, BackoffPolicy};
use k3s_client::{Client, Error, Object, Patch, resources};
use k3s_cri::v1;
use k3s_lifecycle::Tasks;
use serde_json::Value;

use super::conditions::{self, Health};
use super::state::NodeState;
use super::{registration, status};
use crate::config::KubeletConfig;
use crate::cri::Cri;
use crate::events::Events;

/// Between two checks of runtime and machine once the node is ready.
const PERIOD: Duration = Duration::from_secs(10);
/// ... and before: readiness should not wait for the next period.
const STARTING: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(100),
    factor: 2.0,
    cap: PERIOD,
    jitter: 0.0,
};
/// After a failed write.
const RETRY: Duration = Duration::from_millis(500);
/// An unchanged status is written this often (upstream's `nodeStatusReportFrequency`).
const REPORT: Duration = Duration::from_secs(300);

/// See the module.
pub(crate) struct NodeReporter {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) client: Client,
    /// May set the role label, which NodeRestriction denies to the node.
    pub(crate) supervisor: Option<Client>,
    pub(crate) cri: Cri,
    pub(crate) events: Events,
    pub(crate) node: Arc<NodeState>,
    /// `name://version`.
    pub(crate) runtime_version: String,
    /// The port HTTPS is served on.
    pub(crate) port: u16,
}

/// What the task remembers between two reports.
struct Progress {
    /// When the status was last written, on the monotonic clock.
    written: Option<Duration>,
    role_set: bool,
    starting: Backoff,
}

impl NodeReporter {
    /// Starts the reporter's task.
    pub(crate) fn start(self, tasks: &Tasks) {
        tasks.spawn_until_stopped("node status", self.run());
    }

    async fn run(self) {
        let mut progress = Progress {
            written: None,
            role_set: false,
            starting: STARTING.start(),
        };
        loop {
            let health = self.check_health().await;
            let mut wait = PERIOD;
            if health.not_ready.is_empty() {
                progress.starting.reset();
            } else {
                wait = progress.starting.next_delay(&self.config.random);
            }
            if let Err(error) = self.report(&health, &mut progress).await {
                tracing::debug!(error = chain(&error), "node status not written");
                wait = RETRY;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.node.report_due() => {}
            }
        }
    }

    /// Asks the runtime, and takes what the eviction manager found.
    async fn check_health(&self) -> Health {
        let mut health = Health {
            not_ready: Vec::new(),
            pressure: self.node.pressure(),
        };
        match self.cri.status().await {
            Ok(status) => {
                let conditions = status.status.iter().flat_map(|s| &s.conditions);
                let failing = conditions.filter(|c| !c.status);
                health.not_ready.extend(failing.map(not_ready));
                self.node.set_runtime(status);
            }
            Err(error) => {
                self.node.set_runtime(v1::StatusResponse::default());
                health.not_ready.push(format!(
                    "container runtime status check may not have completed yet: {error}"
                ));
            }
        }
        if !self.node.pods_synced() {
            let message = "kubelet has not yet read its pods";
            health.not_ready.push(message.to_owned());
        }
        health
    }

    /// Registers the node or brings its object to the present state.
    async fn report(&self, health: &Health, progress: &mut Progress) -> Result<(), Error> {
        let fields = self.status_fields().await;
        let node = self.registered(health, &fields).await?;
        self.sync_pod_cidr(&node).await;
        let written = self.write_status(health, &fields, &node, progress).await?;
        let node = written.unwrap_or(node);
        self.node.set_object(node.clone());
        let needs_role = self.config.control_plane && !progress.role_set;
        if needs_role {
            let supervisor = self.supervisor.as_ref();
            let client = supervisor.unwrap_or(&self.client);
            match registration::set_role(client, &node).await {
                Ok(()) => progress.role_set = true,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "control-plane role label not set");
                }
            }
        }
        Ok(())
    }

    async fn status_fields(&self) -> serde_json::Map<String, Value> {
        // Images are shown for information only: a runtime that cannot list them still works.
        let images = self.cri.images().await;
        let images = images.unwrap_or_default();
        let runtime = self.node.runtime();
        let facts = status::Facts {
            machine: &self.node.machine,
            node_ips: &self.node.ips,
            disk_bytes: self.node.disk_bytes(),
            runtime_version: &self.runtime_version,
            runtime: &runtime,
            images: &images,
            port: self.port,
        };
        status::status(&self.config, &facts)
    }

    /// The node's object, made where it is missing, with the configured labels and annotations.
    async fn registered(
        &self,
        health: &Health,
        fields: &serde_json::Map<String, Value>,
    ) -> Result<Object, Error> {
        let config = &self.config;
        let client = &self.client;
        let name = &config.node_name;
        let found = client.get(&resources::NODES, None, name).await;
        let node = match found {
            Err(error) if error.is_not_found() => self.register(health, fields).await?,
            other => other?,
        };
        let patch = registration::reconcile(config, &self.node.ips, node.value());
        let Some(patch) = patch else {
            return Ok(node);
        };
        let patch = Patch::Merge(patch);
        client.patch(&resources::NODES, None, name, &patch).await
    }

    async fn register(
        &self,
        health: &Health,
        fields: &serde_json::Map<String, Value>,
    ) -> Result<Object, Error> {
        let now = self.config.clock.now();
        let conditions = conditions::conditions(health, &[], now);
        let node = registration::new_node(&self.config, &self.node.ips, fields, &conditions);
        let created = self.client.create(&resources::NODES, None, &node).await?;
        self.events.node(&created, "Starting", "Starting kubelet.");
        Ok(created)
    }

    /// Writes the status where it differs or is due; returns the written object.
    async fn write_status(
        &self,
        health: &Health,
        fields: &serde_json::Map<String, Value>,
        node: &Object,
        progress: &mut Progress,
    ) -> Result<Option<Object>, Error> {
        let clock = &self.config.clock;
        let before = node.value().get("status");
        let before = before.unwrap_or(&Value::Null);
        let fields = status::with_extended(fields.clone(), before);
        let old = conditions_in(before);
        let list = conditions::conditions(health, old, clock.now());
        let elapsed = clock.elapsed();
        let since = progress.written.map(|at| elapsed.saturating_sub(at));
        let due = since.is_none_or(|since| since >= REPORT);
        let patch = status::patch(before, &fields, &list, due);
        let Some(patch) = patch else {
            return Ok(None);
        };
        let name = &self.config.node_name;
        let patch = Patch::Strategic(patch);
        let node = self
            .client
            .patch_status(&resources::NODES, None, name, &patch)
            .await?;
        progress.written = Some(elapsed);
        if let Some(message) = status::address_change(before, &fields) {
            self.events.node(&node, "NodeAddressChanged", &message);
        }
        let is_ready_now = health.not_ready.is_empty();
        let was_ready = is_ready(old);
        if was_ready != is_ready_now {
            self.announce(&node, is_ready_now);
        }
        Ok(Some(node))
    }

    fn announce(&self, node: &Object, ready: bool) {
        let reason = if ready { "NodeReady" } else { "NodeNotReady" };
        let message = format!("Node {} status is now: {reason}", self.config.node_name);
        self.events.node(node, reason, &message);
    }

    /// Tells the runtime the pod network once it is known.
    async fn sync_pod_cidr(&self, node: &Object) {
        let new = pod_cidr(node);
        let known = self.node.object().as_ref().and_then(pod_cidr);
        if let Some(new) = new.filter(|new| known.as_ref() != Some(new))
            && let Err(error) = self.cri.set_pod_cidr(&new).await
        {
            tracing::debug!(%error, "runtime did not take the pod CIDR");
        }
    }
}

fn not_ready(condition: &v1::RuntimeCondition) -> String {
    let what = if condition.r#type == "NetworkReady" {
        "container runtime network"
    } else {
        "container runtime"
    };
    format!(
        "{what} not ready: {}=false reason:{} message:{}",
        condition.r#type, condition.reason, condition.message
    )
}

fn conditions_in(status: &Value) -> &[Value] {
    let list = status.get("conditions").and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

fn is_ready(conditions: &[Value]) -> bool {
    let has = |condition: &Value, field: &str, text: &str| {
        let value = condition.get(field);
        value.and_then(Value::as_str) == Some(text)
    };
    let is_true = |condition: &Value| {
        let is_of_kind = has(condition, "type", "Ready");
        is_of_kind && has(condition, "status", "True")
    };
    conditions.iter().any(is_true)
}

fn pod_cidr(node: &Object) -> Option<String> {
    let spec = node.value().get("spec")?;
    Some(spec.get("podCIDR")?.as_str()?.to_owned())
}
