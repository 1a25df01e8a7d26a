//! Components that misbehave: the host names the cause, restarts them within bounds, and goes on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "../build/guests.rs"]
mod guests;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use common::host;
use k3s_adapters::datastore::{CONTRACT, SqliteOptions, WasmBackend, open_sqlite};
use k3s_base::{BackoffPolicy, Clock};
use k3s_battery::Environment;
use k3s_plugin_host::{Digest, HostOptions, LoadError, Policy, Source};
use k3s_store::backend::AfterRequest;
use k3s_store::{Backend, BackendError, Revision};
use tempfile::TempDir;

/// The hostile guest, built once.
fn component() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .unwrap();
        // The test's executable lies in TARGET/PROFILE/deps.
        let exe = std::env::current_exe().unwrap();
        let target: PathBuf = exe.ancestors().nth(3).unwrap().join("guests");
        let module = guests::build(
            &root.join("tests/guests/Cargo.toml"),
            "hostile-datastore",
            &target,
        );
        let module = module.unwrap_or_else(|error| panic!("{error}"));
        k3s_plugin_host::componentize(&std::fs::read(module).unwrap()).unwrap()
    })
}

fn source(bytes: &[u8]) -> Source<'_> {
    Source {
        name: "hostile",
        bytes,
        digest: None,
        compiled: None,
    }
}

struct Rig {
    backend: WasmBackend,
    clock: Clock,
    _dir: TempDir,
}

/// A hostile datastore with a clock that the test moves, so that no back-off is waited for.
fn rig(mode: &str) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let backoff = BackoffPolicy {
        base: Duration::ZERO,
        factor: 1.0,
        cap: Duration::ZERO,
        jitter: 0.0,
    };
    let options = SqliteOptions {
        config: mode.as_bytes().to_vec(),
        environment: Environment {
            policy: Policy {
                backoff,
                ..Policy::default()
            },
            clock: clock.clone(),
            ..Environment::system()
        },
        ..SqliteOptions::new(dir.path().join("state.db"))
    };
    Rig {
        backend: open_sqlite(&host(), source(component()), &options).unwrap(),
        clock,
        _dir: dir,
    }
}

async fn reason(rig: &Rig) -> String {
    match rig.backend.open().await {
        Err(BackendError::OutcomeUnknown(message) | BackendError::Unavailable(message)) => message,
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_meets_its_deadline() {
    let rig = rig("loop");
    let before = rig.clock.elapsed();
    let said = reason(&rig).await;
    assert!(said.contains("did not come back within"), "{said}");
    assert!(
        rig.clock.elapsed() - before >= Duration::from_secs(5),
        "not before its time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_told_its_limit() {
    let said = reason(&rig("hog")).await;
    assert!(
        said.contains("of memory, above its limit of 268435456"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_leaves_a_fresh_instance_and_repetition_ends_in_quarantine() {
    let rig = rig("trap 3");
    for _ in 0..2 {
        rig.backend.open().await.expect("the first two calls work");
    }
    assert!(reason(&rig).await.contains("unreachable"));
    rig.backend
        .open()
        .await
        .expect("a fresh instance counts again");
    rig.backend.open().await.unwrap();
    for _ in 0..2 {
        reason(&rig).await;
        rig.backend.open().await.expect("restarted");
        rig.backend.open().await.expect("restarted");
    }
    reason(&rig).await;
    let said = reason(&rig).await;
    assert!(said.contains("quarantine"), "{said}");
    assert_eq!(rig.backend.status().failures, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_leaks_and_huge_lists_are_bounded() {
    rig("flood")
        .backend
        .open()
        .await
        .expect("dropped lines are no failure");
    let said = reason(&rig("leak")).await;
    assert!(
        said.contains("capacity") || said.contains("handle") || said.contains("full"),
        "{said}"
    );
    let huge = rig("huge");
    let request = AfterRequest {
        after: Revision(0),
        through: Revision(9),
        prefix: "".into(),
        limit: 10,
        limit_bytes: 1 << 20,
    };
    let Err(BackendError::Unavailable(said)) = huge.backend.after(request).await else {
        panic!("40 MiB must fail")
    };
    assert!(said.contains("fuel"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_granted_is_had() {
    rig("attach")
        .backend
        .open()
        .await
        .expect("every attempt was refused");
    assert!(
        reason(&rig("refuse"))
            .await
            .contains("refuses its configuration: on purpose")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_goes_with_its_instance() {
    let rig = rig("leave-open");
    reason(&rig).await;
    let db = rusqlite::Connection::open(rig._dir.path().join("state.db")).unwrap();
    db.busy_timeout(Duration::ZERO).unwrap();
    db.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        .expect("no lock is left");
    let tables: i64 = db
        .query_row("SELECT COUNT(*) FROM sqlite_master", [], |r| r.get(0))
        .unwrap();
    assert_eq!(tables, 0, "what it had begun is undone");
}

#[test]
fn wrong_versions_kinds_formats_and_digests_are_refused_in_a_sentence() {
    let host = host();
    let refusal = |bytes: &[u8]| match host.load(source(bytes), &CONTRACT) {
        Ok(_) => panic!("must be refused"),
        Err(error) => error.to_string(),
    };
    let other_version = replace(component(), b"k3s:sql/sql@0.1.0", b"k3s:sql/sql@9.9.9");
    let said = refusal(&other_version);
    assert!(
        said.contains("k3s:sql/sql@9.9.9") && said.contains("k3s:sql/sql@0.1.0"),
        "{said}"
    );
    let other_kind = replace(
        component(),
        b"k3s:datastore/backend@",
        b"x3s:datastore/backend@",
    );
    assert!(refusal(&other_kind).contains("not a datastore plugin"));
    assert!(refusal(b"#!/bin/sh\n").contains("not a WebAssembly component"));
    assert!(refusal(b"\0asm\x01\0\0\0").contains("without component metadata"));
    let native = k3s_plugin_host::compile_for_baseline(component()).unwrap();
    assert!(refusal(&native).contains("precompiled native code"));
    assert!(refusal(&component()[..component().len() / 2]).contains("invalid component"));
    let pinned = Source {
        digest: Some(Digest::of(b"else")),
        ..source(component())
    };
    assert!(matches!(
        host.load(pinned, &CONTRACT),
        Err(LoadError::Digest { .. })
    ));
}

/// The bytes with every `from` made `to`; both are of the same length, so the component stays valid.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let places: Vec<usize> = (0..out.len() - from.len())
        .filter(|i| out[*i..].starts_with(from))
        .collect();
    for place in places {
        out[place..place + to.len()].copy_from_slice(to);
    }
    out
}

#[test]
fn compiled_code_is_cached_privately_and_damage_is_noticed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let open = || {
        k3s_plugin_host::Host::new(HostOptions {
            cache_dir: Some(cache.clone()),
            ..HostOptions::default()
        })
    };
    open()
        .unwrap()
        .load(source(component()), &CONTRACT)
        .unwrap();
    let compiled = std::fs::read_dir(&cache)
        .unwrap()
        .map(|e| e.unwrap().path());
    let compiled = compiled
        .filter(|p| p.extension().is_some_and(|e| e == "cwasm"))
        .collect::<Vec<_>>();
    assert_eq!(compiled.len(), 1);
    std::fs::write(&compiled[0], b"damaged").unwrap();
    open()
        .unwrap()
        .load(source(component()), &CONTRACT)
        .expect("compiled again");
    assert_ne!(std::fs::read(&compiled[0]).unwrap(), b"damaged");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        matches!(open(), Err(LoadError::Cache { .. })),
        "others could plant native code there"
    );
}
