//! Tables of plans: a spec, what the runtime has, what has to happen.

use serde_json::{Value, json};

use super::*;
use crate::model::{SandboxRecord, all_containers};

fn plan(pod: &Pod, observed: &Observed, verdicts: &HashMap<String, Verdicts>) -> Plan {
    let known = Known {
        verdicts,
        restarts: &Restarts::default(),
        sizes: &bounded(pod),
        may_resize: true,
    };
    super::plan(pod, observed, &known)
}

/// The pod's cgroup is as it should be.
fn bounded(pod: &Pod) -> Sizes {
    let mut sizes = Sizes::default();
    sizes.note_pod(pod);
    sizes
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
}

fn sandbox(id: &str, attempt: u32, ready: bool) -> SandboxRecord {
    SandboxRecord {
        id: id.into(),
        attempt,
        ready,
        created_at_ns: i64::from(attempt),
        ips: vec!["10.0.0.1".into()],
    }
}

/// `name state[:exit][@sandbox][#attempt]`, for instance `c exited:1`.
fn container(text: &str) -> ContainerRecord {
    let (name, rest) = text.split_once(' ').unwrap();
    let (rest, sandbox_id) = rest.split_once('@').unwrap_or((rest, "s0"));
    let (state, code) = rest.split_once(':').unwrap_or((rest, "0"));
    let state = match state {
        "created" => State::Created,
        "running" => State::Running,
        "exited" => State::Exited,
        _ => State::Unknown,
    };
    ContainerRecord {
        id: format!("{name}-id"),
        sandbox_id: sandbox_id.into(),
        name: name.into(),
        attempt: 0,
        state,
        created_at_ns: 1,
        started_at_ns: 1,
        finished_at_ns: 0,
        exit_code: code.parse().unwrap(),
        reason: String::new(),
        message: String::new(),
        image: String::new(),
        image_id: String::new(),
        hash: String::new(),
        log_path: String::new(),
    }
}

fn observed(containers: &[&str]) -> Observed {
    Observed {
        sandboxes: vec![sandbox("s0", 0, true)],
        containers: containers.iter().map(|c| container(c)).collect(),
    }
}

/// The plan in one line: `kill-pod sandbox:N kill:NAME start:SLOT`.
fn shown(plan: &Plan) -> String {
    let mut words = Vec::new();
    if plan.kill_pod {
        words.push("kill-pod".to_owned());
    }
    words.extend(plan.create_sandbox.map(|n| format!("sandbox:{n}")));
    words.extend(
        plan.kill
            .iter()
            .map(|k| format!("kill:{}", k.id.trim_end_matches("-id"))),
    );
    if plan.resize_pod {
        words.push("resize-pod".to_owned());
    }
    let slot = |slot: &Slot| match slot {
        Slot::Init(i) => format!("init{i}"),
        Slot::Main(i) => format!("main{i}"),
        Slot::Ephemeral(i) => format!("ephemeral{i}"),
    };
    let resizes = plan.resize.iter();
    words.extend(resizes.map(|it| format!("resize:{}", slot(it))));
    let starts = plan.start.iter();
    words.extend(starts.map(|it| format!("start:{}", slot(it))));
    words.join(" ")
}

fn decide(spec: &Value, containers: &[&str]) -> String {
    shown(&plan(
        &pod(spec.clone()),
        &observed(containers),
        &HashMap::new(),
    ))
}

#[test]
fn main_containers_by_restart_policy() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}, {"name": "b"}]});
    for (policy, containers, want) in [
        ("Always", &[] as &[&str], "start:main0 start:main1"),
        ("Always", &["a running", "b running"], ""),
        ("Always", &["a running", "b exited:0"], "start:main1"),
        ("OnFailure", &["a running", "b exited:0"], ""),
        ("OnFailure", &["a running", "b exited:1"], "start:main1"),
        ("Never", &["a running", "b exited:1"], ""),
        ("Never", &["a exited:0", "b exited:1"], "kill-pod"),
        ("OnFailure", &["a exited:0", "b exited:0"], "kill-pod"),
        ("Always", &["a running", "b created"], "start:main1"),
        ("Always", &["a running", "b unknown"], "kill:b start:main1"),
    ] {
        assert_eq!(
            decide(&spec(policy), containers),
            want,
            "{policy} {containers:?}"
        );
    }
}

