//! The port itself: revisions, history, ranges, compaction, and keys that mislead pattern matching.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a contract case fails by panicking"
)]

use std::sync::Arc;

use bytes::Bytes;

use super::Fixture;
use crate::backend::{AfterRequest, Append, Change, Outcome, RangeRequest};
use crate::backend::{Backend, BackendError};
use crate::model::{EventKind, Revision};

pub(super) async fn all(fixture: &dyn Fixture) {
    revisions_follow_each_other(fixture).await;
    a_head_that_is_none_writes_nothing(fixture).await;
    a_log_that_moved_on_is_followed(fixture).await;
    a_conflict_is_one_rows_own(fixture).await;
    history_is_bounded_and_filtered(fixture).await;
    ranges_show_one_revision(fixture).await;
    compaction_keeps_what_lives(fixture).await;
    keys_and_values_are_taken_literally(fixture).await;
}

/// A writer that remembers what it must hand in.
struct Log {
    backend: Arc<dyn Backend>,
    head: Revision,
}

impl Log {
    async fn new(fixture: &dyn Fixture) -> Self {
        let backend = fixture.create().await;
        let head = backend.open().await.expect("opens").revision;
        Self { backend, head }
    }

    async fn append(&mut self, rows: Vec<Append>) -> Vec<Revision> {
        let outcomes = self
            .backend
            .append(self.head, rows.into())
            .await
            .expect("the batch commits");
        let revisions: Vec<_> = outcomes
            .into_iter()
            .map(|o| {
                if let Outcome::Committed(r) = o {
                    r
                } else {
                    Revision::ZERO
                }
            })
            .collect();
        let expected: Vec<_> = (1..=revisions.len() as u64)
            .map(|n| self.head.plus(n))
            .collect();
        assert_eq!(
            revisions, expected,
            "revisions follow the head without gaps"
        );
        self.head = self.head.plus(revisions.len() as u64);
        revisions
    }

    async fn create(&mut self, key: &str, value: &str) -> Revision {
        self.append(vec![create(key, value)]).await[0]
    }

    async fn update(
        &mut self,
        key: &str,
        created: Revision,
        prev: Revision,
        old: &str,
        new: &str,
    ) -> Revision {
        let kind = EventKind::Put { created: false };
        self.append(vec![row(key, kind, created, prev, new, old)])
            .await[0]
    }

    async fn delete(
        &mut self,
        key: &str,
        created: Revision,
        prev: Revision,
        last: &str,
    ) -> Revision {
        self.append(vec![row(key, EventKind::Delete, created, prev, last, last)])
            .await[0]
    }

    async fn range(&self, prefix: &str, at: Revision) -> Result<Vec<String>, BackendError> {
        let request = RangeRequest {
            prefix: prefix.into(),
            start_after: None,
            at,
            limit: 1000,
            limit_bytes: 1 << 20,
        };
        let batch = self.backend.range(request).await?;
        let show = |r: crate::backend::Record| {
            format!(
                "{}={}@{}/{}",
                r.key,
                String::from_utf8_lossy(&r.value),
                r.create_revision,
                r.mod_revision
            )
        };
        Ok(batch.records.into_iter().map(show).collect())
    }

    async fn after(&self, after: Revision, prefix: &str) -> Result<Vec<Change>, BackendError> {
        let request = AfterRequest {
            after,
            through: self.head,
            prefix: prefix.into(),
            limit: 1000,
            limit_bytes: 1 << 20,
        };
        Ok(self.backend.after(request).await?.changes)
    }
}

fn create(key: &str, value: &str) -> Append {
    row(
        key,
        EventKind::Put { created: true },
        Revision::ZERO,
        Revision::ZERO,
        value,
        "",
    )
}

