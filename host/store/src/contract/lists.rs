//! Lists through the store: order, pages, old revisions from memory and from the backend.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a contract case fails by panicking"
)]

use super::Fixture;
use super::rig::Rig;
use crate::error::ListError;
use crate::list::ListOptions;
use crate::model::Revision;
use crate::options::StoreOptions;

pub(super) async fn all(fixture: &dyn Fixture) {
    pages_show_one_revision(fixture, StoreOptions::default()).await;
    pages_show_one_revision(
        fixture,
        StoreOptions {
            ring_events: 1,
            ..StoreOptions::default()
        },
    )
    .await;
    old_revisions(fixture, StoreOptions::default()).await;
    old_revisions(
        fixture,
        StoreOptions {
            ring_events: 1,
            read_batch_bytes: 64,
            ..StoreOptions::default()
        },
    )
    .await;
    compacted_and_future(fixture).await;
}

async fn pages_show_one_revision(fixture: &dyn Fixture, options: StoreOptions) {
    let rig = Rig::with(fixture.create().await, options).await;
    for i in 0..25 {
        rig.put(&format!("/r/l/{i:02}"), "v").await;
    }
    rig.put("/r/la", "beside").await;
    let (mut at, mut start_after, mut keys) = (None, None, Vec::new());
    loop {
        let options = ListOptions {
            start_after: start_after.clone(),
            limit: 10,
            at,
        };
        let page = rig.store.list("/r/l/", options).await.expect("a page");
        assert_eq!(page.more, page.remaining > 0);
        assert_eq!(
            page.remaining as usize,
            25 - keys.len() - page.entries.len()
        );
        keys.extend(page.entries.iter().map(|e| e.key.to_string()));
        at = Some(page.revision);
        start_after = page.entries.last().map(|e| e.key.to_string());
        if !page.more {
            break;
        }
        // Writes between pages must not show in later ones.
        rig.delete(&format!("/r/l/{:02}", keys.len() + 1)).await;
        rig.put(&format!("/r/l/{:02}x", keys.len() + 2), "new")
            .await;
    }
    assert_eq!(
        keys,
        (0..25).map(|i| format!("/r/l/{i:02}")).collect::<Vec<_>>()
    );
    assert_eq!(rig.store.count("/r/l/"), 25);
    rig.stop().await;
}

async fn old_revisions(fixture: &dyn Fixture, options: StoreOptions) {
    let rig = Rig::with(fixture.create().await, options).await;
    let mut history: Vec<(Revision, Vec<String>)> = Vec::new();
    for step in 0..30 {
        let key = format!("/r/o/{}", step * 7 % 5);
        if step % 4 == 3 && rig.store.get(&key).is_some() {
            rig.delete(&key).await;
        } else {
            rig.put(&key, &step.to_string()).await;
        }
        rig.put("/r/other/x", "noise").await;
        history.push((rig.store.revision(), rig.dump("/r/o/", None).await));
    }
    for (revision, state) in history {
        assert_eq!(
            rig.dump("/r/o/", Some(revision)).await,
            state,
            "as of revision {revision}"
        );
    }
    rig.stop().await;
}

async fn compacted_and_future(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    for i in 0..10 {
        rig.put("/c", &i.to_string()).await;
    }
    let newest = rig.store.revision();
    let at = async |revision| {
        rig.store
            .list(
                "",
                ListOptions {
                    at: Some(revision),
                    ..ListOptions::default()
                },
            )
            .await
    };
    assert!(matches!(
        at(newest.plus(1)).await,
        Err(ListError::Future { .. })
    ));
    let kept = rig.store.compact(newest, 4).await.expect("compaction");
    assert_eq!((kept, rig.store.compacted()), (newest.minus(4), kept));
    assert!(at(kept).await.is_ok());
    match at(kept.minus(1)).await {
        Err(ListError::Compacted { compacted, .. }) => assert_eq!(compacted, kept),
        other => panic!("expected compacted, got {other:?}"),
    }
    rig.stop().await;
}
