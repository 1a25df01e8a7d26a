//! LoadBalancer Services through the real binary: they answer on the node's address, keep the client's
//! address, report conflicts, and leave nothing behind.

use std::time::Duration;

use anyhow::{Result, ensure};
use k3s_e2e::{SOON, WEB_1, cluster, fixture, web};
use k3s_harness::Cluster;

/// The node's address in its corner.
const NODE: &str = "192.0.2.10";

fn balancer(name: &str, app: &str, port: u16, more: &str) -> String {
    fixture!("load-balancer", NAME = name, APP = app, PORT = port) + more
}

/// A machine beside the node, on its uplink.
fn neighbour(cluster: &Cluster) -> Result<()> {
    let line = "ip netns add beside && ip link set uplink netns beside && \
        ip -n beside addr add 192.0.2.1/24 dev uplink && ip -n beside link set uplink up";
    cluster.corner().sh(line)?.ok()?;
    Ok(())
}

fn fetch(cluster: &Cluster, port: u16) -> Result<String> {
    cluster
        .corner()
        .sh(&format!(
            "ip netns exec beside wget -q -T 2 -t 1 -O - http://{NODE}:{port}"
        ))?
        .ok()
}

fn addresses(cluster: &Cluster, name: &str) -> Result<String> {
    let path = "jsonpath={.status.loadBalancer.ingress[*].ip}";
    cluster.kubectl(&["get", "service", name, "-o", path])?.ok()
}

#[test]
fn a_load_balancer_answers_on_the_node_and_shows_its_client() -> Result<()> {
    let cluster = cluster()?;
    neighbour(&cluster)?;
    cluster.apply(&web("web", 2, WEB_1))?;
    cluster.apply(&balancer("lb", "web", 8080, ""))?;
    cluster.wait_for("the node's address is in the status", SOON, || {
        let shown = addresses(&cluster, "lb")?;
        ensure!(shown == NODE, "{shown}");
        Ok(())
    })?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    cluster.wait_for("the node answers", SOON, || fetch(&cluster, 8080))?;
    let logs = cluster
        .kubectl(&["logs", "-l", "app=web", "--tail=50"])?
        .ok()?;
    ensure!(
        logs.lines()
            .any(|l| l.starts_with("192.0.2.1 ") && l.contains("Wget")),
        "client unseen: {logs}"
    );
    let shown = cluster.get(&["service", "lb"])?;
    ensure!(
        shown["status"]["loadBalancer"]["ingress"][0]["ipMode"] == "VIP",
        "{shown}"
    );
    ensure!(
        shown["metadata"]["finalizers"][0] == "service.kubernetes.io/load-balancer-cleanup",
        "{shown}"
    );
    let table = cluster.kubectl(&["get", "service", "lb"])?.ok()?;
    ensure!(
        table.contains("LoadBalancer") && table.contains(NODE),
        "{table}"
    );
    let events = cluster
        .kubectl(&[
            "get",
            "events",
            "--field-selector",
            "involvedObject.name=lb",
        ])?
        .ok()?;
    ensure!(events.contains("UpdatedIngressIP"), "{events}");

    // Only some may call.
    cluster
        .kubectl(&[
            "patch",
            "service",
            "lb",
            "-p",
            r#"{"spec":{"loadBalancerSourceRanges":["198.51.100.0/24"]}}"#,
        ])?
        .ok()?;
    cluster.wait_for("strangers are kept out", SOON, || {
        ensure!(fetch(&cluster, 8080).is_err(), "still answered");
        Ok(())
    })?;
    cluster
        .kubectl(&[
            "patch",
            "service",
            "lb",
            "-p",
            r#"{"spec":{"loadBalancerSourceRanges":["192.0.2.0/24"]}}"#,
        ])?
        .ok()?;
    cluster.wait_for("neighbours are let in", SOON, || fetch(&cluster, 8080))?;

    cluster
        .kubectl(&["delete", "service", "lb", "--timeout=30s"])?
        .ok()?;
    cluster.wait_for("nothing answers any more", SOON, || {
        ensure!(fetch(&cluster, 8080).is_err(), "still answered");
        let rules = cluster
            .corner()
            .sh("nft list table ip k3s-services")?
            .ok()?;
        ensure!(!rules.contains(&format!("{NODE} . tcp . 8080")), "{rules}");
        Ok(())
    })
}