fn row(
    key: &str,
    kind: EventKind,
    created: Revision,
    prev: Revision,
    value: &str,
    old: &str,
) -> Append {
    Append {
        key: key.into(),
        kind,
        create_revision: created,
        prev_revision: prev,
        lease_secs: 0,
        value: Bytes::copy_from_slice(value.as_bytes()),
        old_value: Bytes::copy_from_slice(old.as_bytes()),
    }
}

async fn revisions_follow_each_other(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    assert!(log.head >= Revision(1), "clients must never see revision 0");
    assert_eq!(
        log.backend.open().await.expect("opens again").revision,
        log.head,
        "opening writes nothing new"
    );
    log.append((0..50).map(|i| create(&format!("/a/{i}"), "v")).collect())
        .await;
    assert_eq!(
        log.backend.open().await.expect("opens again").revision,
        log.head
    );
    log.backend.health().await.expect("healthy");
    assert!(log.backend.size_bytes().await.expect("a size") > 0);
}

async fn a_head_that_is_none_writes_nothing(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let first = log.create("/a", "1").await;
    let second = log.update("/a", first, first, "1", "2").await;
    let refused = log
        .backend
        .append(second.plus(1), vec![create("/b", "2")].into())
        .await;
    assert_eq!(
        refused,
        Err(BackendError::Stale(second)),
        "the log is shorter"
    );
    log.backend.compact(second).await.expect("compaction");
    let refused = log
        .backend
        .append(first, vec![create("/b", "2")].into())
        .await;
    assert_eq!(
        refused,
        Err(BackendError::Stale(second)),
        "what came after it is forgotten"
    );
    assert_eq!(log.range("", second).await.expect("range").len(), 1);
}

/// Whether a backend puts rows behind what others have written, rather than refusing the batch.
pub(super) async fn follows(backend: &dyn Backend) -> bool {
    let head = backend.open().await.expect("opens").revision;
    backend
        .append(head, vec![create("/follows/1", "v")].into())
        .await
        .expect("a first row");
    backend
        .append(head, vec![create("/follows/2", "v")].into())
        .await
        .is_ok()
}

/// What others wrote meanwhile conflicts only with rows of the same keys. Where nobody else writes, the
/// whole batch may be refused instead.
async fn a_log_that_moved_on_is_followed(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let mut created = Vec::new();
    for key in ["/changed", "/deleted", "/kept"] {
        created.push(log.create(key, "1").await);
    }
    let (known, changed, deleted, kept) = (log.head, created[0], created[1], created[2]);
    log.update("/changed", changed, changed, "1", "2").await;
    log.delete("/deleted", deleted, deleted, "1").await;
    let newest = log.create("/new", "1").await;
    let put = |key: &str, at| row(key, EventKind::Put { created: false }, at, at, "3", "1");
    let batch = vec![
        put("/changed", changed),
        create("/ours", "3"),
        create("/new", "3"),
        put("/kept", kept),
        row("/deleted", EventKind::Delete, deleted, deleted, "1", "1"),
    ];
    let answer = log.backend.append(known, batch.into()).await;
    if answer == Err(BackendError::Stale(newest)) && !log.backend.is_shared() {
        assert_eq!(
            log.backend.open().await.expect("opens").revision,
            newest,
            "nothing is written"
        );
        return;
    }
    let (ours, again) = (
        Outcome::Committed(newest.plus(1)),
        Outcome::Committed(newest.plus(2)),
    );
    assert_eq!(
        answer,
        Ok(vec![
            Outcome::Conflict,
            ours,
            Outcome::Conflict,
            again,
            Outcome::Conflict
        ])
    );
    log.head = newest.plus(2);
    let shown = log.range("/", log.head).await.expect("range");
    let values: Vec<_> = shown.iter().filter_map(|r| r.split('@').next()).collect();
    assert_eq!(values, ["/changed=2", "/kept=3", "/new=1", "/ours=3"]);
}

