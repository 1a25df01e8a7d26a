//! Database servers that die, and connections that break in the middle of a commit, under load: every
//! answer that a client got must fit the log that is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{host, on_server};
use k3s_base::Clock;
use k3s_harness::{Database, DatabaseKind};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Host;
use k3s_store::contract::Recorder;
use k3s_store::{Store, StoreOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(120);

async fn store(host: &Host, endpoint: &str, tasks: &Tasks) -> Store {
    let options = StoreOptions {
        compact_interval: None,
        ..StoreOptions::default()
    };
    let backend = Arc::new(on_server(host, endpoint).await.unwrap());
    Store::open(backend, options, Clock::system(), tasks)
        .await
        .unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn killed_again_and_again(kind: DatabaseKind) {
    let mut database = Database::start(kind).unwrap();
    let (host, tasks, endpoint) = (host(), Tasks::root("test"), database.endpoint("db"));
    let stores = [
        store(&host, &endpoint, &tasks).await,
        store(&host, &endpoint, &tasks).await,
    ];
    let recorder = Recorder::start(&stores, 3, 1);
    for round in 0..3 {
        let before = recorder.acknowledged();
        until("writes before the kill", || {
            recorder.acknowledged() >= before + 40
        })
        .await;
        database.kill().unwrap();
        if round == 1 {
            // Away for longer than writers are kept waiting.
            let refused = recorder.refusals().len();
            until("writers are told", || recorder.refusals().len() > refused).await;
        }
        database.resume().unwrap();
    }
    let before = recorder.acknowledged();
    until("writes after the last kill", || {
        recorder.acknowledged() >= before + 40
    })
    .await;
    println!(
        "{kind:?}: {} acknowledged, {} refused",
        recorder.acknowledged(),
        recorder.refusals().len()
    );
    recorder
        .check(&on_server(&host, &endpoint).await.unwrap())
        .await;
    assert!(tasks.stop(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_dies_under_load() {
    killed_again_and_again(DatabaseKind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_dies_under_load() {
    killed_again_and_again(DatabaseKind::MariaDb).await;
}

/// Where a connection breaks.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The server never hears of the commit.
    Before,
    /// It hears half of it.
    Half,
    /// It commits, and nobody hears of that.
    After,
}

/// Between stores and server; breaks a connection at every fifth commit.
struct Proxy {
    port: u16,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, commits) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU16>::default());
        let proxy = Self {
            port,
            cuts: cuts.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, commits.clone(), cuts.clone()));
            }
        });
        proxy
    }
}

/// One connection, until one side ends it or it is cut.
async fn serve(
    mut client: TcpStream,
    server: u16,
    commits: Arc<AtomicU16>,
    cuts: Arc<AtomicUsize>,
) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            n = client.read(&mut up) => {
                let Ok(n @ 1..) = n else { return };
                let sent = &up[..n];
                if let Some(cut) = next_cut(sent, &commits) {
                    let heard = match cut {
                        Cut::Before => 0,
                        Cut::Half => n / 2,
                        Cut::After => n,
                    };
                    let _ = server.write_all(&sent[..heard]).await;
                    cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if server.write_all(sent).await.is_err() {
                    return;
                }
            }
            n = server.read(&mut down) => {
                let Ok(n @ 1..) = n else { return };
                if client.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn next_cut(sent: &[u8], commits: &AtomicU16) -> Option<Cut> {
    if !sent.windows(6).any(|w| w == b"COMMIT") {
        return None;
    }
    match commits.fetch_add(1, Ordering::SeqCst) % 15 {
        4 => Some(Cut::Before),
        9 => Some(Cut::After),
        14 => Some(Cut::Half),
        _ => None,
    }
}

async fn cut_in_the_middle_of_commits(kind: DatabaseKind) {
    let database = Database::start(kind).unwrap();
    let proxy = Proxy::start(database.port()).await;
    let direct = database.endpoint("db");
    let endpoint = direct.replace(&database.port().to_string(), &proxy.port.to_string());
    let (host, tasks) = (host(), Tasks::root("test"));
    let stores = [
        store(&host, &endpoint, &tasks).await,
        store(&host, &endpoint, &tasks).await,
    ];
    let recorder = Recorder::start(&stores, 3, 2);
    until("enough cuts", || proxy.cuts.load(Ordering::SeqCst) >= 18).await;
    let before = recorder.acknowledged();
    until("writes after that", || {
        recorder.acknowledged() >= before + 20
    })
    .await;
    println!(
        "{kind:?}: {} acknowledged, {} refused",
        recorder.acknowledged(),
        recorder.refusals().len()
    );
    recorder
        .check(&on_server(&host, &direct).await.unwrap())
        .await;
    assert!(tasks.stop(Duration::from_secs(20)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_postgres_break_at_the_commit() {
    cut_in_the_middle_of_commits(DatabaseKind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_mariadb_break_at_the_commit() {
    cut_in_the_middle_of_commits(DatabaseKind::MariaDb).await;
}
