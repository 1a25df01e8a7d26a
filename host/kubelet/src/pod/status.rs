//! A pod's status out of what the runtime has and what the node tried: phase, container statuses,
//! addresses. Follows `pkg/kubelet/kubelet_pods.go` (`convertStatusToAPIStatus`, `getPhase`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, PodIP, PodSpec, PodStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::inputs::{Inputs, whole_seconds};
use super::model::{
    ContainerRecord, Slot, State, as_container, ephemeral_containers, host_network,
    init_containers, is_sidecar, is_terminal, restart_policy, restarts_after,
};
use super::qos::qos_class;

/// The status as it should be written.
pub(crate) fn pod_status(inputs: &Inputs<'_>) -> PodStatus {
    let empty = PodSpec::default();
    let spec = inputs.pod.spec.as_ref().unwrap_or(&empty);
    let containers = ContainerStatuses::of(inputs, spec);
    let previous = inputs.before.phase.as_deref();
    // A terminal phase never changes again, unless the node ends the pod by a verdict.
    let phase = match (inputs.rejection, previous) {
        (Some(_), _) => "Failed",
        (None, Some(phase @ ("Succeeded" | "Failed"))) => phase,
        _ => phase(spec, &containers.init, &containers.main, inputs.terminal),
    };
    let mut status = PodStatus {
        phase: Some(phase.to_owned()),
        observed_generation: inputs.pod.metadata.generation,
        qos_class: Some(qos_class(inputs.pod).as_str().to_owned()),
        start_time: Some(start_time(inputs)),
        ..PodStatus::default()
    };
    set_addresses(inputs, &mut status);
    if let Some(rejection) = inputs.rejection {
        status.reason = Some(rejection.reason.clone());
        status.message = Some(rejection.message.clone());
    } else if is_terminal(previous) {
        status.reason.clone_from(&inputs.before.reason);
        status.message.clone_from(&inputs.before.message);
    }
    if !was_refused(inputs) {
        let ContainerStatuses {
            main,
            init,
            ephemeral,
        } = containers;
        status.container_statuses = Some(main);
        status.init_container_statuses = (!init.is_empty()).then_some(init);
        status.ephemeral_container_statuses = (!ephemeral.is_empty()).then_some(ephemeral);
    }
    status.conditions = Some(conditions::conditions(inputs, spec, &status));
    status
}

/// The statuses of the three lists of containers.
struct ContainerStatuses {
    main: Vec<ContainerStatus>,
    init: Vec<ContainerStatus>,
    ephemeral: Vec<ContainerStatus>,
}

impl ContainerStatuses {
    fn of(inputs: &Inputs<'_>, spec: &PodSpec) -> Self {
        let init = init_containers(spec);
        let main = spec.containers.iter().enumerate();
        let main = main.map(|(i, c)| container_status(inputs, Slot::Main(i), c, !init.is_empty()));
        let ephemeral = ephemeral_containers(spec).iter().map(as_container);
        let ephemeral = ephemeral.enumerate();
        let ephemeral =
            ephemeral.map(|(i, c)| container_status(inputs, Slot::Ephemeral(i), &c, false));
        let init = init.iter().enumerate();
        let init = init.map(|(i, c)| container_status(inputs, Slot::Init(i), c, true));
        Self {
            main: main.collect(),
            init: init.collect(),
            ephemeral: ephemeral.collect(),
        }
    }
}

fn start_time(inputs: &Inputs<'_>) -> Time {
    let before = inputs.before.start_time.clone();
    before.unwrap_or_else(|| Time(whole_seconds(inputs.now)))
}

fn set_addresses(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let host_ips = inputs.node_ips.iter().cloned();
    status.host_ip = inputs.node_ips.first().cloned();
    status.host_ips = Some(host_ips.map(|ip| HostIP { ip }).collect());
    let pod_ips = addresses(inputs);
    status.pod_ip = pod_ips.first().cloned();
    let pod_ips: Vec<PodIP> = pod_ips.into_iter().map(|ip| PodIP { ip }).collect();
    status.pod_ips = (!pod_ips.is_empty()).then_some(pod_ips);
}

/// A pod that the node never admitted has no container statuses.
fn was_refused(inputs: &Inputs<'_>) -> bool {
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
    let reason = if has_init {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    status.state = Some(waiting_state(reason, ""));
    let Some(old) = before(inputs, slot, &container.name) else {
        return status;
    };
    let state = old.state.as_ref();
    if state.is_some_and(|state| state.terminated.is_some()) {
        return ContainerStatus {
            volume_mounts: status.volume_mounts,
            ..old.clone()
        };
    }
    status.restart_count = old.restart_count;
    status.last_state.clone_from(&old.last_state);
    if state.is_some_and(|state| state.running.is_some()) {
        let lost = lost_state(old);
        if inputs.terminal {
            status.state = Some(lost);
        } else {
            status.last_state = Some(lost);
            status.restart_count = status.restart_count.saturating_add(1);
        }
    }
    status
}

/// The state of a container that ran and that the runtime does not know any more.
fn lost_state(old: &ContainerStatus) -> ContainerState {
    let message = "The container could not be located when the pod was terminated";
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some(message.to_owned()),
            container_id: old.container_id.clone(),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

/// A container whose start failed or that is in back-off waits with the reason; the state it had
/// becomes its last state.
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

/// What of a container's status decides about the phase: whether it runs, and the exit codes of its
/// present and its last state.
fn parts(status: &ContainerStatus) -> (bool, Option<i32>, Option<i32>) {
    let exit_code = |state: &ContainerState| state.terminated.as_ref().map(|t| t.exit_code);
    let state = status.state.as_ref();
    let running = state.is_some_and(|state| state.running.is_some());
    let last = status.last_state.as_ref();
    (running, state.and_then(exit_code), last.and_then(exit_code))
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
    let never_ran = main.iter().all(|s| matches!(parts(s), (false, None, _)));
    if terminal && never_ran && count.stopped == 0 {
        // Stopped before any container could run.
        return "Failed";
    }
    let is_waiting = |status: &ContainerStatus| parts(status) == (false, None, None);
    let initialized = !main.iter().all(is_waiting);
    let initializing = count.pending_init > 0 || count.failed_init > 0;
    if initializing || (count.pending_sidecar > 0 && !initialized) {
        return "Pending";
    }
    let waiting = main.iter().any(is_waiting);
    if waiting && !terminal {
        return "Pending";
    }
    if main.iter().any(|status| parts(status).0) {
        return "Running";
    }
    let succeeded = count.stopped == count.succeeded && !waiting;
    match (succeeded, terminal, policy) {
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
