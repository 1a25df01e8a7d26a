//! How long a pod takes to start, and what it costs beside its own memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use k3s_client::{Client, WatchEvent, WatchParams, resources};
use k3s_e2e::{SHELL, cluster, condition};
use serde_json::json;

use crate::load::client;
use crate::row;
use crate::stats::{ms, percentile, pss_kib};

const PODS: usize = 30;

pub(crate) fn run() -> Result<()> {
    let cluster = cluster()?;
    let pods = PODS.to_string();
    let output = cluster
        .corner()
        .command(std::env::current_exe()?)
        .args(["inside", "pods", &pods])
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let mut started = text
        .split_whitespace()
        .map(|word| Ok(Duration::from_micros(word.parse()?)))
        .collect::<Result<Vec<Duration>>>()?;
    row(
        "pod created → Ready seen by a watcher, image present, p50",
        ms(percentile(&mut started, 0.5)),
    );
    row("the same, p99", ms(percentile(&mut started, 0.99)));
    let shims = pss_kib(&cluster, "^k3s-shim")?;
    ensure!(shims.len() >= PODS, "only {} shims", shims.len());
    let total: u64 = shims.iter().sum();
    row(
        "memory per pod beyond its own (PSS of its shim, mean)",
        format!("{} KiB", total / u64::try_from(shims.len())?),
    );
    let start = Instant::now();
    cluster
        .kubectl(&["delete", "pods", "--all", "--timeout=120s"])?
        .ok()?;
    row(&format!("{PODS} pods deleted"), ms(start.elapsed()));
    Ok(())
}

/// Inside: starts pods one after another, prints the microseconds of each.
pub(crate) async fn start(pods: usize) -> Result<String> {
    let client = client()?;
    let mut times = Vec::new();
    for n in 0..pods {
        times.push(
            one(&client, &format!("p{n}"))
                .await?
                .as_micros()
                .to_string(),
        );
    }
    Ok(times.join(" "))
}

async fn one(client: &Client, name: &str) -> Result<Duration> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "c", "image": SHELL, "command": ["sleep", "1000000"]}]}});
    let start = Instant::now();
    let made = client
        .create(&resources::PODS, Some("default"), &pod)
        .await?;
    let params = WatchParams {
        field_selector: Some(format!("metadata.name={name}")),
        ..WatchParams::default()
    };
    let mut events = client
        .watch(
            &resources::PODS,
            Some("default"),
            &params,
            made.resource_version(),
        )
        .await?;
    let ready = async {
        loop {
            if let WatchEvent::Modified(pod) = events.next().await.context("the watch ended")??
                && condition(pod.value(), "Ready")
            {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await??;
    Ok(start.elapsed())
}
