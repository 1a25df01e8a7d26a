//! The pod conditions the node writes, in upstream's wording
//! (`pkg/kubelet/status/generate.go`).

use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::inputs::{Inputs, whole_seconds};
use super::resize;
use crate::model::{host_network, init_containers, is_sidecar};

/// Condition types the node owns; others in the object are left as they are.
pub(crate) const OWN: [&str; 8] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    DISRUPTION_TARGET,
    resize::PENDING,
    resize::IN_PROGRESS,
];

/// Those of the node's own that are not there all the time.
pub(crate) const PASSING: [&str; 2] = [resize::PENDING, resize::IN_PROGRESS];

/// Says that the pod was ended for a reason that lies outside of it.
const DISRUPTION_TARGET: &str = "DisruptionTarget";

struct Verdict {
    status: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn yes() -> Self {
        Self {
            status: true,
            reason: "",
            message: String::new(),
        }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self {
            status: false,
            reason,
            message,
        }
    }
}

/// All own conditions, with transition times kept where the status did not change.
pub(crate) fn conditions(
    inputs: &Inputs<'_>,
    spec: &PodSpec,
    status: &PodStatus,
) -> Vec<PodCondition> {
    let refused = inputs.rejection.is_some() && status.container_statuses.is_none();
    let containers = containers_ready(spec, status);
    let ready = ready(inputs, spec, &containers);
    let list = [
        ("PodReadyToStartContainers", sandbox_ready(inputs)),
        ("Initialized", initialized(spec, status)),
        ("Ready", ready),
        ("ContainersReady", containers),
        ("PodScheduled", Verdict::yes()),
    ];
    let mut conditions = Vec::new();
    for (kind, verdict) in list {
        // A refused pod carries nothing but what the scheduler wrote.
        let is_due = !refused || kind == "PodScheduled";
        if is_due {
            let condition = condition(inputs, kind, verdict);
            conditions.push(condition);
        }
    }
    if let Some(verdict) = disruption(inputs, refused) {
        let disruption = condition(inputs, DISRUPTION_TARGET, verdict);
        conditions.push(disruption);
    }
    if !inputs.terminal && !refused {
        conditions.extend(resizes(inputs));
    }
    conditions
}

/// Whether a resize waits, and whether one is not finished. Both stand for the generation that they are about.
fn resizes(inputs: &Inputs<'_>) -> Vec<PodCondition> {
    let mut conditions = Vec::new();
    if let Some(pending) = inputs.pending {
        let verdict = Verdict {
            status: true,
            reason: resize::DEFERRED,
            message: pending.message.clone(),
        };
        conditions.push((resize::PENDING, verdict, pending.generation));
    }
    if let Some(progress) = inputs.progress {
        let verdict = Verdict {
            status: true,
            reason: progress.reason(),
            message: progress.error.clone().unwrap_or_default(),
        };
        conditions.push((resize::IN_PROGRESS, verdict, progress.generation));
    }
    let conditions = conditions.into_iter();
    let shown = conditions.map(|(kind, verdict, generation)| PodCondition {
        observed_generation: Some(generation),
        ..condition(inputs, kind, verdict)
    });
    shown.collect()
}

/// An evicted pod keeps the condition it got from the node.
fn disruption(inputs: &Inputs<'_>, refused: bool) -> Option<Verdict> {
    const REASON: &str = "TerminationByKubelet";
    let verdict = |message: String| Verdict {
        status: true,
        reason: REASON,
        message,
    };
    if let Some(rejection) = inputs
        .rejection
        .filter(|r| !refused && r.reason == "Evicted")
    {
        return Some(verdict(rejection.message.clone()));
    }
    let old = inputs
        .before
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == DISRUPTION_TARGET)?;
    (old.reason.as_deref() == Some(REASON))
        .then(|| verdict(old.message.clone().unwrap_or_default()))
}

fn condition(inputs: &Inputs<'_>, kind: &str, verdict: Verdict) -> PodCondition {
    let status = if verdict.status { "True" } else { "False" };
    let old = inputs
        .before
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == kind);
    // Those that pass are never false: what they go through is their reason.
    let is_same = |old: &&PodCondition| {
        let reason = old.reason.as_deref().unwrap_or_default();
        old.status == status && (!PASSING.contains(&kind) || reason == verdict.reason)
    };
    let transition = old
        .filter(is_same)
        .and_then(|old| old.last_transition_time.clone())
        .unwrap_or_else(|| Time(whole_seconds(inputs.now)));
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: (!verdict.reason.is_empty()).then(|| verdict.reason.to_owned()),
        message: (!verdict.message.is_empty()).then_some(verdict.message),
        last_transition_time: Some(transition),
        last_probe_time: None,
        observed_generation: inputs.pod.metadata.generation,
    }
}