/// A row whose predecessor was replaced already is left out; the rows around it are written.
async fn a_conflict_is_one_rows_own(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let a = log.create("/a", "1").await;
    let a2 = log.update("/a", a, a, "1", "2").await;
    let late = row("/a", EventKind::Put { created: false }, a, a, "3", "1");
    let batch = vec![create("/b", "1"), late, create("/c", "1")];
    let outcomes = log
        .backend
        .append(a2, batch.into())
        .await
        .expect("the batch is answered row by row");
    let (b, c) = (a2.plus(1), a2.plus(2));
    assert_eq!(
        outcomes,
        [
            Outcome::Committed(b),
            Outcome::Conflict,
            Outcome::Committed(c)
        ]
    );
    assert_eq!(
        log.backend.open().await.expect("opens").revision,
        c,
        "a conflict takes no revision"
    );
    assert_eq!(
        log.range("/a", c).await.expect("range"),
        [format!("/a=2@{a}/{a2}")]
    );
}

async fn history_is_bounded_and_filtered(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let start = log.head;
    let a = log.create("/x/a", "1").await;
    let b = log.update("/x/a", a, a, "1", "2").await;
    let d = log.delete("/x/a", a, b, "2").await;
    log.create("/y/b", "3").await;
    let again = log.create("/x/a", "4").await;
    let changes = log.after(start, "/x/").await.expect("history");
    let shown: Vec<_> = changes
        .iter()
        .map(|c| (c.revision, c.kind, c.create_revision, c.prev_revision))
        .collect();
    let put = |created| EventKind::Put { created };
    assert_eq!(
        shown[..3],
        [
            (a, put(true), a, Revision::ZERO),
            (b, put(false), a, a),
            (d, EventKind::Delete, a, b)
        ]
    );
    assert_eq!(
        (shown[3].0, shown[3].1, shown[3].2),
        (again, put(true), again)
    );
    assert_eq!(
        (changes[1].value.as_ref(), changes[1].old_value.as_ref()),
        (&b"2"[..], &b"1"[..])
    );
    assert_eq!(
        changes[2].value.as_ref(),
        b"2",
        "a delete carries the last value"
    );
    bounded_history(&log, start).await;
}

/// However small the bounds, reading on from `through` gives every row exactly once.
async fn bounded_history(log: &Log, start: Revision) {
    for (limit, limit_bytes) in [(1, 1 << 20), (2, 1 << 20), (1000, 1), (1000, 3)] {
        let (mut after, mut seen) = (start, Vec::new());
        while after < log.head {
            let request = AfterRequest {
                after,
                through: log.head,
                prefix: "".into(),
                limit,
                limit_bytes,
            };
            let batch = log.backend.after(request).await.expect("history");
            assert!(batch.through > after, "progress");
            assert!(batch.changes.len() <= limit);
            seen.extend(batch.changes.iter().map(|c| c.revision));
            after = batch.through;
        }
        let expected: Vec<_> = (1..=log.head.0 - start.0).map(|n| start.plus(n)).collect();
        assert_eq!(seen, expected, "limit {limit}, {limit_bytes} bytes");
    }
}

async fn ranges_show_one_revision(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let a = log.create("/x/a", "1").await;
    let b = log.create("/x/b", "1").await;
    let a2 = log.update("/x/a", a, a, "1", "2").await;
    let gone = log.delete("/x/b", b, b, "1").await;
    let b2 = log.create("/x/b", "3").await;
    let at = async |revision| log.range("/x/", revision).await.expect("range");
    assert_eq!(at(a).await, [format!("/x/a=1@{a}/{a}")]);
    assert_eq!(
        at(b).await,
        [format!("/x/a=1@{a}/{a}"), format!("/x/b=1@{b}/{b}")]
    );
    assert_eq!(at(gone).await, [format!("/x/a=2@{a}/{a2}")]);
    assert_eq!(
        at(b2).await,
        [format!("/x/a=2@{a}/{a2}"), format!("/x/b=3@{b2}/{b2}")]
    );
    paged_ranges(&log).await;
}

