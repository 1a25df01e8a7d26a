//! Statuses as the API shows them, from what the runtime has.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::model::{Observed, Rejection, SandboxRecord, Waiting};
use crate::pod::resize::{Pending, Progress};
use crate::pod::sizes::Sizes;

fn record(name: &str, attempt: u32, state: State, exit_code: i32) -> ContainerRecord {
    ContainerRecord {
        id: format!("{name}{attempt}"),
        sandbox_id: "s".into(),
        name: name.into(),
        attempt,
        state,
        created_at_ns: 1_000_000_000,
        started_at_ns: 1_000_000_000,
        finished_at_ns: 2_000_000_000,
        exit_code,
        reason: String::new(),
        message: String::new(),
        image: "i".into(),
        image_id: "i@1".into(),
        hash: String::new(),
        log_path: String::new(),
    }
}

struct Case {
    spec: Value,
    containers: Vec<ContainerRecord>,
    waiting: HashMap<String, Waiting>,
    restarts: Restarts,
    sizes: Sizes,
    pending: Option<Pending>,
    progress: Option<Progress>,
    before: Value,
    terminal: bool,
    rejection: Option<Rejection>,
}

fn case(spec: Value, containers: Vec<ContainerRecord>) -> Case {
    Case {
        spec,
        containers,
        waiting: HashMap::new(),
        restarts: Restarts::default(),
        sizes: Sizes::default(),
        pending: None,
        progress: None,
        before: json!({}),
        terminal: false,
        rejection: None,
    }
}

impl Case {
    fn status(self) -> Value {
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p", "generation": 2}, "spec": self.spec}),
        )
        .unwrap();
        let sandboxes = vec![SandboxRecord {
            id: "s".into(),
            attempt: 0,
            ready: !self.terminal,
            created_at_ns: 1,
            ips: vec!["10.0.0.1".into()],
        }];
        let sandboxes = if self.containers.is_empty() {
            vec![]
        } else {
            sandboxes
        };
        let observed = Observed {
            sandboxes,
            containers: self.containers,
        }
        .sorted();
        let before: PodStatus = serde_json::from_value(self.before).unwrap();
        let status = pod_status(&Inputs {
            pod: &pod,
            observed: &observed,
            verdicts: &HashMap::new(),
            waiting: &self.waiting,
            restarts: &self.restarts,
            sizes: &self.sizes,
            pending: self.pending.as_ref(),
            progress: self.progress.as_ref(),
            before: &before,
            rejection: self.rejection.as_ref(),
            terminal: self.terminal,
            node_ips: &["192.0.2.1".to_owned()],
            runtime: "k3s",
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
        });
        serde_json::to_value(status).unwrap()
    }
}

fn condition<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["type"] == kind)
        .unwrap()
}

fn two(policy: &str) -> Value {
    json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]})
}

#[test]
fn a_resize_shows_what_runs_and_why_it_waits() {
    let resources = |cpu: &str| json!({"requests": {"cpu": cpu}});
    let of = |cpu: &str| json!({"name": "a", "image": "i", "resources": resources(cpu)});
    let spec = json!({"containers": [of("2")]});
    let mut case = case(spec, vec![record("a", 0, State::Running, 0)]);
    let before = serde_json::from_value(of("1")).unwrap();
    case.sizes.note_container("a0", &before);
    case.pending = Some(Pending {
        message: "no room".into(),
        generation: 7,
    });
    case.progress = Some(Progress {
        generation: 6,
        error: Some("no".into()),
    });
    case.before = json!({"conditions": [
        {"type": "PodResizePending", "status": "True", "reason": "Deferred",
            "lastTransitionTime": "2025-01-01T00:00:00Z"},
        {"type": "PodResizeInProgress", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"}]});
    let status = case.status();
    let container = &status["containerStatuses"][0];
    assert_eq!(container["resources"], resources("1"));
    assert_eq!(container["allocatedResources"], resources("2")["requests"]);
    assert_eq!(
        condition(&status, "PodResizePending"),
        &json!({"type": "PodResizePending", "status": "True", "reason": "Deferred", "message": "no room",
            "lastTransitionTime": "2025-01-01T00:00:00Z", "observedGeneration": 7})
    );
    let progress = condition(&status, "PodResizeInProgress");
    assert_eq!(
        (
            &progress["reason"],
            &progress["message"],
            &progress["observedGeneration"],
            &progress["lastTransitionTime"]
        ),
        (
            &json!("Error"),
            &json!("no"),
            &json!(6),
            &json!("2026-01-01T00:00:00Z")
        )
    );
}

#[test]
fn a_pod_does_not_end_while_the_node_restarts_its_container() {
    for policy in ["Never", "OnFailure", "Always"] {
        let spec = json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}]});
        let mut case = case(spec, vec![record("a", 0, State::Exited, 0)]);
        case.restarts.stop("a", true);
        let status = case.status();
        assert_eq!(status["phase"], "Running", "{policy}");
        let container = &status["containerStatuses"][0];
        assert_eq!(container["state"]["waiting"]["reason"], "ContainerCreating");
        assert_eq!(container["lastState"]["terminated"]["exitCode"], 0);
    }
}

