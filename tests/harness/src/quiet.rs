//! Whether a server rests. A part that repeats itself without end is the worst that a test can leave behind
//! unseen, so each cluster is looked at once more when its test is done with it.
//!
//! Counted are requests by client, as the server counts them itself, since they do not depend on how busy
//! the machine is, and processor time, for what spins without asking anybody. What still settles ends
//! within a few looks; a hot loop does not. Memory is held against what the server had when it had just started: what
//! a test needed of it is given back within a minute.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;

/// How long one look takes.
const LOOK: Duration = Duration::from_millis(1200);
/// A server that has not rested for one look within this time never will. Events stay in memory for 40 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a server may hold at the end beside half as much again as at its start: objects and pods that the test has
/// left, and what is parsed of them.
const MORE_MEMORY_KIB: u64 = 48 * 1024;
/// Requests of one client that are no loop, for each second of a look.
const REQUESTS_PER_SECOND: f64 = 6.0;
/// Processor time of a server that rests, for each second of a look. Reading its own metrics is in it.
const CORES: f64 = 0.5;
/// The unit of `/proc/PID/stat` (`USER_HZ`, the same on all of Linux).
const TICKS_PER_SECOND: f64 = 100.0;
const SERIES: &str = "k3s_apiserver_client_requests_total";

/// The counters of one moment.
struct Sample {
    at: Instant,
    /// By labels of the series; nothing when the API does not answer.
    requests: BTreeMap<String, u64>,
    cpu_seconds: f64,
    anonymous_kib: u64,
}

/// Waits until the server with this process id rests. `fresh_kib` is its memory when it had just started, by
/// [`anonymous_kib`].
///
/// # Errors
/// When it does not; the error names the clients and what they ask for, or the memory.
pub(crate) fn check(cluster: &Cluster, pid: &str, fresh_kib: u64) -> Result<()> {
    let most_kib = fresh_kib + fresh_kib / 2 + MORE_MEMORY_KIB;
    let end = Instant::now() + PATIENCE;
    let mut before = sample(cluster, pid)?;
    loop {
        std::thread::sleep(LOOK);
        let now = sample(cluster, pid)?;
        let Some(busy) = compare(&before, &now, most_kib) else {
            return Ok(());
        };
        if Instant::now() >= end {
            bail!("the server does not rest after the test: {busy}");
        }
        before = now;
    }
}

fn sample(cluster: &Cluster, pid: &str) -> Result<Sample> {
    let at = Instant::now();
    let cpu_seconds = cpu_seconds(pid)?;
    // A test may leave the API without its database: then it answers no client.
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics", "--request-timeout=10s"])?;
    Ok(Sample {
        at,
        requests: requests(&metrics.stdout),
        cpu_seconds,
        anonymous_kib: anonymous_kib(pid)?,
    })
}

