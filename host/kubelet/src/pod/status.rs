//! A pod's status out of what the runtime has and what the node tried: phase, container statuses,
//! addresses. Follows `pkg/kubelet/kubelet_pods.go` (`convertStatusToAPIStatus`, `getPhase`).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, HostIP, Pod, PodIP, PodSpec, PodStatus,
    ResourceRequirements, VolumeMount, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::inputs::{Inputs, whole_seconds};
use super::restarts::Restarts;
use crate::model::{
    ContainerRecord, Observed, Slot, State, as_container, ephemeral_containers, host_network,
    init_containers, is_sidecar, is_terminal, restart_policy, restarts_after,
};
use crate::qos::qos_class;

/// How long a container runs before it is ready without a readiness probe: most processes that cannot
/// work end earlier.
const SETTLES: Duration = Duration::from_millis(50);
/// ... and after it has ended before by itself: upstream's relist period.
const SETTLES_AGAIN: Duration = Duration::from_secs(1);

/// The status as it should be written.
pub(crate) fn pod_status(inputs: &Inputs<'_>) -> PodStatus {
    let empty = PodSpec::default();
    let spec = inputs.pod.spec.as_ref().unwrap_or(&empty);
    let containers = ContainerStatuses::of(inputs, spec);
    let phase = next_phase(inputs, spec, &containers);
    let qos_class = qos_class(inputs.pod);
    let mut status = PodStatus {
        phase: Some(phase.to_owned()),
        observed_generation: inputs.pod.metadata.generation,
        qos_class: Some(qos_class.as_str().to_owned()),
        start_time: Some(start_time(inputs)),
        ..PodStatus::default()
    };
    set_addresses(inputs, &mut status);
    set_reason(inputs, &mut status);
    if !was_refused(inputs) {
        containers.write_to(&mut status);
    }
    if let Some(own) = &spec.resources {
        let actual = inputs.sizes.of_pod().unwrap_or(own);
        status.resources = Some(actual.clone());
        status.allocated_resources.clone_from(&own.requests);
    }
    let conditions = conditions::conditions(inputs, spec, &status);
    status.conditions = Some(conditions);
    status
}

/// A terminal phase never changes again, unless the node ends the pod by a verdict.
fn next_phase<'a>(inputs: &Inputs<'a>, spec: &PodSpec, containers: &ContainerStatuses) -> &'a str {
    if inputs.rejection.is_some() {
        return "Failed";
    }
    match inputs.before.phase.as_deref() {
        Some(phase @ ("Succeeded" | "Failed")) => phase,
        _ => match phase(spec, &containers.init, &containers.main, inputs.terminal) {
            // What the node has stopped it starts again.
            "Succeeded" | "Failed" if inputs.restarts.any_owed() && !inputs.terminal => "Running",
            phase => phase,
        },
    }
}

/// The reason of a rejection, or the one that an ended pod had.
fn set_reason(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let before = inputs.before;
    if let Some(rejection) = inputs.rejection {
        status.reason = Some(rejection.reason.clone());
        status.message = Some(rejection.message.clone());
    } else if is_terminal(before.phase.as_deref()) {
        status.reason.clone_from(&before.reason);
        status.message.clone_from(&before.message);
    }
}

/// The statuses of the three lists of containers.
struct ContainerStatuses {
    main: Vec<ContainerStatus>,
    init: Vec<ContainerStatus>,
    ephemeral: Vec<ContainerStatus>,
}

impl ContainerStatuses {
    fn of(inputs: &Inputs<'_>, spec: &PodSpec) -> Self {
        Self {
            main: main_statuses(inputs, spec),
            init: init_statuses(inputs, spec),
            ephemeral: ephemeral_statuses(inputs, spec),
        }
    }

    /// An empty list is left out, but for the main containers'.
    fn write_to(self, status: &mut PodStatus) {
        status.container_statuses = Some(self.main);
        if !self.init.is_empty() {
            status.init_container_statuses = Some(self.init);
        }
        if !self.ephemeral.is_empty() {
            status.ephemeral_container_statuses = Some(self.ephemeral);
        }
    }
}