#[test]
fn phases() {
    use State::{Exited, Running};
    let of = |policy: &str, a: (State, i32), b: (State, i32), terminal: bool| {
        let mut case = case(
            two(policy),
            vec![record("a", 0, a.0, a.1), record("b", 0, b.0, b.1)],
        );
        case.terminal = terminal;
        case.status()["phase"].as_str().unwrap().to_owned()
    };
    let (run, ok, bad) = ((Running, 0), (Exited, 0), (Exited, 1));
    for (policy, a, b, terminal, want) in [
        ("Always", run, run, false, "Running"),
        ("Always", ok, bad, false, "Running"),
        ("Never", ok, run, false, "Running"),
        ("Never", ok, ok, false, "Succeeded"),
        ("Never", ok, bad, false, "Failed"),
        ("OnFailure", ok, bad, false, "Running"),
        ("OnFailure", ok, ok, false, "Succeeded"),
        ("Always", ok, ok, true, "Succeeded"),
        ("Always", ok, bad, true, "Failed"),
    ] {
        assert_eq!(
            of(policy, a, b, terminal),
            want,
            "{policy} {a:?} {b:?} {terminal}"
        );
    }
    assert_eq!(case(two("Always"), vec![]).status()["phase"], "Pending");
    assert_eq!(
        case(two("Always"), vec![record("a", 0, Running, 0)]).status()["phase"],
        "Pending"
    );
}

