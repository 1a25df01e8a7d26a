//! What a node does for a pod beyond running it: port-forward, debugging, hooks and deadlines, eviction,
//! other resources while it runs.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, cluster, condition, fixture, shell, wait_for_pod};
use k3s_harness::{Background, Cluster, ClusterOptions, busybox, kubectl_binary};
use serde_json::{Value, json};

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

/// CPU quota and memory limit of a container of the pod `sized`, as the container sees its own cgroup.
fn bounds(cluster: &Cluster, container: &str) -> Result<String> {
    const READ: &str = "cd /sys/fs/cgroup; if [ -e cpu.max ]; then cut -d ' ' -f 1 cpu.max; cat memory.max; \
                        else cat cpu/cpu.cfs_quota_us memory/memory.limit_in_bytes; fi";
    let run = ["exec", "sized", "-c", container, "--", "sh", "-c", READ];
    let shown = cluster.kubectl(&run)?.ok()?;
    Ok(shown.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn resize(cluster: &Cluster, container: &str, resources: &Value) -> Result<k3s_harness::Output> {
    let containers = json!([{"name": container, "resources": resources}]);
    let patch = json!({"spec": {"containers": containers}}).to_string();
    let request = [
        "patch",
        "pod",
        "sized",
        "--subresource=resize",
        "--patch",
        &patch,
    ];
    cluster.kubectl(&request)
}

/// Waits until nothing is left of a resize, and returns how often the container was started again.
fn wait_for_resize(cluster: &Cluster, container: &str, resources: &Value) -> Result<i64> {
    cluster.wait_for(&format!("{container} is resized"), SOON, || {
        let pod = cluster.get(&["pod", "sized"])?;
        let status = &pod["status"];
        let is_over = !condition(&pod, "PodResizePending")
            && !condition(&pod, "PodResizeInProgress")
            && condition(&pod, "Ready")
            && status["observedGeneration"] == pod["metadata"]["generation"];
        let statuses = status["containerStatuses"].as_array();
        let own = statuses.and_then(|all| all.iter().find(|own| own["name"] == container));
        match own {
            Some(own) if is_over && &own["resources"] == resources => {
                Ok(own["restartCount"].as_i64().unwrap_or(-1))
            }
            _ => bail!("{status}"),
        }
    })
}

#[test]
fn a_pod_is_resized_while_it_runs() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&fixture!("resizable", IMAGE = SHELL))?;
    wait_for_pod(&cluster, "sized")?;
    wait_for_pod(&cluster, "neighbour")?;
    let of = |cpu: &str, memory: &str| json!({"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": cpu, "memory": memory}});
    for (container, resources, shown, restarts) in [
        ("stays", of("200m", "128Mi"), "20000 134217728", 0),
        ("stays", of("80m", "48Mi"), "8000 50331648", 0),
        ("restarts", of("200m", "64Mi"), "20000 67108864", 0),
        ("restarts", of("200m", "128Mi"), "20000 134217728", 1),
    ] {
        resize(&cluster, container, &resources)?.ok()?;
        let restarted = wait_for_resize(&cluster, container, &resources)?;
        ensure!(restarted == restarts, "{container}: {restarted}");
        let bounds = bounds(&cluster, container)?;
        ensure!(bounds == shown, "{container}: {bounds}");
    }
    let node = cluster.get(&["nodes"])?["items"][0].clone();
    let cpus = node["status"]["allocatable"]["cpu"].as_str();
    let cpus: u32 = cpus.unwrap_or_default().parse()?;
    let whole = |milli: u32| {
        let cpu = format!("{milli}m");
        json!({"requests": {"cpu": cpu, "memory": "32Mi"}, "limits": {"cpu": cpu, "memory": "48Mi"}})
    };
    let refused = resize(&cluster, "stays", &whole(cpus * 1000 + 50))?;
    ensure!(
        refused
            .stderr
            .contains("node didn't have enough allocatable resources: cpu"),
        "{refused:?}"
    );
    // All of the node's CPUs: the other container asks for 50m.
    resize(&cluster, "stays", &whole(cpus * 1000 - 50))?.ok()?;
    cluster.wait_for("the resize is deferred", SOON, || {
        let pod = cluster.get(&["pod", "sized"])?;
        let conditions = pod["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let pending = conditions.find(|it| it["type"] == "PodResizePending");
        let reason = pending.map(|pending| pending["reason"].clone());
        ensure!(reason == Some(json!("Deferred")), "{}", pod["status"]);
        Ok(())
    })?;
    cluster.kubectl(&["delete", "pod", "neighbour"])?.ok()?;
    wait_for_resize(&cluster, "stays", &whole(cpus * 1000 - 50))?;
    Ok(())
}
