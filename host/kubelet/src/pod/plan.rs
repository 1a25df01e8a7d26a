//! What has to happen for a pod to be as its spec says: state in, actions out.
//!
//! Follows `computePodActions` and `computeInitContainerActions` of upstream's
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go` and `kuberuntime_container.go`.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use super::restarts::Restarts;
use super::sizes::{Change, Sizes};
use crate::model::{
    ContainerRecord, Observed, Slot, State, container_hash, ephemeral_containers, init_containers,
    is_sidecar, restart_policy, restarts_after,
};

/// The latest verdict of a container's probes, by container id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts {
    pub(crate) startup: Option<bool>,
    pub(crate) liveness: Option<bool>,
    pub(crate) readiness: Option<bool>,
}

/// What the plan is made from besides the pod and what the runtime has of it.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) verdicts: &'a HashMap<String, Verdicts>,
    pub(crate) restarts: &'a Restarts,
    /// What containers have; nothing is resized while that is not known.
    pub(crate) sizes: &'a Sizes,
    /// Whether what runs may be resized now.
    pub(crate) may_resize: bool,
}

/// Why a container is killed; picks the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillReason {
    Changed,
    /// The container needs a restart to have other resources.
    Resized,
    Liveness,
    Startup,
    Unknown,
}

/// A container to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) id: String,
    pub(crate) slot: Slot,
    pub(crate) reason: KillReason,
    pub(crate) message: String,
}

/// One step towards the pod's spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Stop every container, then the sandbox.
    KillPod,
    /// Stop these containers, all at once.
    KillContainers(Vec<Kill>),
    /// Make a sandbox with this attempt number.
    CreateSandbox { attempt: u32 },
    /// Bound the pod's cgroup as the spec says, and give these containers their resources while they run.
    Resize(Vec<Slot>),
    /// Create and start one container.
    StartContainer(Slot),
}

/// All that separates the pod from its spec, in the order in which it is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Stop every container and the sandbox first.
    pub(crate) kill_pod: bool,
    /// Make a sandbox with this attempt number.
    pub(crate) create_sandbox: Option<u32>,
    pub(crate) kill: Vec<Kill>,
    /// The pod's cgroup is not bounded as the spec says.
    pub(crate) resize_pod: bool,
    /// Running containers that do not have the resources of the spec.
    pub(crate) resize: Vec<Slot>,
    /// Containers to start, in this order.
    pub(crate) start: Vec<Slot>,
}

impl Plan {
    /// The next step. What follows it is planned again from what the runtime then reports, so that
    /// a step never acts on what the one before has changed. `may_start` says which containers do
    /// not wait for a back-off; it is asked about every container that the plan starts.
    pub(crate) fn next_action(&self, mut may_start: impl FnMut(Slot) -> bool) -> Option<Action> {
        if self.kill_pod {
            return Some(Action::KillPod);
        }
        if !self.kill.is_empty() {
            return Some(Action::KillContainers(self.kill.clone()));
        }
        if let Some(attempt) = self.create_sandbox {
            return Some(Action::CreateSandbox { attempt });
        }
        if self.resize_pod || !self.resize.is_empty() {
            return Some(Action::Resize(self.resize.clone()));
        }
        let mut next = None;
        for slot in &self.start {
            // All are asked, since those that wait have to show why.
            if may_start(*slot) {
                next.get_or_insert(*slot);
            }
        }
        next.map(Action::StartContainer)
    }
}

/// The plan for a pod that should run.
pub(crate) fn plan(pod: &Pod, observed: &Observed, known: &Known<'_>) -> Plan {
    let Some(spec) = &pod.spec else {
        return Plan::default();
    };
    if let Some(attempt) = sandbox_needed(spec, observed) {
        return plan_new_sandbox(spec, observed, known, attempt);
    }
    let mut plan = Plan::default();
    let initialized = plan_init(spec, observed, known, &mut plan);
    if initialized && !plan.kill_pod {
        plan_main(spec, observed, known, &mut plan);
    }
    if !plan.kill_pod {
        plan_ephemeral(spec, observed, &mut plan);
    }
    if !known.may_resize {
        plan.resize.clear();
    } else if !plan.kill_pod {
        plan.resize_pod = known.sizes.pod_differs(pod);
    }
    plan
}

/// Ephemeral containers start also before initialisation is over, and once.
fn plan_ephemeral(spec: &PodSpec, observed: &Observed, plan: &mut Plan) {
    let added = ephemeral_containers(spec).iter().enumerate();
    for (index, container) in added {
        let has_run = observed.latest(&container.name).is_some();
        if !has_run {
            plan.start.push(Slot::Ephemeral(index));
        }
    }
}

/// The attempt number of the sandbox to make, where the present one does not serve.
fn sandbox_needed(spec: &PodSpec, observed: &Observed) -> Option<u32> {
    let Some(newest) = observed.sandboxes.first() else {
        return Some(0);
    };
    let ready = observed.sandboxes.iter().filter(|s| s.ready).count();
    let host_network = spec.host_network.unwrap_or(false);
    let has_network = host_network || !newest.ips.is_empty();
    let serves = ready == 1 && newest.ready && has_network;
    if serves {
        return None;
    }
    Some(newest.attempt.saturating_add(1))
}

fn plan_new_sandbox(spec: &PodSpec, observed: &Observed, known: &Known<'_>, attempt: u32) -> Plan {
    // Nothing to stop when there was no sandbox at all.
    let mut plan = Plan {
        kill_pod: observed.alive(),
        ..Plan::default()
    };
    if restart_policy(spec) == "Never" && attempt != 0 && !observed.containers.is_empty() {
        return plan;
    }
    let start: Vec<Slot> = (0..spec.containers.len())
        .map(Slot::Main)
        .filter(|slot| {
            slot.of(spec)
                .is_some_and(|c| should_start(spec, *slot, &c, observed, known))
        })
        .collect();
    if start.is_empty() && (init_containers(spec).is_empty() || any_main_started(spec, observed)) {
        return plan;
    }
    plan.create_sandbox = Some(attempt);
    plan.start = if init_containers(spec).is_empty() {
        start
    } else {
        vec![Slot::Init(0)]
    };
    plan
}

/// Whether the container has to be started, judged by its newest record.
fn should_start(
    spec: &PodSpec,
    slot: Slot,
    container: &Container,
    observed: &Observed,
    known: &Known<'_>,
) -> bool {
    match observed.latest(&container.name) {
        None => true,
        Some(record) => match record.state {
            // In a dead sandbox a running container is about to be stopped with it.
            State::Running | State::Unknown | State::Created => true,
            State::Exited => {
                known.restarts.is_owed(&container.name)
                    || restarts_after(spec, slot, container, record.exit_code)
            }
        },
    }
}

/// Whether a main container ever ran: then initialisation is over for good in this sandbox.
fn any_main_started(spec: &PodSpec, observed: &Observed) -> bool {
    spec.containers
        .iter()
        .filter_map(|c| observed.latest(&c.name))
        .any(|record| matches!(record.state, State::Running | State::Exited))
}

/// Same, but counting only containers of the present sandbox.
fn main_started_here(spec: &PodSpec, observed: &Observed) -> bool {
    let sandbox = newest_sandbox(observed);
    spec.containers
        .iter()
        .filter_map(|c| observed.latest(&c.name))
        .any(|record| {
            record.sandbox_id == sandbox && matches!(record.state, State::Running | State::Exited)
        })
}

fn newest_sandbox(observed: &Observed) -> &str {
    let newest = observed.sandboxes.first();
    newest
        .map(|sandbox| sandbox.id.as_str())
        .unwrap_or_default()
}

/// Decides about init containers, the last first; true when the main containers may run.
fn plan_init(spec: &PodSpec, observed: &Observed, known: &Known<'_>, plan: &mut Plan) -> bool {
    let init = init_containers(spec);
    if init.is_empty() {
        return true;
    }
    let sandbox = newest_sandbox(observed);
    let mut initialized = main_started_here(spec, observed);
    // Once one is decided, those before it only matter if they are sidecars.
    let mut later_decided = initialized;
    for (index, container) in init.iter().enumerate().rev() {
        let slot = Slot::Init(index);
        let record = observed
            .latest(&container.name)
            .filter(|r| r.sandbox_id == sandbox);
        let Some(record) = record else {
            if later_decided && is_sidecar(container) {
                plan.start.push(slot);
            }
            continue;
        };
        if later_decided && !is_sidecar(container) {
            continue;
        }
        let decision = InitDecision {
            spec,
            slot,
            container,
            record,
            later_decided,
            last: index + 1 == init.len(),
        };
        match decision.decide(known, plan) {
            InitVerdict::Fatal => {
                plan.start.clear();
                plan.kill_pod = true;
                return false;
            }
            InitVerdict::Done => initialized = true,
            InitVerdict::Busy => {}
        }
        later_decided = true;
    }
    if !later_decided {
        plan.start.push(Slot::Init(0));
    }
    plan.start.sort();
    plan.start.dedup();
    initialized
}

enum InitVerdict {
    /// The whole sequence is through.
    Done,
    /// Still running, or something was planned.
    Busy,
    /// Failed for good.
    Fatal,
}

struct InitDecision<'a> {
    spec: &'a PodSpec,
    slot: Slot,
    container: &'a Container,
    record: &'a ContainerRecord,
    /// A later init container was decided before, so that only sidecars matter.
    later_decided: bool,
    last: bool,
}

impl InitDecision<'_> {
    fn decide(&self, known: &Known<'_>, plan: &mut Plan) -> InitVerdict {
        match self.record.state {
            State::Created => plan.start.push(self.slot),
            State::Running if is_sidecar(self.container) => return self.sidecar(known, plan),
            // Validation refuses what would restart it.
            State::Running if self.change(known) != Change::Nothing => plan.resize.push(self.slot),
            State::Running => {}
            State::Exited if is_sidecar(self.container) => plan.start.push(self.slot),
            State::Exited if self.record.exit_code == 0 => return self.advance(plan),
            State::Exited => {
                if !restarts_after(self.spec, self.slot, self.container, self.record.exit_code) {
                    return InitVerdict::Fatal;
                }
                plan.start.push(self.slot);
            }
            State::Unknown => {
                let message =
                    "Init container is in \"unknown\" state, try killing it before restart"
                        .to_owned();
                plan.kill.push(self.kill(KillReason::Unknown, message));
                plan.start.push(self.slot);
            }
        }
        InitVerdict::Busy
    }

    /// A sidecar counts as passed once started; it is restarted when its probes fail.
    fn sidecar(&self, known: &Known<'_>, plan: &mut Plan) -> InitVerdict {
        let verdict = known
            .verdicts
            .get(&self.record.id)
            .copied()
            .unwrap_or_default();
        if self.container.startup_probe.is_some() {
            match verdict.startup {
                None => return InitVerdict::Busy,
                Some(false) => {
                    let message = format!(
                        "Init container {} failed startup probe",
                        self.container.name
                    );
                    plan.kill.push(self.kill(KillReason::Startup, message));
                    plan.start.push(self.slot);
                    return InitVerdict::Busy;
                }
                Some(true) => {}
            }
        }
        if self.container.liveness_probe.is_some() && verdict.liveness == Some(false) {
            let message = format!(
                "Init container {} failed liveness probe",
                self.container.name
            );
            plan.kill.push(self.kill(KillReason::Liveness, message));
            plan.start.push(self.slot);
        } else {
            match self.change(known) {
                Change::Nothing => {}
                Change::InPlace => plan.resize.push(self.slot),
                Change::Restart => {
                    let message = resize_message(self.container);
                    plan.kill.push(self.kill(KillReason::Resized, message));
                    plan.start.push(self.slot);
                }
            }
        }
        if self.later_decided {
            InitVerdict::Busy
        } else {
            self.advance(plan)
        }
    }

    fn advance(&self, plan: &mut Plan) -> InitVerdict {
        if self.last {
            return InitVerdict::Done;
        }
        if let Slot::Init(index) = self.slot {
            plan.start.push(Slot::Init(index + 1));
        }
        InitVerdict::Busy
    }

    fn change(&self, known: &Known<'_>) -> Change {
        known.sizes.change(self.container, &self.record.id)
    }

    fn kill(&self, reason: KillReason, message: String) -> Kill {
        Kill {
            id: self.record.id.clone(),
            slot: self.slot,
            reason,
            message,
        }
    }
}

/// Decides about the main containers.
fn plan_main(spec: &PodSpec, observed: &Observed, known: &Known<'_>, plan: &mut Plan) {
    let mut needed = false;
    for (index, container) in spec.containers.iter().enumerate() {
        let slot = Slot::Main(index);
        let record = observed.latest(&container.name);
        needed |= match record.filter(|r| r.state == State::Running) {
            Some(record) => plan_running(spec, slot, container, record, known, plan),
            None => plan_stopped(spec, slot, container, observed, known, plan),
        };
    }
    if !needed && plan.kill.is_empty() {
        // Every main container is done: sidecars and sandbox are stopped too.
        plan.start.clear();
        plan.kill_pod = observed.alive();
    }
}

/// A running container stays unless it fails; true when it stays or is restarted.
fn plan_running(
    spec: &PodSpec,
    slot: Slot,
    container: &Container,
    record: &ContainerRecord,
    known: &Known<'_>,
    plan: &mut Plan,
) -> bool {
    let Some((reason, mut message)) = failing(container, record, known) else {
        if known.sizes.change(container, &record.id) == Change::InPlace {
            plan.resize.push(slot);
        }
        return true;
    };
    let pod_changed = matches!(reason, KillReason::Changed | KillReason::Resized);
    let restart = pod_changed || restarts_after(spec, slot, container, 137);
    if restart {
        plan.start.push(slot);
    }
    if restart && reason != KillReason::Resized {
        message.push_str(", will be restarted");
    }
    plan.kill.push(Kill {
        id: record.id.clone(),
        slot,
        reason,
        message,
    });
    restart
}

/// A container that does not run is started where its policy says so; true when it is.
fn plan_stopped(
    spec: &PodSpec,
    slot: Slot,
    container: &Container,
    observed: &Observed,
    known: &Known<'_>,
    plan: &mut Plan,
) -> bool {
    if !should_start(spec, slot, container, observed, known) {
        return false;
    }
    plan.start.push(slot);
    let record = observed.latest(&container.name);
    if let Some(unknown) = record.filter(|r| r.state == State::Unknown) {
        let message = "Container is in \"unknown\" state, try killing it before restart";
        plan.kill.push(Kill {
            id: unknown.id.clone(),
            slot,
            reason: KillReason::Unknown,
            message: message.to_owned(),
        });
    }
    true
}

/// Why a running container cannot stay, if it cannot.
fn failing(
    container: &Container,
    record: &ContainerRecord,
    known: &Known<'_>,
) -> Option<(KillReason, String)> {
    let name = &container.name;
    let verdict = known.verdicts.get(&record.id).copied().unwrap_or_default();
    if !record.hash.is_empty() && record.hash != container_hash(container) {
        return Some((
            KillReason::Changed,
            format!("Container {name} definition changed"),
        ));
    }
    if container.liveness_probe.is_some() && verdict.liveness == Some(false) {
        return Some((
            KillReason::Liveness,
            format!("Container {name} failed liveness probe"),
        ));
    }
    if container.startup_probe.is_some() && verdict.startup == Some(false) {
        return Some((
            KillReason::Startup,
            format!("Container {name} failed startup probe"),
        ));
    }
    let restarts = known.sizes.change(container, &record.id) == Change::Restart;
    restarts.then(|| (KillReason::Resized, resize_message(container)))
}

fn resize_message(container: &Container) -> String {
    format!("Container {} resize requires restart", container.name)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
