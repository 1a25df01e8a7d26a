//! What a cluster costs that nobody uses: memory, CPU, and what it writes.

use std::time::Duration;

use anyhow::{Result, ensure};
use k3s_harness::{Cluster, until};

use crate::row;
use crate::stats::{cpu_ticks, pss_kib};

const SERVER: &str = "k3s server";
const SETTLE: Duration = Duration::from_secs(20);
const WATCHED: Duration = Duration::from_secs(300);

pub(crate) fn run() -> Result<()> {
    let cluster = Cluster::start()?;
    std::thread::sleep(SETTLE);
    let (ticks, revision) = (cpu_ticks(&cluster, SERVER)?, revision(&cluster)?);
    let syncs = syncs(&cluster)?;
    std::thread::sleep(WATCHED);
    let pss: u64 = pss_kib(&cluster, SERVER)?.iter().sum();
    let used = cpu_ticks(&cluster, SERVER)? - ticks;
    row(
        "idle PSS of `k3s server` with its node",
        format!("{} MiB", pss / 1024),
    );
    // A tick is 10 ms: ticks per second are percent of a core.
    let hundredths = used * 100 / WATCHED.as_secs();
    row(
        "idle CPU over 5 minutes",
        format!("{}.{:02} % of a core", hundredths / 100, hundredths % 100),
    );
    row(
        "idle writes over 5 minutes (revisions)",
        revision_now(&cluster, revision)?,
    );
    row(
        "idle syncs over 5 minutes (datastore transactions)",
        self::syncs(&cluster)?.saturating_sub(syncs),
    );
    Ok(())
}

fn revision(cluster: &Cluster) -> Result<u64> {
    until("a list has a revision", Duration::from_secs(10), || {
        let text = cluster
            .kubectl(&["get", "--raw", "/api/v1/namespaces"])?
            .ok()?;
        let list: serde_json::Value = serde_json::from_str(&text)?;
        Ok(list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default()
            .parse()?)
    })
}

fn revision_now(cluster: &Cluster, before: u64) -> Result<u64> {
    let now = revision(cluster)?;
    ensure!(now >= before, "revisions went back");
    Ok(now - before)
}

/// Commits of the store, from its own metric.
fn syncs(cluster: &Cluster) -> Result<u64> {
    let text = cluster.kubectl(&["get", "--raw", "/metrics"])?.ok()?;
    let line = text
        .lines()
        .find(|l| l.starts_with("k3s_store_commits_total"));
    Ok(line
        .and_then(|l| l.split_whitespace().nth(1))
        .and_then(|n| n.parse().ok())
        .unwrap_or_default())
}
