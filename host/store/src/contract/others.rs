//! Several stores on one log, as several servers on one database.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a contract case fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use super::Fixture;
use super::rig::{Rig, until, within};
use crate::backend::{AfterBatch, AfterRequest, Append, Opened, Outcome, RangeBatch, RangeRequest};
use crate::backend::{Backend, BackendError};
use crate::error::{WatchError, WriteError};
use crate::model::{Precondition, Revision, Write};
use crate::options::StoreOptions;

pub(super) async fn all(fixture: &dyn Fixture) {
    a_foreign_writer_is_followed(fixture).await;
    foreign_rows_reach_watchers_of_an_idle_store(fixture).await;
    each_write_is_decided_anew(fixture).await;
    who_writes_without_a_pause_keeps_nobody_waiting(fixture).await;
    who_was_away_for_too_long_starts_over(fixture).await;
}

async fn a_foreign_writer_is_followed(fixture: &dyn Fixture) {
    let backend = fixture.create().await;
    let options = StoreOptions {
        ring_events: 4,
        ..StoreOptions::default()
    };
    let (ours, theirs) = (
        Rig::with(backend.clone(), options).await,
        Rig::open(backend).await,
    );
    ours.put("/a", "1").await;
    let conflict = theirs
        .store
        .write(Write::put("/a", Precondition::Absent, "2"))
        .await;
    assert!(
        matches!(conflict, Err(WriteError::Conflict { current: Some(_) })),
        "got {conflict:?}"
    );
    assert_eq!(
        theirs.dump("", None).await,
        ["/a=1"],
        "what the other wrote was read"
    );
    theirs.put("/b", "2").await;
    ours.stop().await;
    theirs.stop().await;
}

async fn foreign_rows_reach_watchers_of_an_idle_store(fixture: &dyn Fixture) {
    let backend = Arc::new(SharedBackend(fixture.create().await));
    let (ours, theirs) = (Rig::open(backend.clone()).await, Rig::open(backend).await);
    let mut watcher = theirs
        .store
        .watch("/w/", theirs.store.revision())
        .expect("a watch");
    for i in 0..3 {
        let written = ours.put(&format!("/w/{i}"), "v").await;
        let seen = within("a foreign write's event", watcher.next())
            .await
            .expect("an event");
        assert_eq!(
            (seen.revision, seen.key()),
            (written.revision, &format!("/w/{i}").into())
        );
    }
    ours.stop().await;
    theirs.stop().await;
}

/// Two servers write at the same time: no write fails because of another's, unless on the same key.
async fn each_write_is_decided_anew(fixture: &dyn Fixture) {
    let backend = fixture.create().await;
    let (a, b) = (Rig::open(backend.clone()).await, Rig::open(backend).await);
    let start = a.store.revision();
    let mut tasks = tokio::task::JoinSet::new();
    for (name, rig) in [("a", &a), ("b", &b)] {
        for i in 0..40 {
            let store = rig.store.clone();
            let write = Write::put(format!("/own/{name}/{i}"), Precondition::Absent, "v");
            tasks.spawn(async move { store.write(write).await.is_ok() });
        }
        let store = rig.store.clone();
        tasks.spawn(async move {
            store
                .write(Write::put("/one", Precondition::Absent, name))
                .await
                .is_ok()
        });
    }
    let done = within("all writes", tasks.join_all())
        .await
        .into_iter()
        .filter(|ok| *ok)
        .count();
    assert_eq!(done, 81, "all but one of the two on the same key");
    // The one that wrote last knows all of it; the other reads on with its next write.
    let last = a.put("/last", "v").await.revision;
    assert_eq!(last, start.plus(82));
    b.put("/very-last", "v").await;
    assert_eq!(b.dump("/own/", None).await.len(), 80);
    a.stop().await;
    b.stop().await;
}

/// Writers of a store that write without a pause.
const WRITERS: usize = 6;

/// Writes that the slower store gets done before the case is over.
const ENOUGH: u64 = 60;