#[test]
fn the_containers_own_policy_wins() {
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "a", "restartPolicy": "Always"}, {"name": "b",
        "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}]});
    assert_eq!(decide(&spec, &["a exited:0", "b exited:1"]), "start:main0");
    assert_eq!(decide(&spec, &["a running", "b exited:42"]), "start:main1");
}

#[test]
fn a_container_that_the_node_has_stopped_is_started_whatever_it_exits_with() {
    let mut restarts = Restarts::default();
    restarts.stop("a", true);
    for policy in ["OnFailure", "Never"] {
        let pod = pod(json!({"restartPolicy": policy, "containers": [{"name": "a"}]}));
        let known = Known {
            verdicts: &HashMap::new(),
            restarts: &restarts,
            sizes: &bounded(&pod),
            may_resize: true,
        };
        let plan = super::plan(&pod, &observed(&["a exited:0"]), &known);
        assert_eq!(shown(&plan), "start:main0", "{policy}");
    }
}

#[test]
fn what_runs_gets_the_resources_of_the_spec() {
    let spec = |cpu: &str| {
        let container = |name: &str, policy: &str| {
            json!({"name": name, "resources": {"requests": {"cpu": cpu}},
                "resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}]})
        };
        let mut sidecar = container("s", "RestartContainer");
        sidecar["restartPolicy"] = json!("Always");
        json!({"restartPolicy": "Never", "initContainers": [sidecar],
            "containers": [container("a", "NotRequired"), container("b", "RestartContainer")]})
    };
    let (before, after) = (pod(spec("1")), pod(spec("2")));
    let mut sizes = bounded(&before);
    for (_, container) in all_containers(before.spec.as_ref().unwrap()) {
        sizes.note_container(&format!("{}-id", container.name), container);
    }
    let shown = |pod: &Pod, containers: &[&str], may_resize| {
        let known = Known {
            verdicts: &HashMap::new(),
            restarts: &Restarts::default(),
            sizes: &sizes,
            may_resize,
        };
        shown(&super::plan(pod, &observed(containers), &known))
    };
    let running = ["s running", "a running", "b running"];
    assert_eq!(shown(&before, &running, true), "");
    let restarts = "kill:s kill:b";
    assert_eq!(
        shown(&after, &running, true),
        format!("{restarts} resize-pod resize:main0 start:init0 start:main1")
    );
    assert_eq!(
        shown(&after, &running, false),
        format!("{restarts} start:init0 start:main1")
    );
}

#[test]
fn init_containers_run_one_after_the_other() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "a"}]});
    for (policy, containers, want) in [
        ("Always", &[] as &[&str], "start:init0"),
        ("Always", &["i running"], ""),
        ("Always", &["i exited:0"], "start:init1"),
        ("Always", &["i exited:1"], "start:init0"),
        ("OnFailure", &["i exited:1"], "start:init0"),
        ("Never", &["i exited:1"], "kill-pod"),
        ("Always", &["i exited:0", "j running"], ""),
        ("Always", &["i exited:0", "j exited:0"], "start:main0"),
        (
            "Always",
            &["i exited:0", "j exited:0", "a exited:1"],
            "start:main0",
        ),
        ("Always", &["a running"], ""),
    ] {
        assert_eq!(
            decide(&spec(policy), containers),
            want,
            "{policy} {containers:?}"
        );
    }
}

#[test]
fn sidecars_start_first_stay_and_end_with_the_pod() {
    let spec = json!({"restartPolicy": "Never", "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}],
        "containers": [{"name": "a"}]});
    for (containers, want) in [
        (&[] as &[&str], "start:init0"),
        (&["s running"], "start:init1"),
        (&["s exited:1", "i running"], "start:init0"),
        (&["s running", "i exited:0"], "start:main0"),
        (&["s exited:1", "i exited:0", "a running"], "start:init0"),
        (&["i exited:0", "a running"], "start:init0"),
        (&["s running", "i exited:0", "a exited:0"], "kill-pod"),
    ] {
        assert_eq!(decide(&spec, containers), want, "{containers:?}");
    }
}

