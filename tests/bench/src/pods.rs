//! How long a pod takes to start, and what it costs beside its own memory.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k3s_e2e::{SHELL, cluster, condition};
use k3s_harness::until;

use crate::row;
use crate::stats::{ms, percentile, pss_kib};

const PODS: usize = 30;

pub(crate) fn run() -> Result<()> {
    let cluster = cluster()?;
    let mut started = Vec::new();
    for n in 0..PODS {
        let name = format!("p{n}");
        let manifest = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 1, containers: [{{name: c, image: '{SHELL}', command: [sleep, '1000000']}}]}}\n"
        );
        cluster.apply(&manifest)?;
        until("the pod is Ready", Duration::from_secs(60), || {
            let pod = cluster.get(&["pod", &name])?;
            ensure!(condition(&pod, "Ready"), "{}", pod["status"]);
            started.push(between(&cluster, &name)?);
            Ok(())
        })?;
    }
    row("pod created → container running, image present, p50", ms(percentile(&mut started, 0.5)));
    row("the same, p99", ms(percentile(&mut started, 0.99)));
    let shims = pss_kib(&cluster, "^k3s-shim")?;
    let total: u64 = shims.iter().sum();
    row(
        "memory per pod beyond its own (PSS of its shim, mean)",
        format!("{} KiB", total / u64::try_from(shims.len().max(1))?),
    );
    let start = Instant::now();
    cluster.kubectl(&["delete", "pods", "--all", "--timeout=120s"])?.ok()?;
    row(&format!("{PODS} pods deleted"), ms(start.elapsed()));
    Ok(())
}

/// From the API server's event time stamps, in the kubelet's log of the container: creation of the
/// pod to the start of its process, by the machine's own clock.
fn between(cluster: &k3s_harness::Cluster, name: &str) -> Result<Duration> {
    let line =
        format!("stat -c %.9W /var/log/pods/default_{name}_*/ ; stat -c %.9Y /var/log/pods/default_{name}_*/c/0.log");
    let text = cluster.corner().sh(&line)?.ok()?;
    let mut times = text.split_whitespace().filter_map(|t| t.parse::<f64>().ok());
    let (first, second) = (times.next().unwrap_or_default(), times.next().unwrap_or_default());
    Ok(Duration::from_secs_f64((second - first).max(0.0)))
}
