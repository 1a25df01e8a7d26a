//! Throughput of the API: durable creates, reads, lists, watch fan-out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use http::Request;
use http_body_util::BodyExt;
use k3s_client::{Client, ListParams, WatchParams, resources};
use k3s_harness::{Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::etcd::{self, Etcd};
use crate::row;
use crate::stats::{median, pss_kib};

const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
pub(crate) const RUN: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;

/// Starts a server without a node and runs each load inside its corner.
pub(crate) fn run() -> Result<()> {
    let options = ClusterOptions {
        flags: vec!["--disable-agent".into()],
        without_node: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start_with(options)?;
    let inside = |words: &[&str]| -> Result<String> {
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
    };
    let etcd = Etcd::start(cluster.corner())?;
    for clients in ["1", "16", "256"] {
        // Interleaved, so that whatever else the machine does meets both.
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            ours.push(inside(&["creates", clients, &round.to_string()])?.parse::<u64>()?);
            theirs.push(inside(&["etcd-puts", clients])?.parse::<u64>()?);
        }
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        row(
            &format!("durable creates/s, {clients} clients (ConfigMaps of 1 KiB, TLS, HTTP/2)"),
            format!("{ours} (bare etcd puts in the same run: {theirs})"),
        );
    }
    drop(etcd);
    row(
        "GET/s, 32 clients on one connection",
        inside(&["gets", "32"])?,
    );
    inside(&["fill", "10000"])?;
    let before: u64 = pss_kib(&cluster, "k3s server")?.iter().sum();
    row("LIST of 10,000 pods", inside(&["list"])?);
    let after: u64 = pss_kib(&cluster, "k3s server")?.iter().sum();
    row(
        "extra memory after it",
        format!("{} KiB", after.saturating_sub(before)),
    );
    row(
        "watch fan-out, 1,000 watchers over TLS (events/s delivered)",
        inside(&["fanout", "1000"])?,
    );
    Ok(())
}

/// One load; prints its figure.
pub(crate) fn inside(words: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let number = |at: usize| words.get(at).map_or(Ok(0), |w| w.parse::<usize>());
    let count = number(1)?;
    let figure = runtime.block_on(async {
        match words.first().map(String::as_str) {
            Some("creates") => creates(count, number(2)?).await,
            Some("etcd-puts") => Ok(etcd::puts(count).await?.to_string()),
            Some("gets") => gets(count).await,
            Some("fill") => fill(count).await,
            Some("list") => list().await,
            Some("ready") => crate::start::ready().await,
            Some("pods") => crate::pods::start(count).await,
            Some("fanout") => fanout(count).await,
            Some("memory-pods") => crate::memory::pods(count).await,
            Some("memory-refused") => crate::memory::refused(count).await,
            Some("services") => crate::load_balancer::fill(count).await,
            Some("first-balancer") => {
                crate::load_balancer::first_packet("LoadBalancer", count).await
            }
            Some("first-cluster-ip") => {
                crate::load_balancer::first_packet("ClusterIP", count).await
            }
            Some("http") => {
                crate::ingress::http(count, words.get(2).cloned().unwrap_or_default()).await
            }
            Some("steady") => {
                crate::ingress::steady(count, words.get(2).cloned().unwrap_or_default()).await
            }
            other => bail!("unknown load {other:?}"),
        }
    })?;
    println!("{figure}");
    Ok(())
}

pub(crate) fn client() -> Result<Client> {
    Ok(Client::from_kubeconfig(std::path::Path::new(KUBECONFIG))?)
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "x".repeat(1024)}})
}

