//! `k3s_store::Backend` over component instances.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k3s_base::error::chain;
use k3s_battery::Component;
use k3s_plugin_host::{CallError, PluginState, PluginStatus};
use k3s_store::backend::{
    AfterBatch, AfterRequest, Append, Opened, Outcome, RangeBatch, RangeRequest,
};
use k3s_store::{Backend, BackendError, Revision};
use k3s_wit_bindings::datastore::Datastore;
use k3s_wit_bindings::datastore::exports::k3s::datastore::backend as wit;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;

use super::capability::Grant;
use super::convert;
use super::kind::DatastoreKind;
use super::sqlite;

/// An instance with its connection.
pub(super) type Instance = Component<DatastoreKind>;

type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

/// Where the data are.
pub(super) enum Place {
    /// In a file, which this process has for itself.
    File(PathBuf),
    /// On a server, which others may use too.
    Server,
}

/// A datastore component as a backend.
pub struct WasmBackend {
    place: Place,
    writer: Arc<Instance>,
    readers: Arc<Pool>,
}

/// Instances that read; a permit stands for a free one.
struct Pool {
    permits: Arc<Semaphore>,
    free: Mutex<Vec<Arc<Instance>>>,
}

/// A reader in use; returned when the call is over, also if its caller was dropped.
struct Lease {
    pool: Arc<Pool>,
    instance: Option<Arc<Instance>>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    async fn lease(self: &Arc<Self>) -> Result<Lease, BackendError> {
        let closed = || BackendError::Unavailable("the datastore is closed".to_owned());
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let instance = self.free.lock().pop();
        if instance.is_none() {
            Err(closed())
        } else {
            Ok(Lease {
                pool: self.clone(),
                instance,
                _permit: permit,
            })
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.free.lock().extend(self.instance.take());
    }
}

impl WasmBackend {
    pub(super) fn new(place: Place, writer: Instance, readers: Vec<Instance>) -> Self {
        let permits = Arc::new(Semaphore::new(readers.len()));
        let free = Mutex::new(readers.into_iter().map(Arc::new).collect());
        Self {
            place,
            writer: Arc::new(writer),
            readers: Arc::new(Pool { permits, free }),
        }
    }

    /// How the writing instance is.
    #[must_use]
    pub fn status(&self) -> PluginStatus {
        self.writer.status()
    }

    /// Starts the writing instance. Blocks.
    ///
    /// # Errors
    /// When it fails or refuses its configuration.
    pub fn start(&self) -> Result<(), CallError> {
        self.writer.start()
    }

    async fn write<T: Send + 'static>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Datastore, &mut Store<PluginState<Grant>>) -> Answer<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        let writer = self.writer.clone();
        blocking(move || answer(writer.call(function, call))).await
    }

    async fn read<T: Send + 'static>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Datastore, &mut Store<PluginState<Grant>>) -> Answer<T> + Send + 'static,
    ) -> Result<T, BackendError> {
        let lease = self.readers.lease().await?;
        let result = blocking(move || match &lease.instance {
            Some(reader) => answer(reader.call(function, call)),
            None => Err(BackendError::Unavailable("no reader".to_owned())),
        });
        // A read changes nothing, so its outcome is never in doubt.
        result.await.map_err(|error| match error {
            BackendError::OutcomeUnknown(message) => BackendError::Unavailable(message),
            other => other,
        })
    }
}

fn answer<T>(result: Result<Result<T, wit::Error>, CallError>) -> Result<T, BackendError> {
    result
        .map_err(|error| convert::failed_call(&error))?
        .map_err(convert::error)
}

/// Runs on a thread that may block. It is awaited by its only caller; if that is dropped the call is
/// finished all the same, within the guest's deadline and the database's timeout.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
) -> Result<T, BackendError> {
    let lost = |error| BackendError::OutcomeUnknown(format!("the thread ended: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(lost)?
}

#[async_trait]
impl Backend for WasmBackend {
    fn is_shared(&self) -> bool {
        matches!(self.place, Place::Server)
    }

    async fn open(&self) -> Result<Opened, BackendError> {
        let position = self
            .write("open", |b, store| {
                b.k3s_datastore_backend().call_open(store)
            })
            .await?;
        if let Place::File(path) = &self.place {
            let path = path.clone();
            // Only now is it known that the database is ours to change.
            blocking(move || {
                sqlite::use_wal(&path).map_err(|error| BackendError::Unavailable(chain(&error)))
            })
            .await?;
        }
        Ok(convert::opened(position))
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        let outcomes = self.write("append", move |b, store| {
            let rows: Vec<_> = writes.iter().map(convert::row).collect();
            b.k3s_datastore_backend().call_append(store, head.0, &rows)
        });
        Ok(outcomes.await?.into_iter().map(convert::outcome).collect())
    }

    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError> {
        let changes = self.read("after", move |b, store| {
            let limits = convert::limits(request.limit, request.limit_bytes);
            let (after, through) = (request.after.0, request.through.0);
            b.k3s_datastore_backend()
                .call_after(store, after, through, &request.prefix, limits)
        });
        Ok(convert::changes(changes.await?))
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError> {
        let entries = self.read("range", move |b, store| {
            let limits = convert::limits(request.limit, request.limit_bytes);
            let start_after = request.start_after.as_deref();
            b.k3s_datastore_backend().call_range(
                store,
                request.at.0,
                &request.prefix,
                start_after,
                limits,
            )
        });
        Ok(convert::entries(entries.await?))
    }

    async fn compact(&self, to: Revision) -> Result<Revision, BackendError> {
        self.write("compact", move |b, store| {
            b.k3s_datastore_backend().call_compact(store, to.0)
        })
        .await
        .map(Revision)
    }

    async fn maintain(&self) -> Result<(), BackendError> {
        self.write("maintain", |b, store| {
            b.k3s_datastore_backend().call_maintain(store)
        })
        .await
    }

    async fn size_bytes(&self) -> Result<u64, BackendError> {
        self.read("size", |b, store| {
            b.k3s_datastore_backend().call_size(store)
        })
        .await
    }

    async fn health(&self) -> Result<(), BackendError> {
        self.read("health", |b, store| {
            b.k3s_datastore_backend().call_health(store)
        })
        .await
    }
}
