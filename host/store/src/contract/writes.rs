//! Writes through the store: preconditions, races, group commit.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a contract case fails by panicking"
)]

use std::sync::Arc;

use super::Fixture;
use super::gate::GatedBackend;
use super::rig::{Rig, until, within};
use crate::error::WriteError;
use crate::model::{Precondition, Write};
use crate::options::StoreOptions;

pub(super) async fn all(fixture: &dyn Fixture) {
    preconditions(fixture).await;
    one_of_many_racers_wins(fixture).await;
    writers_share_commits(fixture).await;
    one_key_many_writers(fixture).await;
    limits(fixture).await;
}

async fn preconditions(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let put = async |precondition| rig.store.write(Write::put("/k", precondition, "v")).await;
    assert!(matches!(
        put(Precondition::Exists).await,
        Err(WriteError::Conflict { current: None })
    ));
    let first = put(Precondition::Absent).await.expect("created");
    assert!(matches!(
        put(Precondition::Absent).await,
        Err(WriteError::Conflict { current: Some(_) })
    ));
    let second = put(Precondition::Revision(first.revision))
        .await
        .expect("updated");
    let entry = second.entry.clone().expect("an entry");
    assert_eq!(
        (entry.create_revision, entry.mod_revision),
        (first.revision, second.revision)
    );
    assert_eq!(
        second.previous.as_ref().map(|e| e.mod_revision),
        Some(first.revision)
    );
    match put(Precondition::Revision(first.revision)).await {
        Err(WriteError::Conflict {
            current: Some(current),
        }) => assert_eq!(current.mod_revision, second.revision),
        other => panic!("expected a conflict with the current entry, got {other:?}"),
    }
    assert!(rig.store.get("/k").is_some());
    let gone = rig.delete("/k").await;
    assert!(gone.entry.is_none() && gone.previous.is_some() && rig.store.get("/k").is_none());
    let missing = rig
        .store
        .write(Write::delete("/k", Precondition::Any))
        .await;
    assert!(matches!(
        missing,
        Err(WriteError::Conflict { current: None })
    ));
    let again = put(Precondition::Absent).await.expect("created again");
    assert_eq!(
        again.entry.expect("an entry").create_revision,
        again.revision
    );
    rig.stop().await;
}

async fn one_of_many_racers_wins(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let start = rig.put("/race", "0").await.revision;
    let mut racers = tokio::task::JoinSet::new();
    for i in 0..64 {
        let store = rig.store.clone();
        let write = Write::put(
            "/race",
            Precondition::Revision(start),
            format!("{i}").into_bytes(),
        );
        racers.spawn(async move { store.write(write).await.is_ok() });
    }
    let won = within("the race", racers.join_all())
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(
        won, 1,
        "exactly one compare-and-set on the same revision succeeds"
    );
    assert_eq!(
        rig.store.revision(),
        start.plus(1),
        "losers take no revision"
    );
    rig.stop().await;
}

/// While one commit is under way all other writers queue up, and the next commit has them all.
async fn writers_share_commits(fixture: &dyn Fixture) {
    for writers in [16, 256_usize] {
        let backend = Arc::new(GatedBackend::new(fixture.create().await));
        let rig = Rig::open(backend.clone()).await;
        let before = rig.store.revision();
        let mut tasks = tokio::task::JoinSet::new();
        for w in 0..writers {
            let store = rig.store.clone();
            let write = Write::put(format!("/w/{w}"), Precondition::Absent, "v");
            tasks.spawn(async move { store.write(write).await.expect("the write commits") });
        }
        let queued = || usize::try_from(rig.store.stats().queued).unwrap_or_default();
        until("every other writer queues", || {
            backend.held() > 0 && backend.held() + queued() == writers
        })
        .await;
        backend.open_gate();
        within("all writes", tasks.join_all()).await;
        let stats = rig.store.stats();
        assert_eq!(rig.store.revision(), before.plus(writers as u64));
        assert_eq!(rig.store.count("/w/"), writers);
        assert!(
            stats.commits <= 2,
            "{writers} writers share commits: {stats:?}"
        );
        rig.stop().await;
    }
}

async fn one_key_many_writers(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..40 {
        let store = rig.store.clone();
        let write = Write::put("/hot", Precondition::Any, format!("{i}").into_bytes());
        tasks.spawn(async move { store.write(write).await.expect("commits").revision });
    }
    let mut revisions = within("all writes", tasks.join_all()).await;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 40, "each write has a revision of its own");
    assert_eq!(
        rig.store.get("/hot").map(|e| e.mod_revision),
        revisions.last().copied()
    );
    rig.stop().await;
}

async fn limits(fixture: &dyn Fixture) {
    let options = StoreOptions {
        value_limit_bytes: 10,
        key_limit_bytes: 10,
        ..StoreOptions::default()
    };
    let rig = Rig::with(fixture.create().await, options).await;
    let write = |key: &str, value: &[u8]| {
        rig.store
            .write(Write::put(key, Precondition::Any, value.to_vec()))
    };
    assert!(matches!(
        write("/k", &[0; 11]).await,
        Err(WriteError::TooLarge { what: "value", .. })
    ));
    assert!(matches!(
        write("/01234567890", b"").await,
        Err(WriteError::TooLarge { what: "key", .. })
    ));
    assert!(write("/k", &[0; 10]).await.is_ok());
    let store = rig.store.clone();
    rig.stop().await;
    let late = store
        .write(Write::put(Arc::<str>::from("/k"), Precondition::Any, "v"))
        .await;
    assert!(matches!(late, Err(WriteError::Closed)));
}
