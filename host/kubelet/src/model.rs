//! What the runtime reports of one pod, and small readings of a pod's spec that several decisions
//! share. Plain data: nothing here does I/O.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use sha2::{Digest, Sha256};

use crate::labels;

/// A container's state as CRI reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

/// One container of the pod in the runtime. Times are Unix nanoseconds, 0 where not yet reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) name: String,
    pub(crate) attempt: u32,
    pub(crate) state: State,
    pub(crate) created_at_ns: i64,
    pub(crate) started_at_ns: i64,
    pub(crate) finished_at_ns: i64,
    pub(crate) exit_code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) image: String,
    pub(crate) image_id: String,
    /// `io.kubernetes.container.hash`: which spec it was made from.
    pub(crate) hash: String,
    pub(crate) log_path: String,
}

/// One sandbox of the pod in the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SandboxRecord {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) ready: bool,
    pub(crate) created_at_ns: i64,
    pub(crate) ips: Vec<String>,
}

/// Everything the runtime has of one pod, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) sandboxes: Vec<SandboxRecord>,
    pub(crate) containers: Vec<ContainerRecord>,
}

impl Observed {
    /// Sorts both lists, newest first, as the other methods expect them.
    pub(crate) fn sorted(mut self) -> Self {
        self.sandboxes
            .sort_by_key(|s| std::cmp::Reverse((s.created_at_ns, s.attempt)));
        self.containers
            .sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at_ns)));
        self
    }

    /// The newest container of that name.
    pub(crate) fn latest(&self, name: &str) -> Option<&ContainerRecord> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The one before the newest.
    pub(crate) fn previous(&self, name: &str) -> Option<&ContainerRecord> {
        self.containers.iter().filter(|c| c.name == name).nth(1)
    }

    /// The newest sandbox, if it is ready.
    pub(crate) fn ready_sandbox(&self) -> Option<&SandboxRecord> {
        self.sandboxes.first().filter(|s| s.ready)
    }

    /// Whether anything of the pod still runs.
    pub(crate) fn alive(&self) -> bool {
        self.sandboxes.iter().any(|s| s.ready) || self.running().next().is_some()
    }

    /// Containers that hold or may hold processes.
    pub(crate) fn running(&self) -> impl Iterator<Item = &ContainerRecord> {
        self.containers
            .iter()
            .filter(|c| matches!(c.state, State::Running | State::Unknown))
    }
}

/// Why a container does not run, after the last attempt to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A verdict of the node on the pod as a whole: it overrides what the containers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// Whether a phase is one that no pod leaves.
pub(crate) fn is_terminal(phase: Option<&str>) -> bool {
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// `SystemCriticalPriority`.
const SYSTEM_CRITICAL: i32 = 2_000_000_000;

/// Whether the pod's priority is that of `system-node-critical` or above.
pub(crate) fn has_critical_priority(pod: &Pod) -> bool {
    let priority = pod.spec.as_ref().and_then(|s| s.priority);
    priority.is_some_and(|priority| priority >= SYSTEM_CRITICAL)
}

/// Static pods and those of system priority are never evicted (`IsCriticalPod`).
pub(crate) fn is_critical(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let source = annotations.and_then(|a| a.get(labels::CONFIG_SOURCE));
    source.is_some_and(|source| source != "api") || has_critical_priority(pod)
}

/// Where a container stands in the spec: which list, and which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Slot {
    Init(usize),
    Main(usize),
    Ephemeral(usize),
}

impl Slot {
    /// The container it names.
    pub(crate) fn of<'a>(&self, spec: &'a PodSpec) -> Option<Cow<'a, Container>> {
        match self {
            Self::Init(i) => init_containers(spec).get(*i).map(Cow::Borrowed),
            Self::Main(i) => spec.containers.get(*i).map(Cow::Borrowed),
            Self::Ephemeral(i) => ephemeral_containers(spec)
                .get(*i)
                .map(|e| Cow::Owned(as_container(e))),
        }
    }

    /// The container in whose process namespace this one is to run.
    pub(crate) fn target<'a>(&self, spec: &'a PodSpec) -> Option<&'a str> {
        let Self::Ephemeral(i) = self else {
            return None;
        };
        let target = ephemeral_containers(spec)
            .get(*i)?
            .target_container_name
            .as_deref();
        target.filter(|name| !name.is_empty())
    }
}

