//! Backends that break what a log promises, each in one way: the check of recorded histories must see it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::Recorder;
use super::rig::{Rig, until};
use crate::backend::{AfterBatch, AfterRequest, Append, Opened, Outcome, RangeBatch, RangeRequest};
use crate::backend::{Backend, BackendError};
use crate::memory::MemoryBackend;
use crate::model::{EventKind, Revision};
use crate::store::Store;

/// What is wrong with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Nothing.
    Not,
    /// A batch is acknowledged and not there afterwards, as without a flush.
    Forgets,
    /// A batch is written twice, as by a repetition after a lost commit.
    Doubles,
    /// Rows are written whatever others have made of their keys meanwhile, as without a lock.
    Overwrites,
    /// A row is reported with the revision of its neighbour.
    Swaps,
    /// A commit that fails is said to have written nothing, although it has.
    Denies,
}

/// The fake, wrong at every tenth batch, or at every one where chance decides whether it matters.
struct Mutant {
    log: MemoryBackend,
    wrong: Wrong,
    batches: AtomicU64,
    /// Revisions of batches that are acknowledged but not there.
    lost: Mutex<Vec<Revision>>,
}

impl Mutant {
    fn new(wrong: Wrong) -> Self {
        Self {
            log: MemoryBackend::new(),
            wrong,
            batches: AtomicU64::new(0),
            lost: Mutex::default(),
        }
    }

    async fn break_one(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        match self.wrong {
            Wrong::Not => self.log.append(head, writes).await,
            Wrong::Forgets => {
                let outcomes = self.log.append(head, writes).await?;
                let revisions = outcomes.iter().filter_map(|o| {
                    if let Outcome::Committed(r) = o {
                        Some(*r)
                    } else {
                        None
                    }
                });
                self.lost.lock().extend(revisions);
                Ok(outcomes)
            }
            Wrong::Doubles => {
                let outcomes = self.log.append(head, writes.clone()).await?;
                let now = self.log.open().await?.revision;
                self.log
                    .append(now, writes.iter().map(blind).collect())
                    .await?;
                Ok(outcomes)
            }
            Wrong::Overwrites => {
                let now = self.log.open().await?.revision;
                self.log
                    .append(now, writes.iter().map(blind).collect())
                    .await
            }
            Wrong::Swaps => {
                let mut outcomes = self
                    .log
                    .append(head, writes.iter().rev().cloned().collect())
                    .await?;
                outcomes.sort_by_key(|o| {
                    if let Outcome::Committed(r) = o {
                        r.0
                    } else {
                        0
                    }
                });
                Ok(outcomes)
            }
            Wrong::Denies => {
                self.log.append(head, writes).await?;
                Err(BackendError::Unavailable("on purpose".to_owned()))
            }
        }
    }
}

#[async_trait]
impl Backend for Mutant {
    fn is_shared(&self) -> bool {
        true
    }

    async fn open(&self) -> Result<Opened, BackendError> {
        self.log.open().await
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        // As a disk would, so that writes meet in batches.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let always = matches!(self.wrong, Wrong::Overwrites | Wrong::Swaps);
        if self.batches.fetch_add(1, Ordering::SeqCst) % 10 == 9 || always {
            return self.break_one(head, writes).await;
        }
        self.log.append(head, writes).await
    }

    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError> {
        let mut batch = self.log.after(request).await?;
        let lost = self.lost.lock();
        batch
            .changes
            .retain(|change| !lost.contains(&change.revision));
        Ok(batch)
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError> {
        self.log.range(request).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision, BackendError> {
        self.log.compact(to).await
    }

    async fn maintain(&self) -> Result<(), BackendError> {
        self.log.maintain().await
    }

    async fn size_bytes(&self) -> Result<u64, BackendError> {
        self.log.size_bytes().await
    }

    async fn health(&self) -> Result<(), BackendError> {
        self.log.health().await
    }
}

/// A put that the fake does not hold against its predecessor.
fn blind(write: &Append) -> Append {
    let put = EventKind::Put { created: true };
    Append {
        kind: if write.kind == EventKind::Delete {
            write.kind
        } else {
            put
        },
        ..write.clone()
    }
}

/// What the check says of a history on such a backend; none when it finds nothing.
async fn verdict(wrong: Wrong) -> Option<String> {
    let backend = Arc::new(Mutant::new(wrong));
    let rigs = [
        Rig::open(backend.clone()).await,
        Rig::open(backend.clone()).await,
    ];
    let stores: Vec<Store> = rigs.iter().map(|rig| rig.store.clone()).collect();
    let recorder = Recorder::start(&stores, 4, 3);
    until("enough batches", || {
        backend.batches.load(Ordering::SeqCst) >= 200
    })
    .await;
    let checked = tokio::spawn(async move { recorder.check(&*backend).await }).await;
    for rig in rigs {
        rig.stop().await;
    }
    let panic = checked.err()?.into_panic();
    let text = panic.downcast_ref::<String>().cloned();
    Some(
        text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()))
            .unwrap_or_default(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_found_and_the_right_one_is_not() {
    assert_eq!(verdict(Wrong::Not).await, None);
    for wrong in [
        Wrong::Forgets,
        Wrong::Doubles,
        Wrong::Overwrites,
        Wrong::Swaps,
        Wrong::Denies,
    ] {
        let said = verdict(wrong)
            .await
            .unwrap_or_else(|| panic!("{wrong:?}: nothing was found"));
        assert!(!said.is_empty(), "{wrong:?}");
    }
}