#[test]
fn conflicts_classes_and_local_traffic() -> Result<()> {
    let cluster = cluster()?;
    neighbour(&cluster)?;
    cluster.apply(&web("web", 1, WEB_1))?;
    cluster.apply(&balancer("first", "web", 8080, ""))?;
    cluster.wait_for("the first has the port", SOON, || {
        ensure!(addresses(&cluster, "first")? == NODE);
        Ok(())
    })?;
    cluster.apply(&balancer("second", "web", 8080, ""))?;
    cluster.apply(&balancer("api", "web", 6443, ""))?;
    cluster.apply(&balancer(
        "foreign",
        "web",
        8081,
        "  loadBalancerClass: example.com/other\n",
    ))?;
    cluster.wait_for("the second is told", SOON, || {
        let told = cluster.kubectl(&["describe", "service", "second"])?.ok()?;
        ensure!(
            told.contains("PortConflict") && told.contains("is used by Service default/first"),
            "{told}"
        );
        let told = cluster
            .kubectl(&[
                "get",
                "service",
                "api",
                "-o",
                "jsonpath={.status.conditions[0].message}",
            ])?
            .ok()?;
        ensure!(
            told.contains("port 6443/TCP is used by the API server"),
            "{told}"
        );
        Ok(())
    })?;
    ensure!(
        cluster.kubectl(&["get", "nodes"])?.ok()?.contains("Ready"),
        "the API server keeps its port"
    );
    ensure!(
        addresses(&cluster, "foreign")?.is_empty(),
        "another's class"
    );
    cluster
        .kubectl(&["delete", "service", "first", "--timeout=30s"])?
        .ok()?;
    cluster.wait_for("the second gets the port", SOON, || {
        ensure!(addresses(&cluster, "second")? == NODE);
        fetch(&cluster, 8080)
    })?;

    // Local: the node is listed only while it has an endpoint, and says so on the health check port.
    cluster.apply(&balancer(
        "local",
        "web",
        8082,
        "  externalTrafficPolicy: Local\n  allocateLoadBalancerNodePorts: false\n",
    ))?;
    cluster.wait_for("the node has an endpoint", SOON, || {
        ensure!(addresses(&cluster, "local")? == NODE);
        fetch(&cluster, 8082)
    })?;
    let local = cluster.get(&["service", "local"])?;
    ensure!(local["spec"]["ports"][0]["nodePort"].is_null(), "{local}");
    let health = local["spec"]["healthCheckNodePort"].to_string();
    let check = || {
        cluster.corner().sh(&format!(
            "ip netns exec beside curl -s -m 2 http://{NODE}:{health}/healthz"
        ))
    };
    cluster.wait_for("one local endpoint", SOON, || {
        let page = check()?.ok()?;
        ensure!(page.contains("\"localEndpoints\":1"), "{page}");
        Ok(())
    })?;
    cluster
        .kubectl(&["scale", "deployment/web", "--replicas=0"])?
        .ok()?;
    cluster.wait_for("no local endpoint", SOON, || {
        let page = check()?.ok()?;
        ensure!(page.contains("\"localEndpoints\":0"), "{page}");
        ensure!(addresses(&cluster, "local")?.is_empty(), "still listed");
        Ok(())
    })
}

#[test]
fn without_servicelb_nothing_of_it_remains() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.apply(&balancer("lb", "web", 8080, ""))?;
    cluster.wait_for("the node's address is in the status", SOON, || {
        ensure!(addresses(&cluster, "lb")? == NODE);
        Ok(())
    })?;
    cluster.stop_server(Duration::from_secs(15))?;
    cluster.restart_with(&["--disable", "servicelb"])?;
    cluster.wait_for("status and finalizer are gone", SOON, || {
        let shown = cluster.get(&["service", "lb"])?;
        ensure!(shown["metadata"]["finalizers"].is_null(), "{shown}");
        ensure!(
            shown["status"]["loadBalancer"]["ingress"].is_null(),
            "{shown}"
        );
        let rules = cluster
            .corner()
            .sh("nft list table ip k3s-services")?
            .ok()?;
        ensure!(!rules.contains(&format!("{NODE} . tcp . 8080")), "{rules}");
        Ok(())
    })?;
    cluster
        .kubectl(&["delete", "service", "lb", "--timeout=30s"])?
        .ok()?;
    Ok(())
}
