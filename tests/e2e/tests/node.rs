//! What a node does for a pod beyond running it: port-forward, debugging, hooks and deadlines, eviction.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, cluster, fixture, shell, wait_for_pod};
use k3s_harness::{Background, Cluster, ClusterOptions, busybox, kubectl_binary};
use serde_json::Value;

const KUBECONFIG: &str = "KUBECONFIG=/etc/rancher/k3s/k3s.yaml";

/// `kubectl ARGS` in the background, with its output in a file of the corner.
fn kubectl_in_background(
    cluster: &Cluster,
    env: &str,
    args: &str,
    log: &str,
) -> Result<Background> {
    let kubectl = kubectl_binary()?;
    cluster.corner().background(
        &format!("{KUBECONFIG} {env} exec {} {args}", kubectl.display()),
        log,
    )
}

fn fetch(cluster: &Cluster, port: u16) -> Result<String> {
    cluster
        .corner()
        .sh(&format!("wget -q -T 5 -O - http://127.0.0.1:{port}"))?
        .ok()
}

#[test]
fn ports_are_forwarded_over_websocket_and_spdy() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&fixture!("probed-pod-and-service", IMAGE = WEB_1))?;
    wait_for_pod(&cluster, "web")?;
    let _websocket = kubectl_in_background(
        &cluster,
        "",
        "port-forward pod/web 18080:80 18081:81",
        "websocket.log",
    )?;
    let spdy = "KUBECTL_PORT_FORWARD_WEBSOCKETS=false";
    let _spdy = kubectl_in_background(
        &cluster,
        spdy,
        "port-forward service/web 18082:8080",
        "spdy.log",
    )?;
    for port in [18080, 18082] {
        cluster.wait_for(&format!("port {port} is forwarded"), SOON, || {
            fetch(&cluster, port)
        })?;
        // Connections one after the other and beside each other go over the one forward.
        let many = format!(
            "for i in 1 2 3 4 5 6 7 8; do wget -q -T 20 -O - http://127.0.0.1:{port} & done; wait"
        );
        let answers = cluster.corner().sh(&many)?.ok()?;
        ensure!(answers.matches("one web").count() == 8, "{answers}");
    }
    // Nothing listens on 81: the client gets an error, and the forward continues.
    ensure!(fetch(&cluster, 18081).is_err());
    let log = std::fs::read_to_string(cluster.corner().dir().join("websocket.log"))?;
    ensure!(
        log.contains("error forwarding port 81 to pod") && log.contains("connection refused"),
        "{log}"
    );
    Ok(())
}

#[test]
fn older_clients_exec_over_spdy() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&shell("sh"))?;
    wait_for_pod(&cluster, "sh")?;
    let run = |args: &str, input: &str| {
        let kubectl = kubectl_binary()?;
        let kubectl = kubectl.display();
        cluster
            .corner()
            .sh(&format!("printf '{input}' | {KUBECONFIG} KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false {kubectl} {args}"))
    };
    ensure!(run("exec -i sh -- cat", "over standard input")?.ok()? == "over standard input");
    let both = run("exec sh -- sh -c \"echo out; echo err >&2; exit 7\"", "")?;
    ensure!(
        both.code == Some(7) && both.stdout == "out\n" && both.stderr.contains("err"),
        "{both:?}"
    );
    let kubectl = kubectl_binary()?;
    let line = format!(
        "{KUBECONFIG} KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false {} exec -it sh -- sh -c 'tty; stty size'",
        kubectl.display()
    );
    let output = cluster
        .corner()
        .command("script")
        .args(["-qec", &line, "/dev/null"])
        .output()?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        shown.contains("/dev/pts/") || shown.contains("/dev/console"),
        "{shown}"
    );
    Ok(())
}

fn ephemeral(cluster: &Cluster, pod: &str, name: &str) -> Result<Value> {
    let pod = cluster.get(&["pod", pod])?;
    let all = pod["status"]["ephemeralContainerStatuses"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    match all.into_iter().find(|status| status["name"] == name) {
        Some(status) => Ok(status),
        None => bail!("{}", pod["status"]),
    }
}

#[test]
fn a_pod_is_debugged_with_ephemeral_containers() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&shell("sh"))?;
    wait_for_pod(&cluster, "sh")?;
    let image = format!("--image={SHELL}");
    let debug = [
        "debug",
        "sh",
        &image,
        "--target=shell",
        "-c",
        "dbg",
        "--attach=false",
        "--",
    ];
    let command = ["sh", "-c", "ps; while :; do sleep 1; done"];
    cluster
        .kubectl(&[&debug[..], &command[..]].concat())?
        .ok()?;
    cluster.wait_for("the ephemeral container runs", SOON, || {
        let status = ephemeral(&cluster, "sh", "dbg")?;
        ensure!(status["state"]["running"].is_object(), "{status}");
        Ok(())
    })?;
    // With a target it sees the target's processes.
    let shown = cluster.kubectl(&["logs", "sh", "-c", "dbg"])?.ok()?;
    ensure!(shown.contains("trap exit TERM"), "{shown}");
    let listed = cluster
        .kubectl(&["exec", "sh", "-c", "dbg", "--", "ps"])?
        .ok()?;
    ensure!(listed.contains("trap exit TERM"), "{listed}");

    // `-it` attaches to a terminal.
    let kubectl = kubectl_binary()?;
    let line = format!(
        "{KUBECONFIG} {} debug -it sh --image={SHELL} -c dbg2 -- sh -c 'sleep 3; tty; echo mark$((1+1))'",
        kubectl.display()
    );
    let output = cluster
        .corner()
        .command("script")
        .args(["-qec", &line, "/dev/null"])
        .output()?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(shown.contains("mark2"), "{shown}");
    cluster.wait_for("the second one ends and is not restarted", SOON, || {
        let status = ephemeral(&cluster, "sh", "dbg2")?;
        ensure!(
            status["state"]["terminated"]["exitCode"] == 0 && status["restartCount"] == 0,
            "{status}"
        );
        Ok(())
    })?;
    let wrong = cluster.kubectl(&[
        "debug",
        "sh",
        &image,
        "--target=nobody",
        "-c",
        "dbg3",
        "--attach=false",
    ])?;
    ensure!(
        wrong.code != Some(0) && wrong.stderr.contains("nobody"),
        "{wrong:?}"
    );
    let restarts = &cluster.get(&["pod", "sh"])?["status"]["containerStatuses"][0]["restartCount"];
    ensure!(*restarts == 0, "{restarts}");
    cluster
        .kubectl(&["delete", "pod", "sh", "--timeout=60s"])?
        .ok()?;
    Ok(())
}

