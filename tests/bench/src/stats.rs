//! Medians, percentiles, and what the kernel says about a process.

use std::time::Duration;

use anyhow::{Context, Result};
use k3s_harness::Cluster;

/// The value at a share of the sorted values.
pub(crate) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small counts"
    )]
    let at = ((values.len().saturating_sub(1)) as f64 * share).round() as usize;
    values.get(at).copied().unwrap_or_default()
}

/// The middle one.
pub(crate) fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds with one digit.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Proportional set size in KiB of every process whose command line contains `pattern`.
pub(crate) fn pss_kib(cluster: &Cluster, pattern: &str) -> Result<Vec<u64>> {
    let line = format!(
        "for p in $(pgrep -f '{pattern}'); do [ -r /proc/$p/smaps_rollup ] && grep ^Pss: /proc/$p/smaps_rollup; done"
    );
    let text = cluster.corner().sh(&line)?.stdout;
    text.lines()
        .map(|l| {
            l.split_whitespace()
                .nth(1)
                .context("Pss line")?
                .parse::<u64>()
                .context("Pss value")
        })
        .collect()
}

/// Memory in no file, in KiB, of the oldest process whose command line contains `pattern`.
pub(crate) fn anonymous_kib(cluster: &Cluster, pattern: &str) -> Result<u64> {
    let line = format!("grep ^Anonymous: /proc/$(pgrep -of '{pattern}')/smaps_rollup");
    let text = cluster.corner().sh(&line)?.ok()?;
    let kib = text.split_whitespace().nth(1).context("Anonymous line")?;
    Ok(kib.parse()?)
}

/// CPU time a process has used, in clock ticks of 10 ms.
pub(crate) fn cpu_ticks(cluster: &Cluster, pattern: &str) -> Result<u64> {
    let text = cluster
        .corner()
        .sh(&format!("cat /proc/$(pgrep -of '{pattern}')/stat"))?
        .ok()?;
    let after_name = text.rsplit_once(')').context("stat line")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Ok(field(11) + field(12))
}
