//! From the creation of a Service to the first packet through it: as a load balancer on the node's
//! address, and as a cluster address beside ten thousand others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k3s_client::{Client, DeleteParams, resources};
use k3s_e2e::{WEB_1, cluster, web};
use k3s_harness::Cluster;
use serde_json::{Value, json};

use crate::load::client;
use crate::row;
use crate::stats::{ms, percentile};

/// The node's address in its corner.
const NODE: [u8; 4] = [192, 0, 2, 10];
/// Every round has a port of its own: what a deleted Service left behind for a moment must not answer.
const PORT: u16 = 8080;
const ROUNDS: usize = 30;
const OTHERS: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run() -> Result<()> {
    let cluster = cluster()?;
    cluster.apply(&web("web", 1, WEB_1))?;
    cluster
        .kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?
        .ok()?;
    let rounds = ROUNDS.to_string();
    row(
        "LoadBalancer created → first connection through it, p50",
        inside(&cluster, &["first-balancer", &rounds])?,
    );
    row(
        "ClusterIP created → first connection through it, p50",
        inside(&cluster, &["first-cluster-ip", &rounds])?,
    );
    let start = Instant::now();
    inside(&cluster, &["services", &OTHERS.to_string()])?;
    cluster.wait_for("every service is in the packet filter", PATIENCE, || {
        let line = "nft list map ip k3s-services services | grep -o 'tcp . 80 :' | wc -l";
        let count: usize = cluster.corner().sh(line)?.ok()?.trim().parse()?;
        ensure!(count >= OTHERS, "{count}");
        Ok(())
    })?;
    row(
        &format!("{OTHERS} Services created and in the packet filter"),
        ms(start.elapsed()),
    );
    row(
        "the same with them there: ClusterIP, p50",
        inside(&cluster, &["first-cluster-ip", &rounds])?,
    );
    row(
        "LoadBalancer, p50",
        inside(&cluster, &["first-balancer", &rounds])?,
    );
    Ok(())
}

fn inside(cluster: &Cluster, words: &[&str]) -> Result<String> {
    let output = cluster
        .corner()
        .command(std::env::current_exe()?)
        .arg("inside")
        .args(words)
        .output()?;
    if !output.status.success() {
        bail!("{words:?}: {}", String::from_utf8_lossy(&output.stderr))
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn service(name: &str, kind: &str, port: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": kind, "selector": {"app": "web"}, "ports": [{"port": port, "targetPort": 80}]}})
}

/// Creates a Service and calls it until it answers, some times over.
pub(crate) async fn first_packet(kind: &str, rounds: usize) -> Result<String> {
    let client = client()?;
    let mut times = Vec::new();
    for round in 0..rounds {
        let (name, port) = (format!("first-{round}"), PORT + u16::try_from(round)?);
        let start = Instant::now();
        let created = client
            .create(
                &resources::SERVICES,
                Some("default"),
                &service(&name, kind, port),
            )
            .await?;
        let address = match kind {
            "LoadBalancer" => IpAddr::from(NODE),
            _ => created.value()["spec"]["clusterIP"]
                .as_str()
                .context("a cluster address")?
                .parse()?,
        };
        connect(SocketAddr::new(address, port)).await?;
        times.push(start.elapsed());
        remove(&client, &name).await?;
    }
    Ok(ms(percentile(&mut times, 0.5)))
}

async fn connect(address: SocketAddr) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let attempt = tokio::time::timeout(
            Duration::from_millis(2),
            tokio::net::TcpStream::connect(address),
        )
        .await;
        match attempt {
            Ok(Ok(_)) => return Ok(()),
            _ if Instant::now() > end => bail!("{address} never answered"),
            Ok(Err(_)) => tokio::time::sleep(Duration::from_micros(200)).await,
            // A lost packet: the next attempt sends another.
            Err(_) => {}
        }
    }
}

async fn remove(client: &Client, name: &str) -> Result<()> {
    client
        .delete(
            &resources::SERVICES,
            Some("default"),
            name,
            &DeleteParams::default(),
        )
        .await?;
    let end = Instant::now() + PATIENCE;
    while client
        .get(&resources::SERVICES, Some("default"), name)
        .await
        .is_ok()
    {
        ensure!(Instant::now() < end, "{name} was never gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Services that all lead to the same pod.
pub(crate) async fn fill(count: usize) -> Result<String> {
    let client = client()?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..32 {
        let (client, next) = (client.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return anyhow::Ok(());
                }
                let object = service(&format!("other-{n}"), "ClusterIP", 80);
                client
                    .create(&resources::SERVICES, Some("default"), &object)
                    .await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(String::new())
}
