//! The store alone on each datastore: durable creates per second, how soon a watcher sees a write, here and
//! at another server, and what of that is the component's.
//!
//! Database servers run on the same two cores with their default durability (a flush per commit). Beside
//! the component runs the same logic compiled natively ([`native`]), on a database of its own, in turns
//! within one run: figures are medians of the rounds, and a ratio is the median of the rounds' ratios.
//! `K3S_BENCH_SHORT=1` makes rounds so short that they only show that everything works.

mod native;
mod native_server;
mod native_sqlite;

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
use native::Native;
use native_server::{MariaDb, Postgres};
use native_sqlite::Sqlite;

/// Rounds of component and native call in turns.
const ROUNDS: usize = 7;

/// Concurrent writers.
const WRITERS: usize = 64;

/// How much is done in a round.
#[derive(Clone, Copy)]
struct Size {
    /// How long each side is written to.
    run: Duration,
    /// Writes whose way to a watcher is timed.
    timed: usize,
    /// How long nobody writes before a write whose way to another server is timed.
    quiet: Duration,
}

impl Size {
    fn asked() -> Self {
        if std::env::var_os("K3S_BENCH_SHORT").is_some() {
            return Self {
                run: Duration::from_millis(200),
                timed: 10,
                quiet: Duration::from_secs(3),
            };
        }
        Self {
            run: Duration::from_secs(2),
            timed: 100,
            quiet: Duration::from_secs(5),
        }
    }
}

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(all(Size::asked()))
}

async fn all(size: Size) -> Result<()> {
    let memory = Side::open(Arc::new(MemoryBackend::new())).await?;
    row(
        &format!("memory (no datastore): creates of 1 KiB per second, {WRITERS} writers"),
        memory.creates(size).await?,
    );
    let dir = tempfile::tempdir_in("/var/tmp")?;
    let (host, metrics) = plugin_host()?;
    let options = SqliteOptions::new(dir.path().join("component/state.db"));
    let component = Arc::new(open_sqlite(
        &host,
        bundled::find("datastore", "sqlite")
            .context("not bundled")?
            .source(),
        &options,
    )?);
    compare("SQLite", component, native_sqlite(dir.path())?, size).await?;
    share("SQLite", &metrics);
    for (name, kind) in [
        ("PostgreSQL", DatabaseKind::Postgres),
        ("MariaDB", DatabaseKind::MariaDb),
    ] {
        let database = Database::start(kind)?;
        let (host, metrics) = plugin_host()?;
        let endpoint = database.endpoint("component");
        compare(
            name,
            on_server(&host, &endpoint).await?,
            native_server(&database, kind).await?,
            size,
        )
        .await?;
        share(name, &metrics);
        let (host, metrics) = plugin_host()?;
        two_servers(name, &host, &metrics, &database.endpoint("shared"), size).await?;
    }
    Ok(())
}

fn plugin_host() -> Result<(Host, Metrics)> {
    let metrics = Metrics::new();
    let options = HostOptions {
        metrics: PluginMetrics::registered(&metrics),
        ..HostOptions::default()
    };
    Ok((Host::new(options)?, metrics))
}

fn native_sqlite(dir: &Path) -> Result<Arc<dyn Backend>> {
    let connection = Sqlite::create(&dir.join("native.db"))?;
    Ok(Arc::new(Native::new(
        &k3s_datastore_sqlite::dialect::SQLITE,
        connection,
        false,
    )))
}

async fn native_server(database: &Database, kind: DatabaseKind) -> Result<Arc<dyn Backend>> {
    let port = database.port();
    Ok(match kind {
        DatabaseKind::Postgres => {
            database.ask("CREATE DATABASE native OWNER k3s")?;
            let connection = Postgres::connect(port, "native").await?;
            Arc::new(Native::new(
                &k3s_datastore_postgres::dialect::POSTGRES,
                connection,
                true,
            ))
        }
        DatabaseKind::MariaDb => {
            database.ask("CREATE DATABASE native")?;
            let connection = MariaDb::connect(port, "native").await?;
            Arc::new(Native::new(
                &k3s_datastore_mysql::dialect::MYSQL,
                connection,
                true,
            ))
        }
    })
}

