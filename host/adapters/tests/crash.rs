//! Kills a process that writes, again and again: what it was told is written must be there, and
//! revisions must not go back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{host, store};
use k3s_base::Random;
use k3s_lifecycle::Tasks;
use k3s_store::{Precondition, Revision, Store, Write};

/// Tells the child where to write.
const DIR: &str = "K3S_TEST_CRASH_DIR";

const ROUNDS: u64 = 12;
const WRITERS: u64 = 8;

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_writes() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let tasks = Tasks::root("child");
    let store = store(&host(), Path::new(&dir), &tasks)
        .await
        .expect("the store opens");
    // The test runner has begun a line of its own.
    println!("\nopen {}", store.revision());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move { write_for_ever(&store, writer).await });
    }
    writers.join_all().await;
}

/// Says each write before and after it, on one line each.
async fn write_for_ever(store: &Store, writer: u64) {
    for n in 0_u64.. {
        let key = format!("/crash/{writer}/{}", n % 7);
        let value = format!(
            "{writer}-{n}-{}",
            "x".repeat(usize::try_from(n % 500).unwrap())
        );
        let committed = store
            .write(Write::put(
                key.as_str(),
                Precondition::Any,
                value.into_bytes(),
            ))
            .await;
        let revision = committed.expect("the write commits").revision;
        let mut out = std::io::stdout().lock();
        writeln!(out, "acked {key} {revision}").unwrap();
        out.flush().unwrap();
    }
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_writes",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the child starts")
}

/// Reads acknowledgements until `kill_after` of them, kills, and reads what was still said.
fn run_and_kill(dir: &Path, kill_after: u64) -> (Revision, Vec<(String, Revision)>) {
    let mut child = spawn(dir);
    let (mut opened, mut acked) = (Revision::ZERO, Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["open", revision] => opened = Revision(revision.parse().unwrap()),
            ["acked", key, revision] => {
                // A line cut short by the kill was not said.
                let Ok(revision) = revision.parse() else {
                    continue;
                };
                acked.push(((*key).to_owned(), Revision(revision)));
                if acked.len() as u64 == kill_after {
                    child.kill().unwrap();
                }
            }
            _ => {}
        }
    }
    child.wait().unwrap();
    // The very last line may have lost its end without becoming unreadable.
    acked.pop();
    (opened, acked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let random = Random::from_os();
    let mut newest = Revision::ZERO;
    for round in 0..ROUNDS {
        let kill_after = 1 + random.below(400);
        let path = dir.path().to_owned();
        let (opened, acked) = tokio::task::spawn_blocking(move || run_and_kill(&path, kill_after))
            .await
            .unwrap();
        assert!(
            opened >= newest,
            "round {round}: the child saw revision {opened} after {newest}"
        );
        let tasks = Tasks::root("check");
        let store = store(&host(), dir.path(), &tasks)
            .await
            .expect("the store opens after the kill");
        for (key, revision) in &acked {
            let entry = store
                .get(key)
                .unwrap_or_else(|| panic!("round {round}: {key} is lost"));
            assert!(
                entry.mod_revision >= *revision,
                "round {round}: {key} is at {} not {revision}",
                entry.mod_revision
            );
        }
        let highest = acked
            .iter()
            .map(|(_, revision)| *revision)
            .max()
            .unwrap_or_default();
        assert!(
            store.revision() >= highest.max(newest),
            "round {round}: revisions went back"
        );
        newest = store.revision();
        assert!(tasks.stop(std::time::Duration::from_secs(10)).await);
    }
}
