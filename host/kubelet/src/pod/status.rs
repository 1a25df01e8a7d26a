//! A pod's status out of what the runtime has and what the node tried: phase, container statuses,
//! addresses. Follows `pkg/kubelet/kubelet_pods.go` (`convertStatusToAPIStatus`, `getPhase`).

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodIP, PodSpec, PodStatus,
    VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::model::{
    ContainerRecord, Observed, Rejection, Slot, State, Waiting, as_container, ephemeral_containers,
    host_network, init_containers, is_sidecar, restart_policy, restarts_after,
};
use super::plan::Verdicts;
use super::qos::qos_class;

/// What the status is made from.
pub(crate) struct Inputs<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) observed: &'a Observed,
    pub(crate) verdicts: &'a HashMap<String, Verdicts>,
    pub(crate) waiting: &'a HashMap<String, Waiting>,
    /// The status written before; keeps transition times, restart counts, start time.
    pub(crate) before: &'a PodStatus,
    pub(crate) rejection: Option<&'a Rejection>,
    /// No container will be started again.
    pub(crate) terminal: bool,
    pub(crate) node_ips: &'a [String],
    /// Prefix of container ids: the runtime's name.
    pub(crate) runtime: &'a str,
    pub(crate) now: Timestamp,
}

/// The status as it should be written.
pub(crate) fn pod_status(inputs: &Inputs<'_>) -> PodStatus {
    let empty = PodSpec::default();
    let spec = inputs.pod.spec.as_ref().unwrap_or(&empty);
    let init_list = init_containers(spec);
    let main: Vec<_> = spec
        .containers
        .iter()
        .enumerate()
        .map(|(i, c)| container_status(inputs, Slot::Main(i), c, !init_list.is_empty()))
        .collect();
    let init: Vec<_> = init_list
        .iter()
        .enumerate()
        .map(|(i, c)| container_status(inputs, Slot::Init(i), c, true))
        .collect();
    let ephemeral: Vec<_> = ephemeral_containers(spec)
        .iter()
        .enumerate()
        .map(|(i, c)| container_status(inputs, Slot::Ephemeral(i), &as_container(c), false))
        .collect();
    let previous = inputs.before.phase.as_deref().unwrap_or_default();
    let computed = phase(spec, &init, &main, inputs.terminal);
    // A terminal phase never changes again.
    let phase = match (inputs.rejection, previous) {
        (Some(_), _) => "Failed",
        (None, "Succeeded") => "Succeeded",
        (None, "Failed") => "Failed",
        _ => computed,
    };
    let ips = addresses(inputs);
    let mut status = PodStatus {
        phase: Some(phase.to_owned()),
        observed_generation: inputs.pod.metadata.generation,
        qos_class: Some(qos_class(inputs.pod).as_str().to_owned()),
        start_time: inputs
            .before
            .start_time
            .clone()
            .or(Some(Time(whole_seconds(inputs.now)))),
        host_ip: inputs.node_ips.first().cloned(),
        host_ips: Some(
            inputs
                .node_ips
                .iter()
                .map(|ip| HostIP { ip: ip.clone() })
                .collect(),
        ),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        reason: inputs.rejection.map(|r| r.reason.clone()),
        message: inputs.rejection.map(|r| r.message.clone()),
        ..PodStatus::default()
    };
    if inputs.rejection.is_none() && matches!(previous, "Failed" | "Succeeded") {
        status.reason.clone_from(&inputs.before.reason);
        status.message.clone_from(&inputs.before.message);
    }
    if !refused(inputs) {
        status.container_statuses = Some(main);
        status.init_container_statuses = (!init.is_empty()).then_some(init);
        status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
    }
    status.conditions = Some(conditions::conditions(inputs, spec, &status));
    status
}

/// A pod the node never took has no container statuses.
fn refused(inputs: &Inputs<'_>) -> bool {
    inputs.rejection.is_some()
        && inputs.observed.sandboxes.is_empty()
        && inputs.observed.containers.is_empty()
}

fn addresses(inputs: &Inputs<'_>) -> Vec<String> {
    if host_network(inputs.pod) {
        let started = !inputs.observed.sandboxes.is_empty();
        return if started {
            inputs.node_ips.to_vec()
        } else {
            Vec::new()
        };
    }
    match inputs.observed.sandboxes.first() {
        Some(sandbox) if sandbox.ready => sandbox.ips.clone(),
        // A finished pod keeps the address it had.
        Some(_) if inputs.terminal => inputs
            .before
            .pod_ips
            .iter()
            .flatten()
            .map(|p| p.ip.clone())
            .collect(),
        _ => Vec::new(),
    }
}

/// `metav1.Time` carries whole seconds; anything finer would differ after one round trip.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn time(ns: i64) -> Option<Time> {
    let at = Timestamp::from_nanosecond(i128::from(ns)).ok()?;
    (ns > 0).then(|| Time(whole_seconds(at)))
}

