//! Killing, stopping and filling the server.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k3s_e2e::{SHELL, SOON, WEB_1, answered_by, cluster, exec, fixture, shell, wait_for_pod, web};
use serde_json::Value;

#[test]
fn pods_survive_a_killed_server_and_are_adopted() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&shell("client"))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    wait_for_pod(&cluster, "client")?;
    answered_by(&cluster, "client", "http://web", 2)?;
    let containers = |pods: &Value| -> Vec<String> {
        let all = pods["items"].as_array().into_iter().flatten();
        let mut ids: Vec<String> = all
            .map(|p| p["status"]["containerStatuses"][0]["containerID"].to_string())
            .collect();
        ids.sort();
        ids
    };
    let before = containers(&cluster.get(&["pods"])?);
    cluster
        .kubectl(&["create", "configmap", "acknowledged", "--from-literal=a=b"])?
        .ok()?;
    let service = cluster.get(&["service", "web"])?["spec"]["clusterIP"]
        .as_str()
        .unwrap_or_default()
        .to_owned();

    cluster.kill_server()?;
    let answer = cluster
        .corner()
        .sh(&format!("wget -q -T 2 -O - http://{service}"))?
        .ok()?;
    ensure!(answer.starts_with("one "), "{answer}");

    cluster.start_server()?;
    cluster.wait_until_ready()?;
    cluster.wait_for_node()?;
    cluster
        .kubectl(&["get", "configmap", "acknowledged"])?
        .ok()?;
    wait_for_pod(&cluster, "client")?;
    answered_by(&cluster, "client", "http://web", 2)?;
    let pods = cluster.get(&["pods"])?;
    ensure!(
        containers(&pods) == before,
        "other containers than before: {pods}"
    );
    let restarts = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| p["status"]["containerStatuses"][0]["restartCount"].as_i64());
    ensure!(restarts.into_iter().all(|r| r == Some(0)), "{pods}");
    ensure!(exec(&cluster, "client", "echo still here")?.trim() == "still here");
    Ok(())
}

#[test]
fn a_server_follows_the_address_of_its_machine() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&web("web", 1, WEB_1))?;
    cluster.apply(&shell("client"))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    wait_for_pod(&cluster, "client")?;
    let lease = "ip addr del 192.0.2.10/24 dev eth0 && ip addr add 192.0.2.20/24 dev eth0 && \
                 ip route replace default via 192.0.2.1 dev eth0";
    cluster.corner().sh(lease)?.ok()?;
    cluster.wait_for("the node has the new address", SOON, || {
        let node = cluster.get(&["nodes"])?["items"][0].clone();
        let addresses = node["status"]["addresses"].to_string();
        ensure!(
            addresses.contains("192.0.2.20") && !addresses.contains("192.0.2.10"),
            "{addresses}"
        );
        Ok(())
    })?;
    cluster.wait_for("a pod answers through the new address", SOON, || {
        let answer = exec(&cluster, "client", "echo still here")?;
        ensure!(answer.trim() == "still here", "{answer}");
        answered_by(&cluster, "client", "http://web", 1)
    })?;
    let endpoints = cluster.get(&["endpoints", "kubernetes"])?;
    let address = &endpoints["subsets"][0]["addresses"][0]["ip"];
    ensure!(address == "192.0.2.20", "{endpoints}");
    let client = cluster.get(&["pod", "client"])?;
    let status = &client["status"];
    ensure!(status["hostIP"] == "192.0.2.20", "{status}");
    let restarts = &status["containerStatuses"][0]["restartCount"];
    ensure!(*restarts == 0, "{status}");
    cluster.wait_for("the event", SOON, || {
        let args = ["get", "events", "-A", "-o", "wide"];
        let events = cluster.kubectl(&args)?.ok()?;
        let told = events.matches("Node address changed from 192.0.2.10 to 192.0.2.20");
        ensure!(told.count() == 1, "{events}");
        Ok(())
    })
}

#[test]
fn sigterm_ends_the_server_in_ten_seconds_with_streams_open() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.apply(&shell("sh"))?;
    wait_for_pod(&cluster, "sh")?;
    let open = |args: &[&str]| {
        cluster
            .kubectl_command()
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let mut streams = vec![
        open(&["get", "pods", "-A", "-w"])?,
        open(&["exec", "sh", "--", "sleep", "1000"])?,
        open(&["logs", "-f", "sh"])?,
    ];
    // The exec is open once its process runs in the pod.
    cluster.wait_for("the exec runs", SOON, || {
        exec(&cluster, "sh", "ps | grep '[s]leep 1000'")
    })?;
    let start = Instant::now();
    let code = cluster.stop_server(Duration::from_secs(10))?;
    ensure!(
        code == Some(0),
        "exit code {code:?} after {:?}:\n{}",
        start.elapsed(),
        cluster.log_tail()
    );
    for stream in &mut streams {
        stream.kill()?;
        stream.wait()?;
    }
    Ok(())
}

#[test]
fn a_node_full_of_pods_comes_and_goes() -> Result<()> {
    let cluster = cluster()?;
    // One process of that name is the zygote that shims are forked from; it stays.
    let line = "ps -eo args | grep '[k]3s-shim' | tail -n +2 | wc -l; ip -o link | grep -c veth; grep -c overlay /proc/mounts; ls /var/run/netns 2>/dev/null | wc -l";
    let left = || -> Result<String> {
        let counts = cluster.corner().sh(line)?.stdout;
        let groups = cluster.corner().cgroups_below();
        let cgroups = groups
            .iter()
            .filter(|p| p.to_string_lossy().contains("/pod"))
            .count();
        let counts: Vec<&str> = counts.split_whitespace().collect();
        Ok(format!(
            "shims, veths, overlays, netns: {}, cgroups: {cgroups}",
            counts.join(" ")
        ))
    };
    let before = left()?;
    let pods = 110;
    cluster.apply(&fixture!("many-pods", PODS = pods, IMAGE = SHELL))?;
    cluster.wait_for("110 pods are Ready", Duration::from_secs(300), || {
        let ready = cluster.get(&["deployment", "many"])?["status"]["readyReplicas"]
            .as_u64()
            .unwrap_or_default();
        ensure!(ready == pods, "{ready}");
        Ok(())
    })?;
    cluster
        .kubectl(&["delete", "deployment", "many", "--timeout=120s"])?
        .ok()?;
    cluster.wait_for(
        "nothing is left of 110 pods",
        Duration::from_secs(180),
        || {
            let now = left()?;
            ensure!(now == before, "before: {before}\nnow: {now}");
            Ok(())
        },
    )
}
