//! The store alone on each datastore: durable creates per second, and how soon a watcher sees a write.
//!
//! Database servers run on the same two cores with their default durability (a flush per commit). How
//! much of a commit is the component's own is told beside: an equal native call would save at most
//! that.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use k3s_adapters::bundled;
use k3s_adapters::datastore::{ServerOptions, SqliteOptions, open_server, open_sqlite};
use k3s_base::Clock;
use k3s_config::datastore::{DatabaseKind as Kind, Endpoint, TlsFiles};
use k3s_harness::{Database, DatabaseKind};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use k3s_plugin_host::{Host, HostOptions, PluginMetrics};
use k3s_store::{Backend, MemoryBackend, Precondition, Store, StoreOptions, Write};

use crate::row;
use crate::stats::{ms, percentile};

/// How long each backend is written to.
const RUN: Duration = Duration::from_secs(5);

/// Concurrent writers.
const WRITERS: usize = 64;

/// Writes whose way to a watcher is timed.
const TIMED: usize = 300;

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(all())
}

async fn all() -> Result<()> {
    measure("memory (no datastore)", Arc::new(MemoryBackend::new()), &Metrics::new()).await?;
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let (host, metrics) = plugin_host()?;
    measure("SQLite", sqlite(&host, dir.path())?, &metrics).await?;
    for (name, kind) in [("PostgreSQL", DatabaseKind::Postgres), ("MariaDB", DatabaseKind::MariaDb)] {
        let database = Database::start(kind)?;
        let (host, metrics) = plugin_host()?;
        measure(name, on_server(&host, &database.endpoint("bench")).await?, &metrics).await?;
    }
    Ok(())
}

fn plugin_host() -> Result<(Host, Metrics)> {
    let metrics = Metrics::new();
    let options = HostOptions { metrics: PluginMetrics::registered(&metrics), ..HostOptions::default() };
    Ok((Host::new(options)?, metrics))
}

fn sqlite(host: &Host, dir: &Path) -> Result<Arc<dyn Backend>> {
    let options = SqliteOptions::new(dir.join("state.db"));
    Ok(Arc::new(open_sqlite(host, bundled::datastore_sqlite().source(), &options)?))
}

async fn on_server(host: &Host, endpoint: &str) -> Result<Arc<dyn Backend>> {
    let Endpoint::Server(server) = Endpoint::parse("endpoint", endpoint, &TlsFiles::default())? else {
        return Err(anyhow!("not a server"));
    };
    let bundled = match server.kind {
        Kind::Postgres => bundled::datastore_postgres(),
        Kind::Mysql => bundled::datastore_mysql(),
    };
    Ok(Arc::new(open_server(host, bundled.source(), &ServerOptions::new(server)).await?))
}

async fn measure(name: &str, backend: Arc<dyn Backend>, metrics: &Metrics) -> Result<()> {
    let tasks = Tasks::root("bench");
    let store = Store::open(backend, StoreOptions::default(), Clock::system(), &tasks).await?;
    row(&format!("{name}: creates of 1 KiB per second, {WRITERS} writers"), creates(&store).await?);
    let (mut commit, mut watch) = latencies(&store).await?;
    let both =
        |values: &mut Vec<Duration>| format!("{} / {}", ms(percentile(values, 0.5)), ms(percentile(values, 0.99)));
    row(&format!("{name}: one write to its acknowledgement, p50 / p99"), both(&mut commit));
    row(&format!("{name}: one write to its event at a watcher, p50 / p99"), both(&mut watch));
    if let Some(share) = guest_share(&metrics.render()) {
        row(&format!("{name}: share of the component's own code in a commit"), format!("{:.1} %", share * 100.0));
    }
    tasks.stop(Duration::from_secs(10)).await;
    Ok(())
}

async fn creates(store: &Store) -> Result<u64> {
    let end = Instant::now() + RUN;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut done = 0_u64;
            while Instant::now() < end {
                let key = format!("/registry/bench/{writer}/{done}");
                store.write(Write::put(key, Precondition::Absent, vec![b'x'; 1024])).await?;
                done += 1;
            }
            Ok::<_, k3s_store::WriteError>(done)
        });
    }
    let mut sum = 0;
    while let Some(done) = writers.join_next().await {
        sum += done??;
    }
    Ok(sum / RUN.as_secs())
}

/// From the call to the acknowledgement, and to the event.
async fn latencies(store: &Store) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let mut watcher = store.watch("/registry/timed/", store.revision())?;
    let (mut commit, mut watch) = (Vec::new(), Vec::new());
    for n in 0..TIMED {
        let start = Instant::now();
        let write = Write::put(format!("/registry/timed/{n}"), Precondition::Absent, vec![b'x'; 1024]);
        let (written, seen) = tokio::join!(async { store.write(write).await.map(|_| start.elapsed()) }, async {
            watcher.next().await.map(|_| start.elapsed())
        });
        commit.push(written?);
        watch.push(seen.context("an event")?);
    }
    Ok((commit, watch))
}

/// Of the time in `append`, that in the guest.
fn guest_share(metrics: &str) -> Option<f64> {
    let of = |name: &str| {
        let line = metrics.lines().find(|l| l.starts_with(name) && l.contains("function=\"append\""))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let (guest, host) = (of("k3s_plugin_guest_seconds")?, of("k3s_plugin_host_seconds")?);
    Some(guest / (guest + host))
}