/// The pod's init containers; empty when there are none.
pub(crate) fn init_containers(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

/// The containers added to the pod while it runs, for debugging; empty when there are none.
pub(crate) fn ephemeral_containers(spec: &PodSpec) -> &[EphemeralContainer] {
    spec.ephemeral_containers.as_deref().unwrap_or_default()
}

/// An ephemeral container has the fields of a container and a target.
pub(crate) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let e = ephemeral.clone();
    Container {
        name: e.name,
        image: e.image,
        image_pull_policy: e.image_pull_policy,
        command: e.command,
        args: e.args,
        working_dir: e.working_dir,
        env: e.env,
        env_from: e.env_from,
        volume_mounts: e.volume_mounts,
        volume_devices: e.volume_devices,
        security_context: e.security_context,
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        termination_message_path: e.termination_message_path,
        termination_message_policy: e.termination_message_policy,
        // The API forbids ports, probes, hooks, resources and restart rules here.
        ..Container::default()
    }
}

/// Every container, ephemeral ones last.
pub(crate) fn every_container(spec: &PodSpec) -> impl Iterator<Item = (Slot, Cow<'_, Container>)> {
    let ephemeral = ephemeral_containers(spec).iter().enumerate();
    let ephemeral = ephemeral.map(|(i, e)| (Slot::Ephemeral(i), Cow::Owned(as_container(e))));
    all_containers(spec)
        .map(|(slot, container)| (slot, Cow::Borrowed(container)))
        .chain(ephemeral)
}

/// The containers that make up the pod, with their slots, init containers first.
pub(crate) fn all_containers(spec: &PodSpec) -> impl Iterator<Item = (Slot, &Container)> {
    let init = init_containers(spec)
        .iter()
        .enumerate()
        .map(|(i, c)| (Slot::Init(i), c));
    init.chain(
        spec.containers
            .iter()
            .enumerate()
            .map(|(i, c)| (Slot::Main(i), c)),
    )
}

/// An init container that keeps running: a native sidecar.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The pod's restart policy; `Always` where the field is missing.
pub(crate) fn restart_policy(spec: &PodSpec) -> &str {
    spec.restart_policy.as_deref().unwrap_or("Always")
}

/// Whether this container is started again after `exit_code`, by its own policy and rules
/// (KEP-5307) before the pod's.
pub(crate) fn restarts_after(
    spec: &PodSpec,
    slot: Slot,
    container: &Container,
    exit_code: i32,
) -> bool {
    if matches!(slot, Slot::Ephemeral(_)) {
        return false;
    }
    for rule in container
        .restart_policy_rules
        .as_deref()
        .unwrap_or_default()
    {
        let Some(codes) = &rule.exit_codes else {
            continue;
        };
        let listed = codes
            .values
            .as_deref()
            .unwrap_or_default()
            .contains(&exit_code);
        if listed == (codes.operator == "In") && rule.action.starts_with("Restart") {
            return true;
        }
    }
    let own = container.restart_policy.as_deref();
    match (own.unwrap_or_else(|| restart_policy(spec)), slot) {
        ("Never", _) => false,
        ("OnFailure", _) => exit_code != 0,
        // An init container that succeeded is done, unless it is a sidecar.
        (_, Slot::Init(_)) if own != Some("Always") => exit_code != 0,
        _ => true,
    }
}

/// A digest of the parts of a container spec whose change needs a new container
/// (upstream `HashContainer`: name and image).
pub(crate) fn container_hash(container: &Container) -> String {
    let mut digest = Sha256::new();
    digest.update(container.name.as_bytes());
    digest.update([0]);
    digest.update(container.image.as_deref().unwrap_or_default().as_bytes());
    digest
        .finalize()
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// `namespace/name`, as messages write a pod.
pub(crate) fn pod_key(pod: &Pod) -> String {
    format!("{}/{}", namespace(pod), name(pod))
}

/// `name_namespace(uid)`, as upstream's `format.Pod` writes a pod.
pub(crate) fn pod_long(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// `metadata.name`.
pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// `metadata.namespace`.
pub(crate) fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// `metadata.generation`; 0 where the source counts none.
pub(crate) fn generation(pod: &Pod) -> i64 {
    pod.metadata.generation.unwrap_or(0)
}

/// The uid the node knows the pod by: a static pod's is its hash, which its mirror carries in an
/// annotation.
pub(crate) fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Whether the pod shares the node's network.
pub(crate) fn host_network(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .and_then(|s| s.host_network)
        .unwrap_or(false)
}