fn main_statuses(inputs: &Inputs<'_>, spec: &PodSpec) -> Vec<ContainerStatus> {
    let has_init = !init_containers(spec).is_empty();
    let mut statuses = Vec::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let slot = Slot::Main(index);
        let status = container_status(inputs, slot, container, has_init);
        statuses.push(status);
    }
    statuses
}

fn init_statuses(inputs: &Inputs<'_>, spec: &PodSpec) -> Vec<ContainerStatus> {
    let mut statuses = Vec::new();
    for (index, container) in init_containers(spec).iter().enumerate() {
        let slot = Slot::Init(index);
        let status = container_status(inputs, slot, container, true);
        statuses.push(status);
    }
    statuses
}

fn ephemeral_statuses(inputs: &Inputs<'_>, spec: &PodSpec) -> Vec<ContainerStatus> {
    let mut statuses = Vec::new();
    for (index, ephemeral) in ephemeral_containers(spec).iter().enumerate() {
        let slot = Slot::Ephemeral(index);
        let container = as_container(ephemeral);
        let status = container_status(inputs, slot, &container, false);
        statuses.push(status);
    }
    statuses
}

fn start_time(inputs: &Inputs<'_>) -> Time {
    let before = inputs.before.start_time.clone();
    before.unwrap_or_else(|| Time(whole_seconds(inputs.now)))
}

fn set_addresses(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let host_ips = inputs.node_ips;
    status.host_ip = host_ips.first().cloned();
    let host_ips = host_ips.iter().cloned();
    let host_ips = host_ips.map(|ip| HostIP { ip });
    status.host_ips = Some(host_ips.collect());

    let pod_ips = addresses(inputs);
    let Some(first) = pod_ips.first() else {
        return;
    };
    status.pod_ip = Some(first.clone());
    let pod_ips = pod_ips.into_iter();
    let pod_ips = pod_ips.map(|ip| PodIP { ip });
    status.pod_ips = Some(pod_ips.collect());
}

/// A pod that the node never admitted has no container statuses.
fn was_refused(inputs: &Inputs<'_>) -> bool {
    inputs.rejection.is_some()
        && inputs.observed.sandboxes.is_empty()
        && inputs.observed.containers.is_empty()
}

fn addresses(inputs: &Inputs<'_>) -> Vec<String> {
    let Some(sandbox) = inputs.observed.sandboxes.first() else {
        return Vec::new();
    };
    if host_network(inputs.pod) {
        return inputs.node_ips.to_vec();
    }
    if sandbox.ready {
        return sandbox.ips.clone();
    }
    if !inputs.terminal {
        return Vec::new();
    }
    // A finished pod keeps the address it had.
    let before = inputs.before.pod_ips.iter().flatten();
    before.map(|address| address.ip.clone()).collect()
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
    let last_state = match previous {
        Some(previous) => terminated(inputs, previous),
        None => ContainerState::default(),
    };
    let restart_count = i32::try_from(record.attempt);
    ContainerStatus {
        name: container.name.clone(),
        image: record.image.clone(),
        image_id: record.image_id.clone(),
        container_id: Some(container_id(inputs, record)),
        restart_count: restart_count.unwrap_or(i32::MAX),
        state: Some(state),
        last_state: Some(last_state),
        resources: Some(resources(inputs, container, record)),
        allocated_resources: requests(container),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    }
}

/// What a running container has, which a resize changes after the spec; what any other is to have.
fn resources(
    inputs: &Inputs<'_>,
    container: &Container,
    record: &ContainerRecord,
) -> ResourceRequirements {
    let running = record.state == State::Running;
    let actual = inputs.sizes.of(&record.id).filter(|_| running);
    let resources = actual.or(container.resources.as_ref());
    resources.cloned().unwrap_or_default()
}

fn requests(container: &Container) -> Option<BTreeMap<String, Quantity>> {
    let resources = container.resources.as_ref()?;
    resources.requests.clone()
}

