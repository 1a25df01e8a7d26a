//! Reading on from the backend: after a commit whose outcome is unknown, or when somebody else
//! wrote. What is found becomes part of memory and goes to the watchers like any other write.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;

use crate::backend::{AfterRequest, Append};
use crate::shared::Shared;
use crate::{BackendError, Event, EventKind, Revision, plan};

/// Between tries; while it lasts every write fails at once, so it stays short.
pub(crate) const BACKOFF: BackoffPolicy =
    BackoffPolicy { base: Duration::from_millis(20), factor: 2.0, cap: Duration::from_secs(2), jitter: 0.0 };

/// Rows per read.
const ROWS: usize = 1000;

/// Applies everything the backend holds beyond memory and returns it.
pub(crate) async fn read_on(shared: &Shared) -> Result<Vec<Arc<Event>>, BackendError> {
    let through = shared.backend.open().await?.revision;
    let mut all = Vec::new();
    let mut after = shared.revision();
    while after < through {
        let request = AfterRequest {
            after,
            through,
            prefix: "".into(),
            limit: ROWS,
            limit_bytes: shared.options.read_batch_bytes,
        };
        let batch = shared.backend.after(request).await?;
        let extract = |key: &str, value: &_| shared.options.extract.of(key, value);
        let events: Vec<_> = batch.changes.iter().map(|c| plan::replayed(c, extract)).collect();
        if batch.through <= after {
            return Err(BackendError::Corrupt(format!("no row follows revision {after}, yet the newest is {through}")));
        }
        after = batch.through;
        shared.apply(&events, after);
        all.extend(events);
    }
    Ok(all)
}

/// True when `event`, found after `head`, is what `row` asked for.
pub(crate) fn is_same(row: &Append, event: &Event, head: Revision) -> bool {
    event.revision > head
        && event.kind == row.kind
        && *event.key() == row.key
        && (row.kind == EventKind::Delete || event.entry.value == row.value)
        && event.previous.as_ref().map_or(Revision::ZERO, |p| p.mod_revision) == row.prev_revision
}
