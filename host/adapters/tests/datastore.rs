//! The bundled SQLite datastore as a component: the store's contract suite, and what is special to
//! a file: refusals that change nothing, permissions, group commit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{host, sqlite, store};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Host;
use k3s_store::contract::{self, Fixture};
use k3s_store::{Backend, BackendError, ListOptions, OpenError, Precondition, Write};
use rusqlite::Connection;
use tempfile::TempDir;

struct Sqlite {
    host: Host,
    dir: TempDir,
    made: AtomicUsize,
}

impl Sqlite {
    fn path(&self, number: usize) -> PathBuf {
        self.dir.path().join(number.to_string())
    }
}

#[async_trait]
impl Fixture for Sqlite {
    async fn create(&self) -> Arc<dyn Backend> {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        Arc::new(sqlite(&self.host, &self.path(number)))
    }

    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        drop(backend);
        Arc::new(sqlite(
            &self.host,
            &self.path(self.made.load(Ordering::SeqCst) - 1),
        ))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    contract::all(&Sqlite {
        host: host(),
        dir,
        made: AtomicUsize::new(0),
    })
    .await;
}

/// Everything in a directory, to see that nothing changed.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .filter(|p| !p.ends_with("state.db-shm"))
        .map(|p| (p.clone(), std::fs::read(&p).unwrap()))
        .collect()
}

async fn refusal(prepare: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    std::fs::create_dir(&db).unwrap();
    prepare(&db.join("state.db"));
    let before = contents(&db);
    let tasks = Tasks::root("test");
    let error = match store(&host(), dir.path(), &tasks).await {
        Ok(_) => panic!("the database must be refused"),
        Err(error) => error,
    };
    assert_eq!(contents(&db), before, "nothing was written");
    match error {
        OpenError::Backend(BackendError::Refused(message) | BackendError::Corrupt(message)) => {
            message
        }
        other => panic!("a refusal with one clear reason, not {other:?}"),
    }
}

const KINE: &str = "CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name INTEGER, created INTEGER, \
    deleted INTEGER, create_revision INTEGER, prev_revision INTEGER, lease INTEGER, value BLOB, old_value BLOB)";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_refused_and_left_alone() {
    let stock = refusal(|path| {
        let db = Connection::open(path).unwrap();
        db.execute_batch(KINE).unwrap();
        db.execute_batch(
            "INSERT INTO kine VALUES(1, 'compact_rev_key', 1, 0, 0, 0, 0, '', NULL); \
             INSERT INTO kine VALUES(2, '/registry/namespaces/default', 1, 0, 0, 0, 0, x'6b38730001', NULL)",
        )
        .unwrap();
    });
    assert!(stock.await.contains("stock K3s"));
    let foreign = refusal(|path| {
        Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE people (name)")
            .unwrap()
    });
    assert!(foreign.await.contains("people"));
    let garbage = refusal(|path| {
        std::fs::write(path, b"this is no database, only text ".repeat(500)).unwrap()
    });
    assert!(garbage.await.contains("not a database"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let (host, tasks) = (host(), Tasks::root("test"));
    let first = store(&host, dir.path(), &tasks).await.unwrap();
    for i in 0..300 {
        first
            .write(Write::put(
                format!("/k/{i}"),
                Precondition::Absent,
                vec![7; 2000],
            ))
            .await
            .unwrap();
    }
    drop(first);
    assert!(tasks.stop(Duration::from_secs(10)).await);
    let path = dir.path().join("db/state.db");
    Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[4096 * 20..end].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();
    let error = store(&host, dir.path(), &Tasks::root("again"))
        .await
        .err()
        .expect("it must not open");
    assert!(
        matches!(error, OpenError::Backend(BackendError::Corrupt(_))),
        "{error:?}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kine_database_with_json_is_adopted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("db")).unwrap();
    let db = Connection::open(dir.path().join("db/state.db")).unwrap();
    db.execute_batch(KINE).unwrap();
    db.execute_batch(
        "INSERT INTO kine VALUES(1, 'compact_rev_key', 1, 0, 0, 0, 0, '', NULL);
         INSERT INTO kine VALUES(2, '/registry/a', 1, 0, 0, 0, 0, '{\"v\":1}', NULL);
         INSERT INTO kine VALUES(3, '/registry/a', 0, 0, 2, 2, 0, '{\"v\":2}', '{\"v\":1}');
         INSERT INTO kine VALUES(4, '/registry/b', 1, 0, 0, 0, 0, '{}', NULL);
         INSERT INTO kine VALUES(5, '/registry/b', 0, 1, 4, 4, 0, '{}', '{}')",
    )
    .unwrap();
    drop(db);
    let (host, tasks) = (host(), Tasks::root("test"));
    let store = store(&host, dir.path(), &tasks).await.unwrap();
    assert_eq!(store.revision().0, 5);
    let page = store
        .list("/registry/", ListOptions::default())
        .await
        .unwrap();
    let shown: Vec<_> = page
        .entries
        .iter()
        .map(|e| (&*e.key, e.create_revision.0, e.mod_revision.0))
        .collect();
    assert_eq!(shown, [("/registry/a", 2, 3)]);
    store
        .write(Write::put("/registry/b", Precondition::Absent, "{}"))
        .await
        .unwrap();
    let file = std::fs::metadata(dir.path().join("db/state.db")).unwrap();
    assert_eq!(file.mode() & 0o100_000, 0o100_000);
    assert!(tasks.stop(Duration::from_secs(10)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let (host, tasks) = (host(), Tasks::root("test"));
    let store = store(&host, dir.path(), &tasks).await.unwrap();
    store
        .write(Write::put("/a", Precondition::Absent, "{}"))
        .await
        .unwrap();
    for file in ["db", "db/state.db", "db/state.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
    assert!(tasks.stop(Duration::from_secs(10)).await);
}