/// Processor time that the process has used, user and system.
fn cpu_seconds(pid: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may contain blanks.
    let (_, fields) = stat.rsplit_once(')').context("no process name")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks = ticks.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// Memory of the process that is in no file.
pub(crate) fn anonymous_kib(pid: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no RssAnon")?.parse()?)
}

/// The series of clients in a text of metrics.
fn requests(metrics: &str) -> BTreeMap<String, u64> {
    let series = metrics.lines().filter_map(|line| {
        let labels = line.strip_prefix(SERIES)?.strip_prefix('{')?;
        let (labels, count) = labels.rsplit_once("} ")?;
        Some((labels.to_owned(), count.trim().parse().ok()?))
    });
    series.collect()
}

/// What happens between two samples; nothing when the server rests.
fn compare(before: &Sample, now: &Sample, most_kib: u64) -> Option<String> {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    let mut clients: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
    for (labels, count) in &now.requests {
        let more = count.saturating_sub(before.requests.get(labels).copied().unwrap_or(0));
        if more > 0 {
            let (client, what) = labels.split_once(',').unwrap_or((labels, ""));
            clients.entry(client).or_default().push((more, what));
        }
    }
    let mut busy = String::new();
    for (client, mut asked) in clients {
        let total: u64 = asked.iter().map(|(more, _)| more).sum();
        if as_f64(total) <= REQUESTS_PER_SECOND * (seconds + 1.0) {
            continue;
        }
        asked.sort_unstable_by(|a, b| b.cmp(a));
        let _ = write!(busy, "\n{client}: {total} requests in {seconds:.1} s:");
        for (more, what) in asked.iter().take(3) {
            let _ = write!(busy, " {more} x {what};");
        }
    }
    let cpu = now.cpu_seconds - before.cpu_seconds;
    if cpu > CORES * seconds {
        let _ = write!(busy, "\n{cpu:.1} s of processor time in {seconds:.1} s");
    }
    if now.anonymous_kib > most_kib {
        let (has, may) = (now.anonymous_kib, most_kib);
        let _ = write!(busy, "\nit holds {has} KiB of memory, more than {may} KiB");
    }
    (!busy.is_empty()).then_some(busy)
}

#[allow(clippy::cast_precision_loss, reason = "small counts")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST_KIB: u64 = 40 * 1024;

    fn at(second: u64, metrics: &str, cpu_seconds: f64, start: Instant) -> Sample {
        Sample {
            at: start + Duration::from_secs(second),
            requests: requests(metrics),
            cpu_seconds,
            anonymous_kib: 30 * 1024,
        }
    }

    fn series(client: &str, verb: &str, resource: &str, count: u64) -> String {
        format!(
            "{SERIES}{{client=\"{client}\",verb=\"{verb}\",group=\"\",resource=\"{resource}\",subresource=\"\"}} {count}\n"
        )
    }

    #[test]
    fn a_client_that_repeats_itself_is_named_with_what_it_asks_for() {
        let start = Instant::now();
        let before = series("system:node:a", "DELETE", "pods", 100);
        let after = series("system:node:a", "DELETE", "pods", 730)
            + &series("system:node:a", "GET", "nodes", 1)
            + &series("system:masters", "GET", "pods", 2);
        let (before, after) = (at(0, &before, 1.0, start), at(1, &after, 1.1, start));
        let busy = compare(&before, &after, MOST_KIB).unwrap();
        assert!(busy.contains("system:node:a\": 631 requests"), "{busy}");
        assert!(
            busy.contains("630 x verb=\"DELETE\",group=\"\",resource=\"pods\""),
            "{busy}"
        );
        assert!(!busy.contains("system:masters"), "{busy}");
    }

    #[test]
    fn a_few_requests_are_rest_and_a_spinning_thread_is_none() {
        let start = Instant::now();
        let quiet = series("system:kube-scheduler", "PATCH", "pods", 9);
        let rest = at(0, "", 1.0, start);
        assert_eq!(compare(&rest, &at(1, &quiet, 1.1, start), MOST_KIB), None);
        let busy = compare(&rest, &at(1, "", 1.9, start), MOST_KIB).unwrap();
        assert!(busy.contains("0.9 s of processor time"), "{busy}");
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        assert!(cpu_seconds("self").is_ok(), "{stat}");
    }

    #[test]
    fn a_server_that_keeps_what_a_test_needed_does_not_rest() {
        let start = Instant::now();
        let before = at(0, "", 1.0, start);
        let mut now = at(1, "", 1.0, start);
        assert_eq!(compare(&before, &now, MOST_KIB), None);
        now.anonymous_kib = MOST_KIB + 1;
        let busy = compare(&before, &now, MOST_KIB).unwrap();
        assert!(
            busy.contains("40961 KiB of memory, more than 40960"),
            "{busy}"
        );
        let own = anonymous_kib("self").unwrap();
        let kept = vec![1_u8; 64 << 20];
        let more = anonymous_kib("self").unwrap();
        assert!(more > own + 60 * 1024, "{own} {more} {}", kept.len());
    }
}