async fn on_server(host: &Host, endpoint: &str) -> Result<Arc<dyn Backend>> {
    let Endpoint::Server(server) = Endpoint::parse("endpoint", endpoint, &TlsFiles::default())?
    else {
        return Err(anyhow!("not a server"));
    };
    let bundled = match server.kind {
        Kind::Postgres => bundled::find("datastore", "postgres").context("not bundled")?,
        Kind::Mysql => bundled::find("datastore", "mysql").context("not bundled")?,
    };
    Ok(Arc::new(
        open_server(host, bundled.source(), &ServerOptions::new(*server)).await?,
    ))
}

/// A store on one of the backends compared.
struct Side {
    store: Store,
    tasks: Tasks,
    /// Keys are never used twice.
    next: std::sync::atomic::AtomicU64,
}

impl Side {
    async fn open(backend: Arc<dyn Backend>) -> Result<Self> {
        let tasks = Tasks::root("bench");
        let store = Store::open(backend, StoreOptions::default(), Clock::system(), &tasks).await?;
        Ok(Self {
            store,
            tasks,
            next: std::sync::atomic::AtomicU64::new(0),
        })
    }

    fn round(&self) -> u64 {
        self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    /// Creates per second.
    async fn creates(&self, size: Size) -> Result<u64> {
        let (start, round) = (Instant::now(), self.round());
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = self.store.clone();
            writers.spawn(async move {
                let mut done = 0_u64;
                while start.elapsed() < size.run {
                    let key = format!("/registry/bench/{round}/{writer}/{done}");
                    store
                        .write(Write::put(key, Precondition::Absent, vec![b'x'; 1024]))
                        .await?;
                    done += 1;
                }
                Ok::<_, k3s_store::WriteError>(done)
            });
        }
        let mut sum = 0;
        while let Some(done) = writers.join_next().await {
            sum += done??;
        }
        Ok(sum * 1000
            / u64::try_from(start.elapsed().as_millis())
                .unwrap_or(u64::MAX)
                .max(1))
    }

    /// One write after the other, from the call to the acknowledgement and to the event at `watched`.
    async fn latencies(
        &self,
        watched: &Store,
        size: Size,
        pause: Duration,
    ) -> Result<(Vec<Duration>, Vec<Duration>)> {
        let round = self.round();
        let prefix = format!("/registry/timed/{round}/");
        let mut watcher = watched.watch(&prefix, watched.revision())?;
        let (mut commit, mut watch) = (Vec::new(), Vec::new());
        for n in 0..size.timed {
            tokio::time::sleep(pause).await;
            let start = Instant::now();
            let write = Write::put(
                format!("{prefix}{n}"),
                Precondition::Absent,
                vec![b'x'; 1024],
            );
            let (written, seen) = tokio::join!(
                async { self.store.write(write).await.map(|_| start.elapsed()) },
                async { watcher.next().await.map(|_| start.elapsed()) }
            );
            commit.push(written?);
            watch.push(seen.context("an event")?);
        }
        Ok((commit, watch))
    }

    async fn stop(self) {
        self.tasks.stop(Duration::from_secs(10)).await;
    }
}

/// What a side did in all rounds.
#[derive(Default)]
struct Done {
    creates: Vec<f64>,
    commit: Vec<Duration>,
    watch: Vec<Duration>,
    /// Medians of each round, in seconds.
    commits: Vec<f64>,
}

impl Done {
    #[allow(clippy::cast_precision_loss, reason = "small counts")]
    async fn round(&mut self, side: &Side, size: Size) -> Result<()> {
        self.creates.push(side.creates(size).await? as f64);
        let (mut commit, watch) = side.latencies(&side.store, size, Duration::ZERO).await?;
        self.commits
            .push(percentile(&mut commit, 0.5).as_secs_f64());
        self.commit.extend(commit);
        self.watch.extend(watch);
        Ok(())
    }
}