fn before<'a>(inputs: &Inputs<'a>, slot: Slot, name: &str) -> Option<&'a ContainerStatus> {
    let list = match slot {
        Slot::Init(_) => inputs.before.init_container_statuses.as_ref(),
        Slot::Main(_) => inputs.before.container_statuses.as_ref(),
        Slot::Ephemeral(_) => inputs.before.ephemeral_container_statuses.as_ref(),
    };
    list?.iter().find(|status| status.name == name)
}

fn container_status(
    inputs: &Inputs<'_>,
    slot: Slot,
    container: &Container,
    has_init: bool,
) -> ContainerStatus {
    let record = inputs.observed.latest(&container.name);
    let mut status = match record {
        Some(record) => from_record(inputs, container, record),
        None => without_record(inputs, slot, container, has_init),
    };
    show_waiting(inputs, slot, container, record, &mut status);
    set_ready(inputs, slot, container, record, &mut status);
    status
}

fn from_record(
    inputs: &Inputs<'_>,
    container: &Container,
    record: &ContainerRecord,
) -> ContainerStatus {
    let previous = inputs
        .observed
        .previous(&container.name)
        .filter(|p| p.state == State::Exited);
    let state = match record.state {
        State::Running => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: time(record.started_at_ns),
            }),
            ..ContainerState::default()
        },
        State::Exited => terminated(inputs, record),
        State::Created | State::Unknown => waiting_state("ContainerCreating", ""),
    };
    ContainerStatus {
        name: container.name.clone(),
        image: record.image.clone(),
        image_id: record.image_id.clone(),
        container_id: Some(container_id(inputs, record)),
        restart_count: i32::try_from(record.attempt).unwrap_or(i32::MAX),
        state: Some(state),
        last_state: Some(previous.map_or_else(ContainerState::default, |p| terminated(inputs, p))),
        resources: container
            .resources
            .clone()
            .filter(|_| record.state == State::Running),
        allocated_resources: container
            .resources
            .as_ref()
            .and_then(|r| r.requests.clone()),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    }
}

fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container
        .volume_mounts
        .as_ref()
        .filter(|mounts| !mounts.is_empty())?;
    let status = |mount: &k8s_openapi::api::core::v1::VolumeMount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|ro| *ro),
        recursive_read_only: mount.read_only.filter(|ro| *ro).map(|_| {
            match mount.recursive_read_only.as_deref() {
                Some("Enabled" | "IfPossible") => "Enabled".to_owned(),
                _ => "Disabled".to_owned(),
            }
        }),
        ..VolumeMountStatus::default()
    };
    Some(mounts.iter().map(status).collect())
}

fn container_id(inputs: &Inputs<'_>, record: &ContainerRecord) -> String {
    format!("{}://{}", inputs.runtime, record.id)
}

fn terminated(inputs: &Inputs<'_>, record: &ContainerRecord) -> ContainerState {
    let reason = match record.reason.as_str() {
        "" if record.exit_code == 0 => "Completed",
        "" => "Error",
        other => other,
    };
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(container_id(inputs, record)),
            exit_code: record.exit_code,
            reason: Some(reason.to_owned()),
            message: (!record.message.is_empty()).then(|| record.message.clone()),
            started_at: time(record.started_at_ns),
            finished_at: time(record.finished_at_ns),
            signal: None,
        }),
        ..ContainerState::default()
    }
}

fn waiting_state(reason: &str, message: &str) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: (!message.is_empty()).then(|| message.to_owned()),
        }),
        ..ContainerState::default()
    }
}

/// The runtime knows no such container: not started yet, or lost with the runtime's state.
fn without_record(
    inputs: &Inputs<'_>,
    slot: Slot,
    container: &Container,
    has_init: bool,
) -> ContainerStatus {
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        last_state: Some(ContainerState::default()),
        allocated_resources: container
            .resources
            .as_ref()
            .and_then(|r| r.requests.clone()),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    };
    let waiting = waiting_state(
        if has_init {
            "PodInitializing"
        } else {
            "ContainerCreating"
        },
        "",
    );
    let Some(old) = before(inputs, slot, &container.name) else {
        status.state = Some(waiting);
        return status;
    };
    status.restart_count = old.restart_count;
    let old_state = old.state.clone().unwrap_or_default();
    if old_state.terminated.is_some() {
        return ContainerStatus {
            volume_mounts: status.volume_mounts,
            ..old.clone()
        };
    }
    status.last_state.clone_from(&old.last_state);
    status.state = Some(waiting);
    if old_state.running.is_some() {
        let lost = ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".to_owned()),
                message: Some(
                    "The container could not be located when the pod was terminated".to_owned(),
                ),
                container_id: old.container_id.clone(),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        };
        if inputs.terminal {
            status.state = Some(lost);
        } else {
            status.last_state = Some(lost);
            status.restart_count = status.restart_count.saturating_add(1);
        }
    }
    status
}

