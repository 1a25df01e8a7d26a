//! From exec to `/readyz` and to a Ready node; the size of the executable.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use http::Request;
use k3s_client::{ListParams, resources};
use k3s_e2e::condition;
use k3s_harness::Cluster;

use crate::load::client;
use crate::row;
use crate::stats::{ms, percentile};

const ROUNDS: usize = 5;

pub(crate) fn run() -> Result<()> {
    let size = std::fs::metadata(k3s_harness::k3s_binary()?)?.len();
    row("size of the executable", format!("{:.1} MiB", mib(size)));
    let (mut ready, mut node) = (Vec::new(), Vec::new());
    let (mut ready_again, mut node_again) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut cluster = Cluster::start()?;
        cluster.stop_server(Duration::from_secs(10))?;
        let wipe = "/var/lib/rancher/k3s/server /var/lib/rancher/k3s/agent /etc/rancher/k3s";
        cluster.corner().sh(&format!("rm -rf {wipe}"))?.ok()?;
        let (a, b) = once(&mut cluster)?;
        ready.push(a);
        node.push(b);
        cluster.stop_server(Duration::from_secs(10))?;
        let (a, b) = once(&mut cluster)?;
        ready_again.push(a);
        node_again.push(b);
    }
    row(
        "exec → `/readyz`, empty disk (median)",
        ms(percentile(&mut ready, 0.5)),
    );
    row(
        "exec → node Ready, empty disk (median)",
        ms(percentile(&mut node, 0.5)),
    );
    row(
        "exec → `/readyz`, second start (median)",
        ms(percentile(&mut ready_again, 0.5)),
    );
    row(
        "exec → node Ready, second start (median)",
        ms(percentile(&mut node_again, 0.5)),
    );
    Ok(())
}

/// Starts the server; a process in its corner notes when `/readyz` is ok and when the node is Ready.
fn once(cluster: &mut Cluster) -> Result<(Duration, Duration)> {
    let start = SystemTime::now();
    cluster.start_server()?;
    let output = cluster
        .corner()
        .command(std::env::current_exe()?)
        .args(["inside", "ready", "0"])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let mut moments = text.split_whitespace().map(|word| {
        let at = UNIX_EPOCH + Duration::from_nanos(word.parse()?);
        anyhow::Ok(at.duration_since(start).unwrap_or_default())
    });
    let mut next = || moments.next().context("two moments")?;
    Ok((next()?, next()?))
}

/// Inside: prints both moments in nanoseconds since 1970.
pub(crate) async fn ready() -> Result<String> {
    let healthy = async || {
        let answer = client()?
            .raw(Request::get("/readyz").body(Vec::new())?)
            .await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        anyhow::Ok(())
    };
    let readyz = moment(healthy).await?;
    let client = client()?;
    let node_ready = async || {
        let nodes = client
            .list(&resources::NODES, None, &ListParams::default())
            .await?;
        let node = nodes.items.first().context("no node")?;
        ensure!(condition(node.value(), "Ready"), "not Ready");
        anyhow::Ok(())
    };
    Ok(format!("{readyz} {}", moment(node_ready).await?))
}

/// When `check` first succeeds; it is asked every 2 ms.
async fn moment(check: impl AsyncFn() -> Result<()>) -> Result<u128> {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        match check().await {
            Ok(()) => return Ok(UNIX_EPOCH.elapsed()?.as_nanos()),
            Err(error) if Instant::now() > patience => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
