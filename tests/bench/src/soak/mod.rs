//! A cluster that is used at random for a while, with its server killed in between: what stays behind
//! afterwards is a leak, and fails the command.
//!
//! First everything is done once, so that what stays by design is there, and the traces are taken. Then comes one
//! half with kills; and one without, over which a single process must not grow.

mod churn;
mod traces;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k3s_base::Random;
use k3s_e2e::{SHELL, WEB_1};
use k3s_harness::{Cluster, ClusterOptions, busybox, http_server};

use crate::row;
use churn::Churn;
use traces::{Process, Traces};

const USAGE: &str = "usage: soak [--minutes N] [--seed N]";
/// Enough for every kind of object a few times.
const WARM_UP: Duration = Duration::from_secs(30);
/// For removals that end after the objects are deleted.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
/// What a young server may still grow by: caches, and the events of the last moments. It does not depend on the length of the run, so a long one finds a slow leak.
const GROWTH_KIB: u64 = 96 * 1024;
/// Connections of clients that are about to end.
const MORE_DESCRIPTORS: usize = 16;

struct Options {
    minutes: u64,
    seed: u64,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let mut options = Self {
            minutes: 5,
            seed: Random::from_os().below(1 << 32),
        };
        for pair in words.chunks(2) {
            let [name, value] = pair else { bail!(USAGE) };
            let number = value.parse().context(USAGE)?;
            match name.as_str() {
                "--minutes" => options.minutes = number,
                "--seed" => options.seed = number,
                _ => bail!(USAGE),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(words: &[String]) -> Result<()> {
    let Options { minutes, seed } = Options::parse(words)?;
    println!("soak: {minutes} minutes, seed {seed}");
    let mut cluster = Cluster::start_with(ClusterOptions {
        images: vec![busybox(SHELL)?, http_server(WEB_1, "one")?],
        ..ClusterOptions::default()
    })?;
    let half = Duration::from_secs(minutes * 60) / 2;
    let mut churn = Churn::new(Random::seeded(seed));
    churn.run(&mut cluster, WARM_UP.min(half), 0)?;
    let before = Traces::take(&cluster)?;

    churn.run(&mut cluster, half, KILL_ONE_IN)?;
    let after_kills = settle(&cluster, &before);
    let (first, start) = (Process::of_server(&cluster)?, Instant::now());
    churn.run(&mut cluster, half, 0)?;
    let after = settle(&cluster, &before);
    let last = Process::of_server(&cluster)?;

    churn.report();
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let growth = last.pss_kib.saturating_sub(first.pss_kib);
    row(
        "PSS of the server after the first half",
        format!("{} KiB", first.pss_kib),
    );
    row(
        "PSS after the second, same process",
        format!(
            "{} KiB (grown by {growth} KiB in {minutes:.1} minutes)",
            last.pss_kib
        ),
    );
    row(
        "descriptors after each half",
        format!("{}, {}", first.descriptors, last.descriptors),
    );
    after_kills.context("after the half with kills")?;
    after.context("after the half without kills")?;
    ensure!(first.id == last.id, "the server ended by itself");
    ensure!(
        last.descriptors <= first.descriptors + MORE_DESCRIPTORS,
        "the server keeps more descriptors than before"
    );
    ensure!(
        growth <= GROWTH_KIB,
        "the server's memory grew by {growth} KiB"
    );
    println!("soak: nothing is left behind");
    Ok(())
}

/// One action in so many is a kill.
const KILL_ONE_IN: u64 = 25;

/// Waits until the traces are as before.
fn settle(cluster: &Cluster, before: &Traces) -> Result<()> {
    cluster.wait_for(
        "mounts, links, rules and the like are as before",
        QUIET_WITHIN,
        || Traces::take(cluster)?.same_as(before),
    )
}
