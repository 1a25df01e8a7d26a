//! The one word that stands for a pod's state in `kubectl get pods`, and the numbers beside it.
//!
//! Follows `printPod` of `pkg/printers/internalversion`: the phase, overridden by the first init
//! container that is not done, overridden by the containers from last to first, overridden by
//! deletion.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

/// What a pod row shows.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) reason: String,
    pub(super) ready: usize,
    pub(super) total: usize,
    pub(super) restarts: i64,
    pub(super) last_restart: Option<Timestamp>,
}

/// Restarts and the time of the last one.
#[derive(Clone, Copy, Debug, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += tree::int(status, "restartCount").unwrap_or(0);
        let finished = tree::text(status, "lastState.terminated.finishedAt")
            .parse()
            .ok();
        self.last = self.last.max(finished);
    }
}

pub(super) fn summarize(pod: &Value) -> Summary {
    let phase = tree::text(pod, "status.phase");
    let own = tree::text(pod, "status.reason");
    let mut summary = Summary {
        reason: if own.is_empty() { phase } else { own }.to_owned(),
        total: tree::list(pod, "spec.containers").len()
            + tree::list(pod, "spec.initContainers")
                .iter()
                .filter(|container| is_sidecar(container))
                .count(),
        ..Summary::default()
    };
    if condition(pod, "PodScheduled")
        .is_some_and(|it| tree::text(it, "reason") == "SchedulingGated")
    {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let initialization = init_containers(pod, &mut summary);
    if !initialization.pending || is_true(pod, "Initialized") {
        let mut restarts = initialization.sidecars;
        containers(pod, &mut summary, &mut restarts);
        (summary.restarts, summary.last_restart) = (restarts.count, restarts.last);
    } else {
        (summary.restarts, summary.last_restart) =
            (initialization.all.count, initialization.all.last);
    }
    if tree::has(pod, "metadata.deletionTimestamp") {
        if own == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// The state of the init containers.
#[derive(Debug, Default)]
struct Initialization {
    pending: bool,
    all: Restarts,
    sidecars: Restarts,
}

fn init_containers(pod: &Value, summary: &mut Summary) -> Initialization {
    let specs = tree::list(pod, "spec.initContainers");
    let mut result = Initialization::default();
    for (index, status) in tree::list(pod, "status.initContainerStatuses")
        .iter()
        .enumerate()
    {
        result.all.add(status);
        let name = tree::text(status, "name");
        let sidecar = specs
            .iter()
            .any(|spec| tree::text(spec, "name") == name && is_sidecar(spec));
        if sidecar {
            result.sidecars.add(status);
        }
        let terminated = tree::get(status, "state.terminated");
        if terminated.is_some_and(|it| tree::int(it, "exitCode").unwrap_or(0) == 0) {
            continue;
        }
        if sidecar && tree::flag(status, "started") {
            summary.ready += usize::from(tree::flag(status, "ready"));
            continue;
        }
        let waiting = tree::text(status, "state.waiting.reason");
        summary.reason = match terminated {
            Some(state) => format!("Init:{}", exit_reason(state)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => {
                format!("Init:{waiting}")
            }
            None => format!("Init:{index}/{}", specs.len()),
        };
        result.pending = true;
        break;
    }
    result
}

fn containers(pod: &Value, summary: &mut Summary, restarts: &mut Restarts) {
    let mut running = false;
    let mut failed = None;
    for status in tree::list(pod, "status.containerStatuses").iter().rev() {
        restarts.add(status);
        let waiting = tree::text(status, "state.waiting.reason");
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if let Some(state) = tree::get(status, "state.terminated") {
            summary.reason = exit_reason(state);
            if tree::int(state, "exitCode").unwrap_or(0) != 0 {
                failed = Some(summary.reason.clone());
            }
        } else if tree::flag(status, "ready") && tree::get(status, "state.running").is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if running && is_true(pod, "Ready") {
            "Running".clone_into(&mut summary.reason);
        } else if let Some(failed) = failed {
            summary.reason = failed;
        } else if running {
            "NotReady".clone_into(&mut summary.reason);
        }
    }
}

fn exit_reason(terminated: &Value) -> String {
    let reason = tree::text(terminated, "reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match tree::int(terminated, "signal").unwrap_or(0) {
        0 => format!(
            "ExitCode:{}",
            tree::int(terminated, "exitCode").unwrap_or(0)
        ),
        signal => format!("Signal:{signal}"),
    }
}

fn is_sidecar(container: &Value) -> bool {
    tree::text(container, "restartPolicy") == "Always"
}

fn condition<'a>(pod: &'a Value, kind: &str) -> Option<&'a Value> {
    tree::list(pod, "status.conditions")
        .iter()
        .find(|condition| tree::text(condition, "type") == kind)
}

fn is_true(pod: &Value, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|condition| tree::text(condition, "status") == "True")
}
