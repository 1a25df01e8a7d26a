//! Reads rows from the backend into memory: after a commit whose outcome is unknown, when another
//! server wrote, and to find out whether one did. The rows are applied and sent to watchers like the
//! store's own writes.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;

use tracing::warn;

use crate::backend::{AfterRequest, Append, BackendError};
use crate::keyspace::Keyspace;
use crate::model::{Event, EventKind, Revision};
use crate::shared::Shared;
use crate::{list, plan};

/// Between tries. Every write fails at once meanwhile, so it stays short.
pub(crate) const BACKOFF: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(20),
    factor: 2.0,
    cap: Duration::from_secs(2),
    jitter: 0.0,
};

/// Rows per read.
const ROWS: usize = 1000;

/// Applies everything up to the end of the log and returns it. If other servers have compacted rows
/// that this store has not read yet, the whole state is read again and no event is returned.
pub(crate) async fn read_or_reload(shared: &Shared) -> Result<Vec<Arc<Event>>, BackendError> {
    match read_to_end(shared).await {
        Err(BackendError::Compacted(to)) => {
            warn!(compacted = %to, "other servers compacted unread history; reloading the state");
            reload(shared).await.map(|()| Vec::new())
        }
        read => read,
    }
}

/// Asks the backend where the log ends, for certain, and applies everything up to there.
async fn read_to_end(shared: &Shared) -> Result<Vec<Arc<Event>>, BackendError> {
    let through = shared.backend.open().await?.revision;
    read_through(shared, through).await
}

/// Replaces memory by the backend's current state. Watchers continue if the backend still has the
/// events that they miss, and otherwise have to start over.
async fn reload(shared: &Shared) -> Result<(), BackendError> {
    let opened = shared.backend.open().await?;
    let mut keys = Keyspace::default();
    let mut start_after = None;
    loop {
        let batch = shared
            .backend
            .range(list::request(shared, "", start_after, opened.revision))
            .await?;
        start_after = batch.records.last().map(|r| r.key.clone());
        if batch.more && start_after.is_none() {
            return Err(BackendError::Corrupt(
                "reading the keys in order makes no progress".to_owned(),
            ));
        }
        for record in batch.records {
            keys.insert(list::entry_of(shared, record));
        }
        if !batch.more {
            shared.replace(keys, opened);
            return Ok(());
        }
    }
}

/// Applies and returns the rows up to `through`, which the backend is known to have.
pub(crate) async fn read_through(
    shared: &Shared,
    through: Revision,
) -> Result<Vec<Arc<Event>>, BackendError> {
    let mut all = Vec::new();
    let mut after = shared.revision();
    while after < through {
        let batch = page(shared, after, through).await?;
        if batch.through <= after {
            return Err(BackendError::Corrupt(format!(
                "no row follows revision {after}, yet the newest is {through}"
            )));
        }
        after = batch.through;
        shared.apply(&batch.events, after);
        all.extend(batch.events);
    }
    Ok(all)
}

/// Applies one page of rows written by other servers; true if there was one.
pub(crate) async fn poll_once(shared: &Shared) -> Result<bool, BackendError> {
    let after = shared.revision();
    // The end of the log is not known, so memory moves to the newest row that was read, not to the
    // end of the request.
    let batch = page(shared, after, after.plus(ROWS as u64)).await?;
    let Some(newest) = batch.events.last().map(|e| e.revision) else {
        return Ok(false);
    };
    shared.apply(&batch.events, newest);
    Ok(true)
}

/// Applies pages of rows written by other servers until there are no more.
pub(crate) async fn poll_until_current(shared: &Shared) -> Result<(), BackendError> {
    while poll_once(shared).await? {}
    Ok(())
}

/// Events to apply, and the revision up to which the log has been read.
struct Page {
    events: Vec<Arc<Event>>,
    through: Revision,
}

async fn page(shared: &Shared, after: Revision, through: Revision) -> Result<Page, BackendError> {
    let limit_bytes = shared.options.read_batch_bytes;
    let request = AfterRequest {
        after,
        through,
        prefix: "".into(),
        limit: ROWS,
        limit_bytes,
    };
    let batch = shared.backend.after(request).await?;
    let extract = |key: &str, value: &_| shared.options.extract.of(key, value);
    let events = batch
        .changes
        .iter()
        .map(|c| plan::replayed(c, extract))
        .collect();
    Ok(Page {
        events,
        through: batch.through,
    })
}

/// True when `event` is the row `row`, committed after `head`.
pub(crate) fn is_same(row: &Append, event: &Event, head: Revision) -> bool {
    event.revision > head
        && event.kind == row.kind
        && *event.key() == row.key
        && (row.kind == EventKind::Delete || event.entry.value == row.value)
        && event
            .previous
            .as_ref()
            .map_or(Revision::ZERO, |p| p.mod_revision)
            == row.prev_revision
}
