//! A backend whose commits wait at a gate, so that a case decides what happens while one is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::backend::{AfterBatch, AfterRequest, Append, Opened, Outcome, RangeBatch, RangeRequest};
use crate::backend::{Backend, BackendError};
use crate::model::Revision;

pub(super) struct GatedBackend {
    inner: Arc<dyn Backend>,
    gate: Semaphore,
    held: AtomicUsize,
}

impl GatedBackend {
    pub(super) fn new(inner: Arc<dyn Backend>) -> Self {
        Self {
            inner,
            gate: Semaphore::new(0),
            held: AtomicUsize::new(0),
        }
    }

    /// Writes in the commit that waits at the gate.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    /// Lets this and all later commits through.
    pub(super) fn open_gate(&self) {
        self.gate.close();
    }
}

#[async_trait]
impl Backend for GatedBackend {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn open(&self) -> Result<Opened, BackendError> {
        self.inner.open().await
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        self.held.store(writes.len(), Ordering::SeqCst);
        // Ends with an error when the gate is opened, which is what is waited for.
        let _ = self.gate.acquire().await;
        self.inner.append(head, writes).await
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