#[test]
fn hooks_signals_and_deadlines_are_honoured() -> Result<()> {
    let cluster = cluster()?;
    let out = cluster.corner().dir().join("hooks");
    let out = out.display();
    cluster
        .corner()
        .sh(&format!("mkdir {out} && chmod 777 {out}"))?
        .ok()?;
    cluster.apply(&fixture!("hooks-and-deadlines", IMAGE = SHELL, OUT = out))?;
    wait_for_pod(&cluster, "hooks")?;
    wait_for_pod(&cluster, "signal")?;
    cluster
        .kubectl(&["delete", "pod", "hooks", "signal", "--timeout=60s"])?
        .ok()?;
    let order = cluster.corner().sh(&format!("cat {out}/order"))?.ok()?;
    ensure!(order == "started\nstopping\nterm\n", "{order:?}");
    let signal = cluster.corner().sh(&format!("cat {out}/signal"))?.ok()?;
    ensure!(signal == "usr1\n", "{signal:?}");
    cluster.wait_for("the deadline ends the pod", SOON, || {
        let pod = cluster.get(&["pod", "deadline"])?;
        let (phase, reason) = (&pod["status"]["phase"], &pod["status"]["reason"]);
        ensure!(
            *phase == "Failed" && *reason == "DeadlineExceeded",
            "{}",
            pod["status"]
        );
        Ok(())
    })?;
    cluster.wait_for(
        "the probe's own grace period counts, not the pod's",
        SOON,
        || {
            let pod = cluster.get(&["pod", "stubborn"])?;
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"]
                .as_i64()
                .unwrap_or(0);
            ensure!(restarts >= 1, "{}", pod["status"]);
            Ok(())
        },
    )?;
    cluster
        .kubectl(&["delete", "pod", "stubborn", "--now", "--timeout=60s"])?
        .ok()?;
    Ok(())
}

#[test]
fn a_node_short_of_memory_evicts_and_takes_no_more() -> Result<()> {
    let flags = [
        "eviction-hard=memory.available<1000Ti",
        "eviction-pressure-transition-period=1s",
    ];
    let flags = flags.iter().map(|f| format!("--kubelet-arg={f}")).collect();
    let cluster = Cluster::start_with(ClusterOptions {
        flags,
        images: vec![busybox(SHELL)?],
        ..ClusterOptions::default()
    })?;
    cluster.wait_for("the node says so and is tainted", SOON, || {
        let node = cluster.get(&["nodes"])?["items"][0].clone();
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let pressure = conditions
            .iter()
            .find(|c| c["type"] == "MemoryPressure")
            .cloned()
            .unwrap_or_default();
        ensure!(
            pressure["status"] == "True" && pressure["reason"] == "KubeletHasInsufficientMemory",
            "{pressure}"
        );
        let taints = node["spec"]["taints"].to_string();
        ensure!(
            taints.contains("node.kubernetes.io/memory-pressure"),
            "{taints}"
        );
        Ok(())
    })?;
    let name = cluster.get(&["nodes"])?["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let pod = |pod: &str, requests: &str| {
        fixture!(
            "pod-on-node",
            NAME = pod,
            NODE = name,
            IMAGE = SHELL,
            REQUESTS = requests
        )
    };
    cluster.apply(&(pod("refused", "") + &pod("evicted", "memory: 1Mi")))?;
    for (pod, message) in [
        ("refused", "The node had condition: [MemoryPressure]. "),
        (
            "evicted",
            "The node was low on resource: memory. Threshold quantity: 1000Ti",
        ),
    ] {
        cluster.wait_for(
            &format!("pod {pod} is evicted"),
            Duration::from_secs(90),
            || {
                let status = cluster.get(&["pod", pod])?["status"].clone();
                let told = status["message"].as_str().unwrap_or_default();
                ensure!(
                    status["phase"] == "Failed"
                        && status["reason"] == "Evicted"
                        && told.contains(message),
                    "{status}"
                );
                Ok(())
            },
        )?;
    }
    let health = cluster
        .corner()
        .sh("wget -q -T 5 -O - http://127.0.0.1:10248/healthz")?
        .ok()?;
    ensure!(health == "ok", "{health}");
    let shown = cluster.kubectl(&["get", "pod", "refused"])?.ok()?;
    ensure!(shown.contains("Evicted"), "{shown}");
    Ok(())
}