#[test]
fn a_sidecar_with_a_startup_probe_holds_back_the_next() {
    let spec = json!({"initContainers": [{"name": "s", "restartPolicy": "Always", "startupProbe": {}}], "containers": [{"name": "a"}]});
    let with = |startup: Option<bool>| {
        let verdicts = HashMap::from([(
            "s-id".to_owned(),
            Verdicts {
                startup,
                ..Verdicts::default()
            },
        )]);
        shown(&plan(
            &pod(spec.clone()),
            &observed(&["s running"]),
            &verdicts,
        ))
    };
    assert_eq!(
        (with(None), with(Some(true)), with(Some(false))),
        (
            String::new(),
            "start:main0".into(),
            "kill:s start:init0".into()
        )
    );
}

#[test]
fn failing_probes_and_changed_specs_kill() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i", "livenessProbe": {}}, {"name": "b"}]});
    let verdicts = HashMap::from([(
        "a-id".to_owned(),
        Verdicts {
            liveness: Some(false),
            ..Verdicts::default()
        },
    )]);
    let state = observed(&["a running", "b running"]);
    let always = plan(&pod(spec("Always")), &state, &verdicts);
    assert_eq!(shown(&always), "kill:a start:main0");
    assert_eq!(
        always.kill[0].message,
        "Container a failed liveness probe, will be restarted"
    );
    let never = plan(&pod(spec("Never")), &state, &verdicts);
    assert_eq!(
        (shown(&never).as_str(), never.kill[0].message.as_str()),
        ("kill:a", "Container a failed liveness probe")
    );
    let mut changed = state;
    changed.containers[0].hash = "other".into();
    assert_eq!(
        shown(&plan(&pod(spec("Never")), &changed, &HashMap::new())),
        "kill:a start:main0"
    );
}

#[test]
fn a_lost_sandbox_is_made_again_where_the_policy_allows() {
    let spec = |policy: &str| json!({"restartPolicy": policy, "containers": [{"name": "a"}]});
    let state = |sandboxes: Vec<SandboxRecord>, containers: &[&str]| Observed {
        sandboxes,
        ..observed(containers)
    };
    let dead = || vec![sandbox("s0", 0, false)];
    for (policy, state, want) in [
        ("Always", state(vec![], &[]), "sandbox:0 start:main0"),
        ("Never", state(vec![], &[]), "sandbox:0 start:main0"),
        (
            "Always",
            state(dead(), &["a exited:0"]),
            "sandbox:1 start:main0",
        ),
        (
            "Always",
            state(dead(), &["a running"]),
            "kill-pod sandbox:1 start:main0",
        ),
        ("Never", state(dead(), &["a exited:0"]), ""),
        ("OnFailure", state(dead(), &["a exited:0"]), ""),
        (
            "OnFailure",
            state(dead(), &["a exited:1"]),
            "sandbox:1 start:main0",
        ),
        (
            "Always",
            state(vec![sandbox("s1", 1, true), sandbox("s0", 0, true)], &[]),
            "kill-pod sandbox:2 start:main0",
        ),
    ] {
        assert_eq!(
            shown(&plan(&pod(spec(policy)), &state, &HashMap::new())),
            want,
            "{policy} {state:?}"
        );
    }
}

#[test]
fn ephemeral_containers_start_once_whatever_the_others_do() {
    let spec = json!({"restartPolicy": "Always", "initContainers": [{"name": "i"}], "containers": [{"name": "a"}],
        "ephemeralContainers": [{"name": "d"}, {"name": "e"}]});
    for (containers, want) in [
        (
            &["i running"] as &[&str],
            "start:ephemeral0 start:ephemeral1",
        ),
        (
            &["i exited:0", "a running", "d running"],
            "start:ephemeral1",
        ),
        (&["i exited:0", "a running", "d exited:1", "e exited:0"], ""),
        (
            &["i exited:0", "a exited:1", "d running", "e running"],
            "start:main0",
        ),
    ] {
        assert_eq!(decide(&spec, containers), want, "{containers:?}");
    }
    let done = json!({"restartPolicy": "Never", "containers": [{"name": "a"}], "ephemeralContainers": [{"name": "d"}]});
    assert_eq!(decide(&done, &["a exited:0"]), "kill-pod");
}