async fn paged_ranges(log: &Log) {
    for (limit, limit_bytes) in [(1, 1 << 20), (1000, 1)] {
        let (mut start_after, mut keys) = (None, Vec::new());
        loop {
            let request = RangeRequest {
                prefix: "/x/".into(),
                start_after,
                at: log.head,
                limit,
                limit_bytes,
            };
            let batch = log.backend.range(request).await.expect("range");
            keys.extend(batch.records.iter().map(|r| r.key.to_string()));
            if !batch.more {
                break;
            }
            start_after = batch.records.last().map(|r| r.key.clone());
        }
        assert_eq!(keys, ["/x/a", "/x/b"], "limit {limit}, {limit_bytes} bytes");
    }
}

async fn compaction_keeps_what_lives(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let a = log.create("/a", "1").await;
    let b = log.create("/b", "1").await;
    let a2 = log.update("/a", a, a, "1", "2").await;
    let gone = log.delete("/b", b, b, "1").await;
    let a3 = log.update("/a", a, a2, "2", "3").await;
    assert_eq!(log.backend.compact(gone).await, Ok(gone));
    assert_eq!(log.backend.compact(gone).await, Ok(gone), "idempotent");
    assert_eq!(log.backend.compact(a2).await, Ok(gone), "never goes back");
    log.backend.maintain().await.expect("maintenance");
    assert_eq!(log.range("", a2).await, Err(BackendError::Compacted(gone)));
    assert_eq!(log.after(a2, "").await, Err(BackendError::Compacted(gone)));
    assert_eq!(
        log.range("", gone).await,
        Ok(vec![format!("/a=2@{a}/{a2}")])
    );
    assert_eq!(log.range("", a3).await, Ok(vec![format!("/a=3@{a}/{a3}")]));
    assert_eq!(log.after(gone, "").await.expect("history").len(), 1);
    let b2 = log.create("/b", "4").await;
    assert_eq!(log.backend.open().await.expect("opens").compacted, gone);
    assert_eq!(log.backend.compact(b2).await, Ok(b2));
    assert_eq!(
        log.range("", b2).await,
        Ok(vec![format!("/a=3@{a}/{a3}"), format!("/b=4@{b2}/{b2}")])
    );
}

async fn keys_and_values_are_taken_literally(fixture: &dyn Fixture) {
    let mut log = Log::new(fixture).await;
    let keys = [
        "/p/%", "/p/A", "/p/_", "/p/a", "/p/a'b", "/p/a^b", "/p/ü", "/p_/x", "/px/y",
    ];
    for key in keys {
        log.create(key, "v").await;
    }
    let found = async |prefix: &str| -> Vec<String> {
        let shown = log.range(prefix, log.head).await.expect("range");
        shown
            .iter()
            .map(|s| s.split('=').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(
        found("/p/").await,
        keys[..7],
        "bytewise order, case matters"
    );
    assert_eq!(found("/p_/").await, ["/p_/x"]);
    assert_eq!(found("/p/%").await, ["/p/%"]);
    assert_eq!(found("/p/a").await, ["/p/a", "/p/a'b", "/p/a^b"]);
    assert_eq!(
        log.after(Revision(1), "/p_/").await.expect("history").len(),
        1
    );
    let bytes: Vec<u8> = (0..=255).cycle().take(1_500_000).collect();
    let big = Append {
        value: bytes.clone().into(),
        ..create("/big", "")
    };
    log.append(vec![big, create("/empty", "")]).await;
    let request = AfterRequest {
        after: log.head.minus(2),
        through: log.head,
        prefix: "".into(),
        limit: 10,
        limit_bytes: 1 << 20,
    };
    let first = log.backend.after(request).await.expect("history");
    assert_eq!(first.changes[0].value, bytes);
    assert_eq!(log.range("/empty", log.head).await.expect("range").len(), 1);
}
