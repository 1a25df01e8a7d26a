//! A backend that fails on purpose, and how the store must react.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a contract case fails by panicking"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::Fixture;
use super::rig::Rig;
use crate::backend::{AfterBatch, AfterRequest, Append, Opened, Outcome, RangeBatch, RangeRequest};
use crate::backend::{Backend, BackendError};
use crate::error::WriteError;
use crate::model::{Precondition, Revision, Write};

/// How one commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not.
    None,
    /// Nothing is written and the backend says so.
    Before,
    /// Nothing is written, the backend cannot tell.
    UnknownBefore,
    /// Everything is written, the backend cannot tell.
    UnknownAfter,
    /// The same, and it is gone until [`FaultyBackend::come_back`].
    Gone,
}

/// Passes everything on, except that commits fail as requested.
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    faults: Mutex<VecDeque<Fault>>,
    away: AtomicBool,
}

impl FaultyBackend {
    /// The next commits fail with `faults`, in order; later ones do not.
    pub fn new(inner: Arc<dyn Backend>, faults: impl IntoIterator<Item = Fault>) -> Self {
        Self {
            inner,
            faults: Mutex::new(faults.into_iter().collect()),
            away: AtomicBool::new(false),
        }
    }

    /// Ends [`Fault::Gone`].
    pub fn come_back(&self) {
        self.away.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Backend for FaultyBackend {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn open(&self) -> Result<Opened, BackendError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(BackendError::Unavailable("on purpose".to_owned()));
        }
        self.inner.open().await
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        let fault = self.faults.lock().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => self.inner.append(head, writes).await,
            Fault::Before => Err(BackendError::Unavailable("on purpose".to_owned())),
            Fault::UnknownBefore => Err(BackendError::OutcomeUnknown("on purpose".to_owned())),
            Fault::UnknownAfter | Fault::Gone => {
                self.away.store(fault == Fault::Gone, Ordering::SeqCst);
                self.inner.append(head, writes).await?;
                Err(BackendError::OutcomeUnknown("on purpose".to_owned()))
            }
        }
    }

    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError> {
        self.inner.after(request).await
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError> {
        self.inner.range(request).await
    }

    async fn compact(&self, to: Revision) -> Result<Revision, BackendError> {
        self.inner.compact(to).await
    }

    async fn maintain(&self) -> Result<(), BackendError> {
        self.inner.maintain().await
    }

    async fn size_bytes(&self) -> Result<u64, BackendError> {
        self.inner.size_bytes().await
    }

    async fn health(&self) -> Result<(), BackendError> {
        self.inner.health().await
    }
}

pub(super) async fn all(fixture: &dyn Fixture) {
    a_failed_commit_changes_nothing(fixture).await;
    an_unknown_outcome_is_found_out(fixture).await;
    failing_at_any_write_loses_nothing(fixture).await;
}

async fn a_failed_commit_changes_nothing(fixture: &dyn Fixture) {
    for fault in [Fault::Before, Fault::UnknownBefore] {
        let backend = Arc::new(FaultyBackend::new(
            fixture.create().await,
            [Fault::None, fault],
        ));
        let rig = Rig::open(backend).await;
        let first = rig.put("/f", "1").await;
        match rig
            .store
            .write(Write::put("/f", Precondition::Any, "2"))
            .await
        {
            Err(error @ WriteError::Unavailable(_)) => assert!(error.is_retryable()),
            other => panic!("{fault:?}: expected a retryable error, got {other:?}"),
        }
        assert_eq!(
            (rig.store.revision(), rig.dump("", None).await),
            (first.revision, vec!["/f=1".to_owned()])
        );
        assert_eq!(rig.put("/f", "3").await.revision, first.revision.plus(1));
        rig.stop().await;
    }
}

async fn an_unknown_outcome_is_found_out(fixture: &dyn Fixture) {
    let backend = Arc::new(FaultyBackend::new(
        fixture.create().await,
        [Fault::None, Fault::UnknownAfter],
    ));
    let rig = Rig::open(backend).await;
    let mut watcher = rig
        .store
        .watch("/f", rig.store.revision())
        .expect("a watch");
    let first = rig.put("/f", "1").await;
    let second = rig.put("/f", "2").await;
    assert_eq!(
        second.revision,
        first.revision.plus(1),
        "it was committed, so it is acknowledged"
    );
    assert_eq!(rig.dump("", None).await, ["/f=2"]);
    for revision in [first.revision, second.revision] {
        assert_eq!(watcher.next().await.expect("an event").revision, revision);
    }
    rig.stop().await;
}

/// Fails the Nth commit, for each N, and holds memory against a fresh read of the backend.
async fn failing_at_any_write_loses_nothing(fixture: &dyn Fixture) {
    for fault in [Fault::Before, Fault::UnknownBefore, Fault::UnknownAfter] {
        for nth in 0..6 {
            let inner = fixture.create().await;
            let faults = (0..nth).map(|_| Fault::None).chain([fault]);
            let rig = Rig::open(Arc::new(FaultyBackend::new(inner.clone(), faults))).await;
            for i in 0..6 {
                let write = Write::put(
                    format!("/n/{}", i % 4),
                    Precondition::Any,
                    format!("{i}").into_bytes(),
                );
                if rig.store.write(write.clone()).await.is_err() {
                    rig.store
                        .write(write)
                        .await
                        .expect("the second try succeeds");
                }
            }
            let (state, revision) = (rig.dump("", None).await, rig.store.revision());
            rig.stop().await;
            let rig = Rig::open(fixture.reopen(inner).await).await;
            assert_eq!(
                (rig.dump("", None).await, rig.store.revision()),
                (state, revision),
                "{fault:?} at {nth}"
            );
            rig.stop().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::rig::{until, within};
    use crate::memory::MemoryBackend;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writers_do_not_wait_for_ever_for_what_nobody_knows() {
        let backend = Arc::new(FaultyBackend::new(
            Arc::new(MemoryBackend::new()),
            [Fault::None, Fault::Gone],
        ));
        let rig = Rig::open(backend.clone()).await;
        rig.put("/f", "1").await;
        let unsure = within(
            "an answer",
            rig.store.write(Write::put("/f", Precondition::Any, "2")),
        )
        .await;
        let unknown = |result: &Result<_, WriteError>| {
            matches!(
                result,
                Err(WriteError::Unavailable(BackendError::OutcomeUnknown(_)))
            )
        };
        assert!(unknown(&unsure), "got {unsure:?}");
        let refused = within(
            "an answer",
            rig.store.write(Write::put("/g", Precondition::Any, "2")),
        )
        .await;
        assert!(
            refused.is_err() && !unknown(&refused),
            "this one was not handed in: {refused:?}"
        );
        assert_eq!(rig.dump("", None).await, ["/f=1"], "reads go on");
        backend.come_back();
        until("what was written is seen", || {
            rig.store.get("/f").is_some_and(|e| e.value == "2")
        })
        .await;
        rig.put("/f", "3").await;
        assert_eq!(rig.dump("", None).await, ["/f=3"]);
        rig.stop().await;
    }
}