fn volume_mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref()?;
    if mounts.is_empty() {
        return None;
    }
    Some(mounts.iter().map(mount_status).collect())
}

fn mount_status(mount: &VolumeMount) -> VolumeMountStatus {
    let mut status = VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        ..VolumeMountStatus::default()
    };
    if mount.read_only == Some(true) {
        let recursive = match mount.recursive_read_only.as_deref() {
            Some("Enabled" | "IfPossible") => "Enabled",
            _ => "Disabled",
        };
        status.read_only = Some(true);
        status.recursive_read_only = Some(recursive.to_owned());
    }
    status
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
        allocated_resources: requests(container),
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

/// A container whose start failed, that is in back-off or that the node has stopped to start it again waits
/// with the reason; the state it had becomes its last state.
fn show_waiting(
    inputs: &Inputs<'_>,
    slot: Slot,
    container: &Container,
    record: Option<&ContainerRecord>,
    status: &mut ContainerStatus,
) {
    let waiting = inputs.waiting.get(&container.name);
    let owed = inputs.restarts.is_owed(&container.name);
    if waiting.is_none() && !owed {
        return;
    }
    let spec = inputs.pod.spec.as_ref();
    let restarts = |record: &ContainerRecord| {
        let Some(spec) = spec else {
            return false;
        };
        let stopped = record.state != State::Running;
        stopped && (owed || restarts_after(spec, slot, container, record.exit_code))
    };
    let will_start = record.is_none_or(restarts);
    if inputs.terminal || !will_start {
        return;
    }
    let exited = record.is_some_and(|r| r.state == State::Exited);
    if exited {
        status.last_state = status.state.take();
    }
    status.state = Some(match waiting {
        Some(waiting) => waiting_state(waiting.reason, &waiting.message),
        None => waiting_state("ContainerCreating", ""),
    });
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
    let verdict = running.and_then(|record| inputs.verdicts.get(&record.id));
    let verdict = verdict.copied().unwrap_or_default();

    let startup_succeeded = container.startup_probe.is_none() || verdict.startup == Some(true);
    let started = running.is_some() && startup_succeeded;
    status.started = Some(started);

    let plain_init = matches!(slot, Slot::Init(_)) && !is_sidecar(container);
    if plain_init {
        status.ready = has_succeeded(status);
        return;
    }
    let is_ready = match (&container.readiness_probe, running) {
        (Some(_), _) => verdict.readiness == Some(true),
        (None, Some(record)) => {
            until_settled(record, inputs.restarts, inputs.now).is_none()
                || was_ready(inputs, slot, container, status)
        }
        (None, None) => false,
    };
    status.ready = started && is_ready;
}

/// What is left of the time that a container without a readiness probe has to run before it counts as
/// ready. A process that ends at once would otherwise be ready for a moment, in which controllers go on to
/// replace the next pod. Upstream gets the same effect from looking at containers once a second.
fn until_settled(
    record: &ContainerRecord,
    restarts: &Restarts,
    now: Timestamp,
) -> Option<Duration> {
    let wanted = if is_fresh(record, restarts) {
        SETTLES
    } else {
        SETTLES_AGAIN
    };
    let ran_ns = now.as_nanosecond() - i128::from(record.started_at_ns);
    let ran = Duration::from_nanos(u64::try_from(ran_ns).unwrap_or(0));
    let left = wanted.saturating_sub(ran);
    (!left.is_zero()).then_some(left)
}

/// Whether the container has not ended by itself.
fn is_fresh(record: &ContainerRecord, restarts: &Restarts) -> bool {
    record.attempt == 0 || restarts.is_renewed(&record.name)
}

/// Whether this very container was ready before; it stays so, also when the wall clock was set back.
fn was_ready(
    inputs: &Inputs<'_>,
    slot: Slot,
    container: &Container,
    status: &ContainerStatus,
) -> bool {
    let old = before(inputs, slot, &container.name);
    old.is_some_and(|old| old.ready && old.container_id == status.container_id)
}

