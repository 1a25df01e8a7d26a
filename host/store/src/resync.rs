//! Reading on from the backend: after a commit whose outcome is unknown, when somebody else wrote, or
//! to see whether somebody did. What is found becomes part of memory and goes to the watchers like any
//! other write.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;

use crate::backend::{AfterRequest, Append};
use crate::keyspace::Keyspace;
use crate::shared::Shared;
use crate::{BackendError, Event, EventKind, Revision, list, plan};

/// Between tries; while it lasts every write fails at once, so it stays short.
pub(crate) const BACKOFF: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(20),
    factor: 2.0,
    cap: Duration::from_secs(2),
    jitter: 0.0,
};

/// Rows per read.
const ROWS: usize = 1000;

/// Asks the backend where the log ends, for certain, and applies everything up to there.
pub(crate) async fn read_on(shared: &Shared) -> Result<Vec<Arc<Event>>, BackendError> {
    let through = shared.backend.open().await?.revision;
    read_to(shared, through).await
}

/// Reads everything anew, when other servers have compacted what this store has not read yet: there is
/// no way to go on from where it was. Watchers go on if the backend still has what they miss, and are
/// told to start over otherwise.
pub(crate) async fn reload(shared: &Shared) -> Result<(), BackendError> {
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

/// Applies what the backend holds up to `through`, which it is known to have.
pub(crate) async fn read_to(
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

/// Applies what somebody else has written; true if there was anything.
pub(crate) async fn look(shared: &Shared) -> Result<bool, BackendError> {
    let after = shared.revision();
    // The end is not known: what is read ends with the newest row that was seen.
    let batch = page(shared, after, after.plus(ROWS as u64)).await?;
    let Some(newest) = batch.events.last().map(|e| e.revision) else {
        return Ok(false);
    };
    shared.apply(&batch.events, newest);
    Ok(true)
}

/// The same until there is nothing more.
pub(crate) async fn look_on(shared: &Shared) -> Result<(), BackendError> {
    while look(shared).await? {}
    Ok(())
}

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

/// True when `event`, found after `head`, is what `row` asked for.
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