async fn creates(clients: usize, round: usize) -> Result<String> {
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + RUN;
    let mut tasks = Vec::new();
    // Several connections, so that one connection's framing is not what is measured.
    let connections: Vec<Client> = (0..clients.min(8))
        .map(|_| client())
        .collect::<Result<_>>()?;
    for n in 0..clients {
        let (client, done) = (
            connections
                .get(n % connections.len())
                .context("a connection")?
                .clone(),
            done.clone(),
        );
        tasks.push(tokio::spawn(async move {
            let mut i = 0_u64;
            while Instant::now() < end {
                let name = format!("bench-{clients}-{round}-{n}-{i}");
                client
                    .create(&resources::CONFIG_MAPS, Some("default"), &config_map(&name))
                    .await?;
                done.fetch_add(1, Ordering::Relaxed);
                i += 1;
            }
            Ok::<(), k3s_client::Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(format!("{}", done.load(Ordering::Relaxed) / RUN.as_secs()))
}

async fn gets(clients: usize) -> Result<String> {
    let client = client()?;
    let path = resources::NAMESPACES.path(None, Some("default"), None);
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + RUN;
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (client, done, path) = (client.clone(), done.clone(), path.clone());
        tasks.push(tokio::spawn(async move {
            while Instant::now() < end {
                let request = Request::get(&path).body(Vec::new())?;
                client
                    .raw(request)
                    .await?
                    .into_body()
                    .collect()
                    .await
                    .map_err(|e| anyhow::anyhow!(e))?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(format!("{}", done.load(Ordering::Relaxed) / RUN.as_secs()))
}

/// Unscheduled pods: nobody acts on them, so that the list alone is measured.
async fn fill(pods: usize) -> Result<String> {
    let client = client()?;
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (client, next) = (client.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if usize::try_from(n)? >= pods { return anyhow::Ok(()) }
                let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("fill-{n}"), "labels": {"n": (n % 100).to_string()}},
                    "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "registry.test/image:1", "env": [{"name": "A", "value": "x".repeat(200)}]}]}});
                client.create(&resources::PODS, Some("default"), &pod).await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(String::new())
}

async fn list() -> Result<String> {
    let client = client()?;
    let path = resources::PODS.path(None, None, None);
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..5 {
        let start = Instant::now();
        let answer = client.raw(Request::get(&path).body(Vec::new())?).await?;
        bytes = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| anyhow::anyhow!(e))?
            .to_bytes()
            .len();
        times.push(start.elapsed());
    }
    Ok(format!(
        "{} for {} MiB",
        crate::stats::ms(crate::stats::percentile(&mut times, 0.5)),
        bytes >> 20
    ))
}

async fn fanout(watchers: usize) -> Result<String> {
    let seen = Arc::new(AtomicU64::new(0));
    let connections: Vec<Client> = (0..8).map(|_| client()).collect::<Result<_>>()?;
    let version = connections
        .first()
        .context("a client")?
        .list(
            &resources::CONFIG_MAPS,
            Some("kube-public"),
            &ListParams::default(),
        )
        .await?
        .resource_version;
    for n in 0..watchers {
        let client = connections
            .get(n % connections.len())
            .context("a connection")?
            .clone();
        let params = WatchParams::default();
        let mut events = client
            .watch(
                &resources::CONFIG_MAPS,
                Some("kube-public"),
                &params,
                &version,
            )
            .await?;
        let seen = seen.clone();
        tokio::spawn(async move {
            while let Some(Ok(_)) = events.next().await {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let client = client()?;
    let (start, writes) = (Instant::now(), 100_u64);
    for n in 0..writes {
        client
            .create(
                &resources::CONFIG_MAPS,
                Some("kube-public"),
                &config_map(&format!("fan-{n}")),
            )
            .await?;
    }
    let expected = writes * u64::try_from(watchers)?;
    while seen.load(Ordering::Relaxed) < expected {
        if start.elapsed() > Duration::from_secs(60) {
            bail!(
                "only {} of {expected} events arrived",
                seen.load(Ordering::Relaxed)
            )
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "shown in thousands")]
    Ok(format!(
        "{:.0} k/s, none lost",
        expected as f64 / seconds / 1000.0
    ))
}
