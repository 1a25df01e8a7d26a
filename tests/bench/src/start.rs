//! From exec to `/readyz` and to a Ready node; the size of the executable.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k3s_harness::{Cluster, until};

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
    row("exec → `/readyz`, empty disk (median)", ms(percentile(&mut ready, 0.5)));
    row("exec → node Ready, empty disk (median)", ms(percentile(&mut node, 0.5)));
    row("exec → `/readyz`, second start (median)", ms(percentile(&mut ready_again, 0.5)));
    row("exec → node Ready, second start (median)", ms(percentile(&mut node_again, 0.5)));
    Ok(())
}

fn once(cluster: &mut Cluster) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    cluster.start_server()?;
    // /readyz needs no credentials, so that no client's own start is measured.
    let port = "printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' | busybox timeout 2 openssl s_client -quiet -connect 127.0.0.1:6443 2>/dev/null | tail -1";
    until("/readyz", Duration::from_secs(30), || {
        let text = cluster.corner().sh(port)?.stdout;
        ensure!(text.trim().ends_with("ok"), "{text}");
        Ok(())
    })?;
    let ready = start.elapsed();
    until("node Ready", Duration::from_secs(30), || {
        let nodes = cluster.kubectl(&["get", "nodes", "--no-headers"])?.stdout;
        ensure!(nodes.split_whitespace().nth(1) == Some("Ready"), "{nodes}");
        Ok(())
    })?;
    Ok((ready, start.elapsed()))
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