async fn compare(
    name: &str,
    component: Arc<dyn Backend>,
    native: Arc<dyn Backend>,
    size: Size,
) -> Result<()> {
    let sides = (Side::open(component).await?, Side::open(native).await?);
    let mut done = (Done::default(), Done::default());
    // What is done once (statements, files that grow) is done before.
    sides.0.creates(size).await?;
    sides.1.creates(size).await?;
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            done.0.round(&sides.0, size).await?;
            done.1.round(&sides.1, size).await?;
        } else {
            done.1.round(&sides.1, size).await?;
            done.0.round(&sides.0, size).await?;
        }
    }
    let rate = |done: &Done| format!("{:.0}", median(done.creates.clone()));
    let ratio = ratio(&done.0.creates, &done.1.creates);
    let said = format!("{} / {} / {ratio:.3}", rate(&done.0), rate(&done.1));
    row(
        &format!(
            "{name}: creates of 1 KiB per second, {WRITERS} writers: component / native / ratio"
        ),
        said,
    );
    let ratio = self::ratio(&done.0.commits, &done.1.commits);
    let commits = |done: &mut Done| both(&mut done.commit);
    let said = format!(
        "{} / {} / {ratio:.3}",
        commits(&mut done.0),
        commits(&mut done.1)
    );
    row(
        &format!("{name}: one write to its acknowledgement, p50 (p99): component / native / ratio"),
        said,
    );
    row(
        &format!("{name}: one write to its event at a watcher, p50 (p99): component"),
        both(&mut done.0.watch),
    );
    sides.0.stop().await;
    sides.1.stop().await;
    Ok(())
}

/// Two servers on one database: how soon one sees what the other wrote, and what looking costs.
async fn two_servers(
    name: &str,
    host: &Host,
    metrics: &Metrics,
    endpoint: &str,
    size: Size,
) -> Result<()> {
    let ours = Side::open(on_server(host, endpoint).await?).await?;
    let theirs = Side::open(on_server(host, endpoint).await?).await?;
    let few = Size {
        timed: ROUNDS,
        ..size
    };
    let (_, mut busy) = ours
        .latencies(&theirs.store, size, Duration::from_millis(7))
        .await?;
    row(
        &format!("{name}: one of many writes to its event at another server, p50 (p99)"),
        both(&mut busy),
    );
    let (_, mut quiet) = ours.latencies(&theirs.store, few, size.quiet).await?;
    row(
        &format!(
            "{name}: a write after {:?} without one to its event at another server, p50 (p99)",
            size.quiet
        ),
        both(&mut quiet),
    );
    tokio::time::sleep(size.quiet).await;
    let (start, before) = (Instant::now(), looks(metrics));
    tokio::time::sleep(size.quiet * 2).await;
    let rate = (looks(metrics) - before) / start.elapsed().as_secs_f64() / 2.0;
    row(
        &format!("{name}: queries per second of a server while nobody writes"),
        format!("{rate:.1}"),
    );
    ours.stop().await;
    theirs.stop().await;
    Ok(())
}

/// Calls of both servers' components so far.
fn looks(metrics: &Metrics) -> f64 {
    let text = metrics.render();
    let calls = text
        .lines()
        .filter(|l| l.starts_with("k3s_plugin_calls_total"));
    calls
        .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Of the time in `append`, that in the guest.
fn share(name: &str, metrics: &Metrics) {
    let metrics = metrics.render();
    let of = |name: &str| {
        let line = metrics
            .lines()
            .find(|l| l.starts_with(name) && l.contains("function=\"append\""))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    if let (Some(guest), Some(host)) = (
        of("k3s_plugin_guest_seconds"),
        of("k3s_plugin_host_seconds"),
    ) {
        let share = guest / (guest + host) * 100.0;
        row(
            &format!("{name}: share of the component's own code in a commit"),
            format!("{share:.1} %"),
        );
    }
}

fn both(values: &mut [Duration]) -> String {
    format!(
        "{} ({})",
        ms(percentile(values, 0.5)),
        ms(percentile(values, 0.99))
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The middle of the rounds' ratios, which what slows a whole round does not move.
fn ratio(component: &[f64], native: &[f64]) -> f64 {
    median(
        component
            .iter()
            .zip(native)
            .map(|(component, native)| component / native)
            .collect(),
    )
}
