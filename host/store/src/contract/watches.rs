//! Watches through the store: from any revision, through ring and backend, to the end.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a contract case fails by panicking"
)]

use std::time::Duration;

use super::Fixture;
use super::rig::{Rig, until, within};
use crate::error::WatchError;
use crate::model::{Event, EventKind, Revision};
use crate::options::StoreOptions;
use crate::watcher::Watcher;

pub(super) async fn all(fixture: &dyn Fixture) {
    every_event_once_from_any_revision(fixture, StoreOptions::default()).await;
    let tiny = StoreOptions {
        ring_events: 2,
        read_batch_bytes: 1,
        watch_batch: 3,
        ..StoreOptions::default()
    };
    every_event_once_from_any_revision(fixture, tiny).await;
    live_events_and_progress(fixture).await;
    reading_without_waiting(fixture).await;
    changes_tell_of_events_and_of_the_end(fixture).await;
    many_watchers_see_everything(fixture).await;
    events_that_left_memory_with_time(fixture).await;
    behind_compaction(fixture).await;
    stopping_ends_a_watch(fixture).await;
}

fn show(event: &Event) -> String {
    let kind = match event.kind {
        EventKind::Put { created: true } => "create",
        EventKind::Put { created: false } => "update",
        EventKind::Delete => "delete",
    };
    let previous = event
        .previous
        .as_ref()
        .map(|p| String::from_utf8_lossy(&p.value).into_owned());
    let value = String::from_utf8_lossy(&event.entry.value);
    format!(
        "{} {kind} {}={value} was {previous:?}",
        event.revision,
        event.key()
    )
}

async fn take(watcher: &mut Watcher, n: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < n {
        seen.push(show(
            &within("the next event", watcher.next())
                .await
                .expect("an event"),
        ));
    }
    seen
}

async fn every_event_once_from_any_revision(fixture: &dyn Fixture, options: StoreOptions) {
    let rig = Rig::with(fixture.create().await, options).await;
    let start = rig.store.revision();
    let mut live = rig.store.watch("/r/w/", start).expect("a watch");
    for i in 0..12 {
        rig.put(&format!("/r/w/{}", i % 3), &i.to_string()).await;
        rig.put("/r/other/x", "noise").await;
    }
    rig.delete("/r/w/1").await;
    rig.put("/r/w/1", "back").await;
    let all = take(&mut live, 14).await;
    for from in start.0..=rig.store.revision().0 {
        let after: Vec<_> = all
            .iter()
            .filter(|e| {
                e.split(' ')
                    .next()
                    .is_some_and(|r| r.parse::<u64>().is_ok_and(|r| r > from))
            })
            .cloned()
            .collect();
        let mut watcher = rig.store.watch("/r/w/", Revision(from)).expect("a watch");
        assert_eq!(
            take(&mut watcher, after.len()).await,
            after,
            "from revision {from}"
        );
        assert_eq!(watcher.progress(), rig.store.revision());
    }
    rig.stop().await;
}

async fn live_events_and_progress(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let mut quiet = rig
        .store
        .watch("/r/quiet/", rig.store.revision())
        .expect("a watch");
    let mut busy = rig
        .store
        .watch("/r/busy/", rig.store.revision())
        .expect("a watch");
    for i in 0..5 {
        rig.put("/r/busy/a", &i.to_string()).await;
    }
    assert_eq!(
        quiet.progress(),
        rig.store.revision(),
        "a quiet prefix moves on with the store"
    );
    assert!(
        busy.progress() < rig.store.revision(),
        "events not yet returned hold progress back"
    );
    let first = busy.next().await.expect("an event");
    assert_eq!(busy.progress(), first.revision);
    take(&mut busy, 4).await;
    assert_eq!(busy.progress(), rig.store.revision());
    let committed = rig.put("/r/quiet/x", "1").await;
    assert_eq!(
        within("the event", quiet.next())
            .await
            .expect("an event")
            .revision,
        committed.revision
    );
    rig.stop().await;
}

async fn reading_without_waiting(fixture: &dyn Fixture) {
    let options = StoreOptions {
        ring_events: 4,
        ..StoreOptions::default()
    };
    let rig = Rig::with(fixture.create().await, options).await;
    let mut watcher = rig
        .store
        .watch("/r/now/", rig.store.revision())
        .expect("a watch");
    let read = |watcher: &mut Watcher| {
        let events = watcher.try_next_batch()?;
        Some(events.iter().map(|e| e.revision).collect::<Vec<_>>())
    };
    assert_eq!(read(&mut watcher), Some(Vec::new()));
    assert!(watcher.is_caught_up(), "nothing has happened");
    let committed = rig.put("/r/now/a", "1").await;
    assert!(!watcher.is_caught_up(), "an acknowledged write is missing");
    assert_eq!(read(&mut watcher), Some(vec![committed.revision]));
    for _ in 0..6 {
        rig.put("/r/other/x", "noise").await;
    }
    assert!(watcher.is_caught_up(), "other prefixes do not count");
    for i in 0..6 {
        rig.put("/r/now/a", &i.to_string()).await;
    }
    assert!(!watcher.is_caught_up());
    assert_eq!(read(&mut watcher), None, "the ring has moved on");
    assert_eq!(take(&mut watcher, 6).await.len(), 6, "history has them all");
    rig.stop().await;
}

