//! What the components do, compiled for this machine: the same logic with the same statements in the same
//! transactions, without a component around it. Only measured here, in no product.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use k3s_datastore_kine::{Dialect, append, compact, open, read};
use k3s_plugin_sdk::datastore::{self as wit, Database, Error};
use k3s_store::backend::{
    AfterBatch, AfterRequest, Append, Change, Opened, Outcome, RangeBatch, RangeRequest, Record,
};
use k3s_store::{Backend, BackendError, EventKind, Revision};

/// Kine's table over one connection.
pub(super) struct Native<C> {
    dialect: &'static Dialect,
    connection: Arc<Mutex<C>>,
    shared: bool,
}

impl<C: Database + Send + 'static> Native<C> {
    /// `shared` as the component says it, so that the store behaves the same.
    pub(super) fn new(dialect: &'static Dialect, connection: C, shared: bool) -> Self {
        Self {
            dialect,
            connection: Arc::new(Mutex::new(connection)),
            shared,
        }
    }

    /// On a thread that may block, as calls of components are.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&C, &'static Dialect) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, BackendError> {
        let (connection, dialect) = (self.connection.clone(), self.dialect);
        let work = move || {
            work(
                &connection.lock().unwrap_or_else(PoisonError::into_inner),
                dialect,
            )
        };
        let lost = |error| BackendError::OutcomeUnknown(format!("the thread ended: {error}"));
        tokio::task::spawn_blocking(work)
            .await
            .map_err(lost)?
            .map_err(failed)
    }
}

fn failed(error: Error) -> BackendError {
    match error {
        Error::OutcomeUnknown(why) => BackendError::OutcomeUnknown(why),
        Error::Stale(revision) => BackendError::Stale(Revision(revision)),
        Error::Compacted(revision) => BackendError::Compacted(Revision(revision)),
        Error::Refused(why) => BackendError::Refused(why),
        Error::Corrupt(why) => BackendError::Corrupt(why),
        Error::Unavailable(why) | Error::Other(why) => BackendError::Unavailable(why),
    }
}

#[async_trait]
impl<C: Database + Send + 'static> Backend for Native<C> {
    fn is_shared(&self) -> bool {
        self.shared
    }

    async fn open(&self) -> Result<Opened, BackendError> {
        let position = self.call(|db, dialect| open::open(db, dialect)).await?;
        Ok(Opened {
            revision: Revision(position.revision),
            compacted: Revision(position.compacted),
        })
    }

    async fn append(
        &self,
        head: Revision,
        writes: Arc<[Append]>,
    ) -> Result<Vec<Outcome>, BackendError> {
        let outcomes = self.call(move |db, dialect| {
            let rows = writes.iter().map(row).collect();
            append::append(db, dialect, head.0, rows)
        });
        let outcome = |outcome| match outcome {
            wit::Outcome::Committed(revision) => Outcome::Committed(Revision(revision)),
            wit::Outcome::Conflict => Outcome::Conflict,
        };
        Ok(outcomes.await?.into_iter().map(outcome).collect())
    }

    async fn after(&self, request: AfterRequest) -> Result<AfterBatch, BackendError> {
        let changes = self.call(move |db, dialect| {
            let limits = limits(request.limit, request.limit_bytes);
            read::after(
                db,
                dialect,
                request.after.0,
                request.through.0,
                &request.prefix,
                limits,
            )
        });
        let found = changes.await?;
        Ok(AfterBatch {
            changes: found.changes.into_iter().map(change).collect(),
            through: Revision(found.through),
        })
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeBatch, BackendError> {
        let entries = self.call(move |db, dialect| {
            let limits = limits(request.limit, request.limit_bytes);
            read::range(
                db,
                dialect,
                request.at.0,
                &request.prefix,
                request.start_after.as_deref(),
                limits,
            )
        });
        let found = entries.await?;
        Ok(RangeBatch {
            records: found.entries.into_iter().map(record).collect(),
            more: found.more,
        })
    }

    async fn compact(&self, to: Revision) -> Result<Revision, BackendError> {
        self.call(move |db, dialect| compact::compact(db, dialect, to.0))
            .await
            .map(Revision)
    }

    async fn maintain(&self) -> Result<(), BackendError> {
        self.call(|db, dialect| compact::maintain(db, dialect))
            .await
    }

    async fn size_bytes(&self) -> Result<u64, BackendError> {
        self.call(|db, dialect| read::size(db, dialect)).await
    }

    async fn health(&self) -> Result<(), BackendError> {
        self.call(|db, dialect| read::health(db, dialect)).await
    }
}

fn limits(rows: usize, bytes: usize) -> wit::Limits {
    let most = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    wit::Limits {
        rows: most(rows),
        bytes: most(bytes),
    }
}

/// As the host makes it for a component.
fn row(append: &Append) -> wit::AppendRow {
    wit::AppendRow {
        key: append.key.to_string(),
        kind: match append.kind {
            EventKind::Put { created: true } => wit::ChangeKind::Create,
            EventKind::Put { created: false } => wit::ChangeKind::Update,
            EventKind::Delete => wit::ChangeKind::Delete,
        },
        create_revision: append.create_revision.0,
        prev_revision: append.prev_revision.0,
        lease: append.lease_secs,
        value: append.value.to_vec(),
        old_value: append.old_value.to_vec(),
    }
}

fn change(change: wit::Change) -> Change {
    Change {
        revision: Revision(change.revision),
        key: change.key.into(),
        kind: match change.kind {
            wit::ChangeKind::Create => EventKind::Put { created: true },
            wit::ChangeKind::Update => EventKind::Put { created: false },
            wit::ChangeKind::Delete => EventKind::Delete,
        },
        create_revision: Revision(change.create_revision),
        prev_revision: Revision(change.prev_revision),
        lease_secs: change.lease,
        value: change.value.into(),
        old_value: change.old_value.into(),
    }
}

fn record(entry: wit::Entry) -> Record {
    Record {
        key: entry.key.into(),
        value: entry.value.into(),
        create_revision: Revision(entry.create_revision),
        mod_revision: Revision(entry.mod_revision),
        lease_secs: entry.lease,
    }
}
