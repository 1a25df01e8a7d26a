//! What a restart must keep: state, revisions, history, the compacted revision.
#![allow(clippy::expect_used, reason = "a contract case fails by panicking")]

use super::Fixture;
use super::rig::Rig;
use crate::model::{Precondition, Write};
use crate::options::StoreOptions;

pub(super) async fn all(fixture: &dyn Fixture) {
    everything_is_there_after_a_restart(fixture).await;
}

async fn everything_is_there_after_a_restart(fixture: &dyn Fixture) {
    let backend = fixture.create().await;
    let options = StoreOptions {
        read_batch_bytes: 200,
        ..StoreOptions::default()
    };
    let rig = Rig::with(backend.clone(), options.clone()).await;
    for i in 0..200 {
        rig.put(&format!("/s/{i:03}"), &format!("value {i}")).await;
    }
    for i in (0..200).step_by(3) {
        rig.delete(&format!("/s/{i:03}")).await;
    }
    let middle = rig.store.revision();
    rig.put("/s/001", "changed").await;
    let compacted = rig.store.compact(middle, 10).await.expect("compaction");
    let (state, old) = (rig.dump("", None).await, rig.dump("", Some(middle)).await);
    let revision = rig.store.revision();
    rig.stop().await;

    let rig = Rig::with(fixture.reopen(backend).await, options).await;
    assert_eq!(
        (rig.store.revision(), rig.store.compacted()),
        (revision, compacted)
    );
    assert_eq!(rig.dump("", None).await, state);
    assert_eq!(rig.dump("", Some(middle)).await, old);
    let mut watcher = rig.store.watch("/s/", middle).expect("a watch");
    let event = watcher.next().await.expect("history");
    assert_eq!(
        event.previous.as_ref().map(|p| p.value.as_ref()),
        Some(&b"value 1"[..])
    );
    let tombstone = rig
        .store
        .write(Write::put("/s/000", Precondition::Absent, "again"))
        .await
        .expect("recreated");
    assert_eq!(
        tombstone.revision,
        revision.plus(1),
        "revisions go on where they were"
    );
    rig.stop().await;
}