/// A container whose start failed or is held back waits with the reason; what it was before becomes
/// its last state.
fn show_waiting(
    inputs: &Inputs<'_>,
    slot: Slot,
    container: &Container,
    record: Option<&ContainerRecord>,
    status: &mut ContainerStatus,
) {
    let Some(waiting) = inputs.waiting.get(&container.name) else {
        return;
    };
    let spec = inputs.pod.spec.as_ref();
    let restarts = |r: &ContainerRecord| {
        r.state != State::Running
            && spec.is_some_and(|s| restarts_after(s, slot, container, r.exit_code))
    };
    if inputs.terminal || !record.is_none_or(restarts) {
        return;
    }
    if record.is_some_and(|r| r.state == State::Exited) {
        status.last_state = status.state.take();
    }
    status.state = Some(waiting_state(waiting.reason, &waiting.message));
}

fn set_ready(
    inputs: &Inputs<'_>,
    slot: Slot,
    container: &Container,
    record: Option<&ContainerRecord>,
    status: &mut ContainerStatus,
) {
    if matches!(slot, Slot::Ephemeral(_)) {
        return;
    }
    let running = record.filter(|r| r.state == State::Running);
    let verdict = running
        .and_then(|r| inputs.verdicts.get(&r.id))
        .copied()
        .unwrap_or_default();
    let started =
        running.is_some() && (container.startup_probe.is_none() || verdict.startup == Some(true));
    status.started = Some(started);
    let plain_init = matches!(slot, Slot::Init(_)) && !is_sidecar(container);
    status.ready = if plain_init {
        status
            .state
            .as_ref()
            .and_then(|s| s.terminated.as_ref())
            .is_some_and(|t| t.exit_code == 0)
    } else {
        started && (container.readiness_probe.is_none() || verdict.readiness == Some(true))
    };
}

fn parts(status: &ContainerStatus) -> (bool, Option<i32>, Option<i32>) {
    let state = status.state.as_ref();
    let last = status.last_state.as_ref();
    (
        state.is_some_and(|s| s.running.is_some()),
        state
            .and_then(|s| s.terminated.as_ref())
            .map(|t| t.exit_code),
        last.and_then(|s| s.terminated.as_ref())
            .map(|t| t.exit_code),
    )
}

#[derive(Default)]
struct Count {
    pending_init: usize,
    pending_sidecar: usize,
    failed_init: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
}

fn count(spec: &PodSpec, init: &[ContainerStatus], main: &[ContainerStatus]) -> Count {
    let mut count = Count::default();
    for (container, status) in init_containers(spec).iter().zip(init) {
        match (is_sidecar(container), parts(status)) {
            (true, (true, ..)) => {
                count.running += 1;
                count.pending_sidecar += usize::from(status.started != Some(true));
            }
            (true, (false, None, None)) => {
                count.pending_sidecar += 1;
                count.waiting += 1;
            }
            (true, _) => {}
            (false, (false, Some(code), _) | (false, None, Some(code))) => {
                count.failed_init += usize::from(code != 0)
            }
            (false, _) => count.pending_init += 1,
        }
    }
    for status in main {
        match parts(status) {
            (true, ..) => count.running += 1,
            (false, Some(code), _) => {
                count.stopped += 1;
                count.succeeded += usize::from(code == 0);
            }
            (false, None, Some(_)) => count.stopped += 1,
            (false, None, None) => count.waiting += 1,
        }
    }
    count
}

/// The pod's phase from its containers' statuses.
fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    terminal: bool,
) -> &'static str {
    let count = count(spec, init, main);
    let policy = restart_policy(spec);
    if count.failed_init > 0 && policy == "Never" {
        return "Failed";
    }
    if terminal && main.iter().all(|s| parts(s).1.is_none() && !parts(s).0) && count.stopped == 0 {
        // Stopped before any container could run.
        return "Failed";
    }
    let initialized = main.iter().any(|s| parts(s) != (false, None, None));
    if count.pending_init > 0
        || (count.pending_sidecar > 0 && !initialized)
        || count.failed_init > 0
    {
        return "Pending";
    }
    let main_waiting = main.iter().any(|s| parts(s) == (false, None, None));
    if main_waiting && !terminal {
        return "Pending";
    }
    let main_running = main.iter().any(|s| parts(s).0);
    if main_running {
        return "Running";
    }
    match (
        count.stopped == count.succeeded && !main_waiting,
        terminal,
        policy,
    ) {
        (true, true, _) => "Succeeded",
        (false, true, _) => "Failed",
        (_, _, "Always") => "Running",
        (true, ..) if count.running == 0 => "Succeeded",
        (false, _, "Never") if count.running == 0 => "Failed",
        _ => "Running",
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