/// Two stores at full speed: both make progress, nobody is refused, and watchers of both see each revision once.
async fn who_writes_without_a_pause_keeps_nobody_waiting(fixture: &dyn Fixture) {
    let inner = fixture.create().await;
    if !super::log::follows(&*inner).await {
        assert!(!inner.is_shared(), "who shares a log follows it");
        return;
    }
    let backend = Arc::new(SharedBackend(inner));
    let rigs = [
        Rig::open(backend.clone()).await,
        Rig::open(backend.clone()).await,
    ];
    let start = rigs[0].store.revision();
    let written = write_without_a_pause(&rigs).await;
    let end = backend.open().await.expect("opens").revision;
    assert_eq!(
        end,
        start.plus(written),
        "each acknowledged write is one revision"
    );
    for rig in rigs {
        let mut watcher = rig.store.watch("", start).expect("a watch");
        for n in 1..=written {
            let event = within("each event", watcher.next())
                .await
                .expect("an event");
            assert_eq!(event.revision, start.plus(n), "without a hole, in order");
        }
        rig.stop().await;
    }
}

/// Writes to both stores until each has done enough; how many writes were acknowledged.
async fn write_without_a_pause(rigs: &[Rig; 2]) -> u64 {
    let done = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for (number, rig) in rigs.iter().enumerate() {
        for writer in 0..WRITERS {
            let (store, done, stop) = (rig.store.clone(), done.clone(), stop.clone());
            writers.spawn(async move {
                let key = format!("/full/{number}/{writer}");
                while !stop.load(Ordering::SeqCst) {
                    let write = Write::put(key.as_str(), Precondition::Any, "v");
                    let written = store.write(write).await;
                    written.expect("nobody else writes this key");
                    done[number].fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    }
    until("both stores make progress", || {
        done.iter().all(|n| n.load(Ordering::SeqCst) >= ENOUGH)
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer that was not refused");
    }
    done.iter().map(|n| n.load(Ordering::SeqCst)).sum()
}

/// One store sleeps while the other writes and compacts: what it has not read is gone, yet it goes on.
async fn who_was_away_for_too_long_starts_over(fixture: &dyn Fixture) {
    let backend = fixture.create().await;
    let (awake, away) = (
        Rig::open(backend.clone()).await,
        Rig::open(backend.clone()).await,
    );
    away.put("/old", "1").await;
    let mut watcher = away
        .store
        .watch("", away.store.revision())
        .expect("a watch");
    for i in 0..20 {
        awake.put("/new", &i.to_string()).await;
    }
    awake.delete("/old").await;
    awake
        .store
        .compact(awake.store.revision(), 1)
        .await
        .expect("compaction");
    let back = away.put("/back", "2").await;
    assert_eq!(back.revision, awake.store.revision().plus(1));
    assert_eq!(away.dump("", None).await, ["/back=2", "/new=19"]);
    // A store that polls may have read some of that in time.
    if !backend.is_shared() {
        let lost = within("the watcher's end", watcher.next()).await;
        assert!(
            matches!(lost, Err(WatchError::Compacted { .. })),
            "got {lost:?}"
        );
    }
    awake.stop().await;
    away.stop().await;
}

/// Says that others may write, whatever the backend itself says.
struct SharedBackend(Arc<dyn Backend>);

#[async_trait]
impl Backend for SharedBackend {
    fn is_shared(&self) -> bool {
        true
    }

    async fn open(&self) -> Result<Opened, BackendError> {
        self.0.open().await
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        self.0.append(head, writes).await
    }

    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError> {
        self.0.after(request).await
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError> {
        self.0.range(request).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision, BackendError> {
        self.0.compact(to).await
    }

    async fn maintain(&self) -> Result<(), BackendError> {
        self.0.maintain().await
    }

    async fn size_bytes(&self) -> Result<u64, BackendError> {
        self.0.size_bytes().await
    }

    async fn health(&self) -> Result<(), BackendError> {
        self.0.health().await
    }
}