fn sandbox_ready(inputs: &Inputs<'_>) -> Verdict {
    let ready = inputs
        .observed
        .ready_sandbox()
        .is_some_and(|s| host_network(inputs.pod) || !s.ips.is_empty());
    Verdict {
        status: ready,
        reason: "",
        message: String::new(),
    }
}

fn find<'a>(list: Option<&'a Vec<ContainerStatus>>, name: &str) -> Option<&'a ContainerStatus> {
    list?.iter().find(|status| status.name == name)
}

fn initialized(spec: &PodSpec, status: &PodStatus) -> Verdict {
    if status.phase.as_deref() == Some("Succeeded") {
        return Verdict {
            reason: "PodCompleted",
            ..Verdict::yes()
        };
    }
    let containers = init_containers(spec).iter();
    let incomplete: Vec<&str> = containers
        .filter(|container| !is_complete(container, status))
        .map(|container| container.name.as_str())
        .collect();
    if incomplete.is_empty() || main_started(status) {
        return Verdict::yes();
    }
    let names = incomplete.join(" ");
    Verdict::no(
        "ContainersNotInitialized",
        format!("containers with incomplete status: [{names}]"),
    )
}

/// Whether the init container is done, or as a sidecar has started.
fn is_complete(container: &Container, status: &PodStatus) -> bool {
    let found = find(status.init_container_statuses.as_ref(), &container.name);
    found.is_some_and(|status| {
        if is_sidecar(container) {
            status.started == Some(true)
        } else {
            status.ready
        }
    })
}

/// Whether a main container runs or ran: then initialisation is over.
fn main_started(status: &PodStatus) -> bool {
    let mut statuses = status.container_statuses.iter().flatten();
    statuses.any(|status| {
        let state = status.state.as_ref();
        let last = status.last_state.as_ref();
        state.is_some_and(|s| s.running.is_some() || s.terminated.is_some())
            || last.is_some_and(|s| s.terminated.is_some())
    })
}

fn containers_ready(spec: &PodSpec, status: &PodStatus) -> Verdict {
    match status.phase.as_deref() {
        Some("Succeeded") => return Verdict::no("PodCompleted", String::new()),
        Some("Failed") => return Verdict::no("PodFailed", String::new()),
        _ => {}
    }
    let (unknown, unready) = not_ready(spec, status);
    let mut messages = Vec::new();
    if !unknown.is_empty() {
        let names = unknown.join(" ");
        messages.push(format!("containers with unknown status: [{names}]"));
    }
    if !unready.is_empty() {
        let names = unready.join(" ");
        messages.push(format!("containers with unready status: [{names}]"));
    }
    if messages.is_empty() {
        Verdict::yes()
    } else {
        Verdict::no("ContainersNotReady", messages.join(", "))
    }
}

/// The names of containers without a status, and of those that are not ready.
fn not_ready<'a>(spec: &'a PodSpec, status: &PodStatus) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut unknown = Vec::new();
    let mut unready = Vec::new();
    let mut check = |container: &'a Container, statuses: Option<&Vec<ContainerStatus>>| {
        let name = container.name.as_str();
        match find(statuses, name) {
            None => unknown.push(name),
            Some(status) if !status.ready => unready.push(name),
            Some(_) => {}
        }
    };
    for container in init_containers(spec) {
        if is_sidecar(container) {
            check(container, status.init_container_statuses.as_ref());
        }
    }
    for container in &spec.containers {
        check(container, status.container_statuses.as_ref());
    }
    (unknown, unready)
}

/// Whether the object contradicts a condition of the node's. Another component wrote it (the node
/// lifecycle controller, while the node was not ready), and the node has to correct it although
/// nothing changed here.
pub(crate) fn overwritten(pod: &Pod, status: &PodStatus) -> bool {
    let present = pod
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    let differs = |there: &PodCondition| {
        let mut own = status.conditions.iter().flatten();
        OWN.contains(&there.type_.as_str())
            && own.any(|own| own.type_ == there.type_ && own.status != there.status)
    };
    present.into_iter().any(differs)
}

fn ready(inputs: &Inputs<'_>, spec: &PodSpec, containers: &Verdict) -> Verdict {
    if !containers.status {
        return Verdict::no(containers.reason, containers.message.clone());
    }
    // Readiness gates are written by others: read them from the object itself.
    let present = inputs
        .pod
        .status
        .as_ref()
        .and_then(|s| s.conditions.as_ref());
    let messages: Vec<String> = spec
        .readiness_gates
        .iter()
        .flatten()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match present.into_iter().flatten().find(|c| &c.type_ == kind) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate \"{kind}\" does not exist."
                )),
                Some(c) if c.status != "True" => Some(format!(
                    "the status of pod readiness gate \"{kind}\" is not \"True\", but {}",
                    c.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if messages.is_empty() {
        Verdict::yes()
    } else {
        Verdict::no("ReadinessGatesNotReady", messages.join(", "))
    }
}