/// How long until a running container without a readiness probe becomes ready, if one will.
pub(crate) fn until_ready(
    pod: &Pod,
    observed: &Observed,
    restarts: &Restarts,
    now: Timestamp,
) -> Option<Duration> {
    let running = running_without_probe(pod, observed);
    running
        .filter_map(|record| until_settled(record, restarts, now))
        .min()
}

/// Whether a container that has not ended by itself was started a moment ago.
pub(crate) fn is_settling(
    pod: &Pod,
    observed: &Observed,
    restarts: &Restarts,
    now: Timestamp,
) -> bool {
    let mut running = running_without_probe(pod, observed);
    running
        .any(|record| is_fresh(record, restarts) && until_settled(record, restarts, now).is_some())
}

fn running_without_probe<'a>(
    pod: &'a Pod,
    observed: &'a Observed,
) -> impl Iterator<Item = &'a ContainerRecord> {
    let containers = pod.spec.iter().flat_map(|spec| {
        let sidecars = init_containers(spec).iter().filter(|it| is_sidecar(it));
        spec.containers.iter().chain(sidecars)
    });
    let without_probe = containers.filter(|it| it.readiness_probe.is_none());
    let records = without_probe.filter_map(move |it| observed.latest(&it.name));
    records.filter(|record| record.state == State::Running)
}

/// Whether the container ended with exit code 0.
fn has_succeeded(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    let terminated = state.and_then(|state| state.terminated.as_ref());
    terminated.is_some_and(|terminated| terminated.exit_code == 0)
}

/// What of a container's status decides about the phase: whether it runs, and the exit codes of its
/// present and its last state.
fn parts(status: &ContainerStatus) -> (bool, Option<i32>, Option<i32>) {
    let state = status.state.as_ref();
    let running = state.is_some_and(|state| state.running.is_some());
    let code = exit_code(state);
    let last_code = exit_code(status.last_state.as_ref());
    (running, code, last_code)
}

fn exit_code(state: Option<&ContainerState>) -> Option<i32> {
    let terminated = state?.terminated.as_ref()?;
    Some(terminated.exit_code)
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
        if is_sidecar(container) {
            count.add_sidecar(status);
        } else {
            count.add_init(status);
        }
    }
    for status in main {
        count.add_main(status);
    }
    count
}

impl Count {
    fn add_sidecar(&mut self, status: &ContainerStatus) {
        match parts(status) {
            (true, ..) => {
                self.running += 1;
                if status.started != Some(true) {
                    self.pending_sidecar += 1;
                }
            }
            (false, None, None) => {
                self.pending_sidecar += 1;
                self.waiting += 1;
            }
            _ => {}
        }
    }

    fn add_init(&mut self, status: &ContainerStatus) {
        match parts(status) {
            (false, Some(0), _) | (false, None, Some(0)) => {}
            (false, Some(_), _) | (false, None, Some(_)) => {
                self.failed_init += 1;
            }
            _ => self.pending_init += 1,
        }
    }

    fn add_main(&mut self, status: &ContainerStatus) {
        match parts(status) {
            (true, ..) => self.running += 1,
            (false, Some(code), _) => {
                self.stopped += 1;
                if code == 0 {
                    self.succeeded += 1;
                }
            }
            (false, None, Some(_)) => self.stopped += 1,
            (false, None, None) => self.waiting += 1,
        }
    }
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
    let none_ran = main.iter().all(is_waiting);
    let inits_pending = count.pending_init > 0 || count.failed_init > 0;
    let sidecars_pending = count.pending_sidecar > 0 && none_ran;
    if inits_pending || sidecars_pending {
        return "Pending";
    }
    let waiting = main.iter().any(is_waiting);
    if waiting && !terminal {
        return "Pending";
    }
    if main.iter().any(is_running) {
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

fn is_waiting(status: &ContainerStatus) -> bool {
    parts(status) == (false, None, None)
}

fn is_running(status: &ContainerStatus) -> bool {
    let (running, ..) = parts(status);
    running
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