#[test]
fn a_sidecar_keeps_a_finished_pod_running() {
    let spec = json!({"restartPolicy": "Never", "initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "a"}]});
    let side = record("s", 0, State::Running, 0);
    assert_eq!(
        case(spec.clone(), vec![side, record("a", 0, State::Exited, 0)]).status()["phase"],
        "Running"
    );
    let ended = record("s", 0, State::Exited, 143);
    assert_eq!(
        case(spec, vec![ended, record("a", 0, State::Exited, 0)]).status()["phase"],
        "Succeeded"
    );
}

#[test]
fn a_held_back_container_waits_and_shows_its_last_end() {
    let mut case = case(
        two("Always"),
        vec![
            record("a", 1, State::Exited, 3),
            record("a", 0, State::Exited, 2),
            record("b", 0, State::Running, 0),
        ],
    );
    case.waiting.insert(
        "a".into(),
        Waiting {
            reason: "CrashLoopBackOff",
            message: "m".into(),
        },
    );
    let status = case.status();
    let a = &status["containerStatuses"][0];
    assert_eq!(
        a["state"],
        json!({"waiting": {"reason": "CrashLoopBackOff", "message": "m"}})
    );
    assert_eq!(a["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(a["lastState"]["terminated"]["containerID"], "k3s://a1");
    assert_eq!(
        (&a["restartCount"], &a["started"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        condition(&status, "Ready")["message"],
        "containers with unready status: [a]"
    );
    assert_eq!(
        condition(&status, "ContainersReady")["reason"],
        "ContainersNotReady"
    );
}

#[test]
fn nothing_started_yet_is_being_created_or_initialised() {
    let status = case(two("Always"), vec![]).status();
    assert_eq!(
        status["containerStatuses"][0]["state"]["waiting"]["reason"],
        "ContainerCreating"
    );
    let spec = json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]});
    let status = case(spec, vec![record("i", 0, State::Running, 0)]).status();
    assert_eq!(
        status["containerStatuses"][0]["state"]["waiting"]["reason"],
        "PodInitializing"
    );
    assert_eq!(
        condition(&status, "Initialized")["message"],
        "containers with incomplete status: [i]"
    );
}

#[test]
fn a_refused_pod_has_a_reason_and_nothing_else() {
    let mut case = case(two("Always"), vec![]);
    case.rejection = Some(Rejection {
        reason: "OutOfcpu".into(),
        message: "m".into(),
    });
    case.terminal = true;
    let status = case.status();
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!("OutOfcpu"))
    );
    assert!(status.get("containerStatuses").is_none());
    assert_eq!(status["conditions"].as_array().unwrap().len(), 1);
}

#[test]
fn transition_times_and_restart_counts_are_kept() {
    let before = json!({"startTime": "2025-01-01T00:00:00Z",
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2025-01-01T00:00:00Z"}],
        "containerStatuses": [{"name": "a", "image": "i", "imageID": "", "ready": true, "restartCount": 4, "containerID": "k3s://x",
            "state": {"running": {}}}]});
    let mut lost = case(two("Always"), vec![]);
    lost.before = before;
    let status = lost.status();
    assert_eq!(status["startTime"], "2025-01-01T00:00:00Z");
    assert_eq!(
        condition(&status, "Ready")["lastTransitionTime"],
        "2025-01-01T00:00:00Z"
    );
    let a = &status["containerStatuses"][0];
    assert_eq!(
        (&a["restartCount"], &a["lastState"]["terminated"]["reason"]),
        (&json!(5), &json!("ContainerStatusUnknown"))
    );
}

#[test]
fn a_terminal_phase_stays() {
    let mut case = case(two("Always"), vec![]);
    case.before = json!({"phase": "Succeeded"});
    assert_eq!(case.status()["phase"], "Succeeded");
}

/// Whether a container without a readiness probe is ready, which was started so long ago.
fn is_ready(attempt: u32, ran_ms: i64, before: Value) -> bool {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut running = record("a", attempt, State::Running, 0);
    running.started_at_ns = now.as_nanosecond() as i64 - ran_ms * 1_000_000;
    let spec = json!({"containers": [{"name": "a", "image": "i"}]});
    let mut case = case(spec, vec![running]);
    case.before = before;
    let status = case.status();
    assert_eq!(status["containerStatuses"][0]["started"], true);
    let ready = status["containerStatuses"][0]["ready"] == true;
    assert_eq!(condition(&status, "Ready")["status"] == "True", ready);
    ready
}

#[test]
fn a_container_without_a_readiness_probe_is_ready_once_it_has_run_for_a_while() {
    assert!(!is_ready(0, 1, json!({})));
    assert!(!is_ready(0, 49, json!({})));
    assert!(is_ready(0, 50, json!({})));
    // After it has ended before, for longer.
    assert!(!is_ready(1, 900, json!({})));
    assert!(is_ready(1, 1000, json!({})));
    // The same container stays ready when the wall clock was set back; another one is not it.
    let status = |id: &str| {
        json!({"containerStatuses": [{"name": "a", "ready": true, "containerID": id, "image": "i",
            "imageID": "i@1", "restartCount": 0}]})
    };
    assert!(is_ready(0, -10_000, status("k3s://a0")));
    assert!(!is_ready(1, 10, status("k3s://a0")));
}

#[test]
fn a_sync_is_due_when_a_container_becomes_ready() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let pod: Pod =
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "a"}, {"name": "probed", "readinessProbe": {"tcpSocket": {"port": 1}}}]}}))
        .unwrap();
    let due = |name: &str, ran_ms: i64, state| {
        let mut running = record(name, 0, state, 0);
        running.started_at_ns = now.as_nanosecond() as i64 - ran_ms * 1_000_000;
        let observed = Observed {
            sandboxes: Vec::new(),
            containers: vec![running],
        };
        until_ready(&pod, &observed, &Restarts::default(), now)
    };
    assert_eq!(
        due("a", 20, State::Running),
        Some(Duration::from_millis(30))
    );
    assert_eq!(due("a", 50, State::Running), None);
    assert_eq!(due("a", 20, State::Exited), None);
    assert_eq!(due("probed", 20, State::Running), None);
}