async fn changes_tell_of_events_and_of_the_end(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let watcher = rig
        .store
        .watch("/r/bell/", rig.store.revision())
        .expect("a watch");
    let mut changes = watcher.changes();
    rig.put("/r/bell/a", "1").await;
    within("the bell", changes.changed())
        .await
        .expect("the store is open");
    let waiting = tokio::spawn(async move { changes.changed().await });
    until("somebody waits", || !waiting.is_finished()).await;
    rig.stop().await;
    let ended = within("the end", waiting).await.expect("no panic");
    assert!(matches!(ended, Err(WatchError::Closed)));
}

async fn many_watchers_see_everything(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let start = rig.store.revision();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..500 {
        let mut watcher = rig.store.watch("/r/m/", start).expect("a watch");
        tasks.spawn(async move {
            let mut last = start;
            for _ in 0..20 {
                let event = watcher.next().await.expect("an event");
                assert_eq!(event.revision, last.plus(1));
                last = event.revision;
            }
        });
    }
    for i in 0..20 {
        rig.put(&format!("/r/m/{i}"), "v").await;
    }
    within("every watcher", tasks.join_all()).await;
    rig.stop().await;
}

async fn events_that_left_memory_with_time(fixture: &dyn Fixture) {
    let options = StoreOptions {
        ring_interval: Some(Duration::from_millis(20)),
        ..StoreOptions::default()
    };
    let rig = Rig::with(fixture.create().await, options).await;
    let start = rig.store.revision();
    let mut live = rig.store.watch("/r/t/", start).expect("a watch");
    for i in 0..10 {
        rig.put(&format!("/r/t/{}", i % 3), &i.to_string()).await;
    }
    let middle = rig.store.revision();
    let before = rig.dump("/r/t/", None).await;
    let all = take(&mut live, 10).await;
    rig.delete("/r/t/0").await;
    until("the log is empty", || {
        let stats = rig.store.stats();
        (stats.ring_events, stats.ring_bytes) == (0, 0)
    })
    .await;
    assert_eq!(take(&mut live, 1).await.len(), 1, "of what it had not read");
    assert!(live.is_caught_up());
    let mut late = rig.store.watch("/r/t/", start).expect("a watch");
    assert_eq!(take(&mut late, 10).await, all);
    assert_eq!(rig.dump("/r/t/", Some(middle)).await, before);
    let next = rig.put("/r/t/0", "next").await;
    let seen = within("the event", live.next()).await.expect("an event");
    assert_eq!(seen.revision, next.revision);
    rig.stop().await;
}

async fn behind_compaction(fixture: &dyn Fixture) {
    let options = StoreOptions {
        ring_events: 2,
        ..StoreOptions::default()
    };
    let rig = Rig::with(fixture.create().await, options).await;
    let start = rig.store.revision();
    let mut slow = rig.store.watch("/k", start).expect("a watch");
    for i in 0..10 {
        rig.put("/k", &i.to_string()).await;
    }
    let compacted = rig
        .store
        .compact(rig.store.revision(), 3)
        .await
        .expect("compaction");
    match slow.next().await {
        Err(WatchError::Compacted {
            compacted: told, ..
        }) => assert_eq!(told, compacted),
        other => panic!("a watcher behind compaction must be told, got {other:?}"),
    }
    assert!(matches!(
        rig.store.watch("/k", start),
        Err(WatchError::Compacted { .. })
    ));
    let mut edge = rig
        .store
        .watch("/k", compacted)
        .expect("a watch at the edge");
    assert_eq!(take(&mut edge, 3).await.len(), 3);
    rig.stop().await;
}

async fn stopping_ends_a_watch(fixture: &dyn Fixture) {
    let rig = Rig::open(fixture.create().await).await;
    let mut watcher = rig.store.watch("/", rig.store.revision()).expect("a watch");
    let waiting = tokio::spawn(async move { watcher.next().await.map(|_| ()) });
    until("the watcher waits", || !waiting.is_finished()).await;
    rig.stop().await;
    let ended = within("the end of the watch", waiting)
        .await
        .expect("no panic");
    assert!(matches!(ended, Err(WatchError::Closed)));
}
