//! Lists of the current state and of an older revision.
//!
//! An older revision is today's state with the newer events undone, as long as these are in memory;
//! that is how the pages of one list stay consistent. Beyond memory the backend answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::{BackendError, RangeRequest, Record};
use crate::error::ListError;
use crate::model::{Entry, Event, EventKind, Revision};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// What part of a list to return.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Only keys greater than this one.
    pub start_after: Option<String>,
    /// Entries at most; 0 is all.
    pub limit: usize,
    /// As of this revision; none is now.
    pub at: Option<Revision>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// In key order.
    pub entries: Vec<Arc<Entry>>,
    /// The revision that the page shows.
    pub revision: Revision,
    /// True when more entries follow.
    pub more: bool,
    /// How many follow.
    pub remaining: u64,
}

/// Answers one list.
pub(crate) async fn list(
    shared: &Shared,
    prefix: &str,
    options: &ListOptions,
) -> Result<ListPage, ListError> {
    let (snapshot, newer) = {
        let state = shared.state.read();
        let at = options.at.unwrap_or(state.revision);
        if at > state.revision {
            return Err(ListError::Future {
                requested: at,
                current: state.revision,
            });
        }
        if at < state.compacted {
            return Err(ListError::Compacted {
                requested: at,
                compacted: state.compacted,
            });
        }
        let newer = if at == state.revision {
            Some(Vec::new())
        } else {
            state.log.since(prefix, at)
        };
        (
            Snapshot {
                keys: state.keys.clone(),
                revision: at,
            },
            newer,
        )
    };
    match newer {
        Some(newer) if newer.is_empty() => Ok(page(&snapshot, prefix, options)),
        Some(newer) => Ok(page(&undo(snapshot, &newer), prefix, options)),
        None => from_backend(shared, prefix, options, snapshot.revision).await,
    }
}

fn page(snapshot: &Snapshot, prefix: &str, options: &ListOptions) -> ListPage {
    let start_after = options.start_after.as_deref();
    let limit = if options.limit == 0 {
        usize::MAX
    } else {
        options.limit
    };
    let total = snapshot.count(prefix, start_after);
    let mut entries = Vec::with_capacity(total.min(limit));
    entries.extend(snapshot.range(prefix, start_after).take(limit).cloned());
    let remaining = total.saturating_sub(entries.len());
    ListPage {
        entries,
        revision: snapshot.revision,
        more: remaining > 0,
        remaining: remaining as u64,
    }
}

/// Reverts `newer` events (newest first). Each key ends with its oldest event's `previous`.
fn undo(mut snapshot: Snapshot, newer: &[Arc<Event>]) -> Snapshot {
    let before: BTreeMap<&Arc<str>, Option<&Arc<Entry>>> = newer
        .iter()
        .map(|event| (event.key(), previous_of(event)))
        .collect();
    for (key, previous) in before {
        match previous {
            Some(entry) => drop(snapshot.keys.insert(entry.clone())),
            None => drop(snapshot.keys.remove(key)),
        }
    }
    snapshot
}

fn previous_of(event: &Event) -> Option<&Arc<Entry>> {
    match event.kind {
        EventKind::Delete => Some(&event.entry),
        EventKind::Put { .. } => event.previous.as_ref(),
    }
}

async fn from_backend(
    shared: &Shared,
    prefix: &str,
    options: &ListOptions,
    at: Revision,
) -> Result<ListPage, ListError> {
    shared.counters.backend_reads.add(1);
    let mut snapshot = Snapshot {
        keys: Default::default(),
        revision: at,
    };
    let mut start_after: Option<Arc<str>> = options.start_after.as_deref().map(Into::into);
    loop {
        let batch = shared
            .backend
            .range(request(shared, prefix, start_after, at))
            .await;
        let batch = batch.map_err(|error| match error {
            BackendError::Compacted(compacted) => ListError::Compacted {
                requested: at,
                compacted,
            },
            other => ListError::Backend(other),
        })?;
        start_after = batch.records.last().map(|r| r.key.clone());
        for record in batch.records {
            snapshot.keys.insert(entry_of(shared, record));
        }
        if !batch.more {
            return Ok(page(&snapshot, prefix, options));
        }
    }
}

/// The next batch of a range read.
pub(crate) fn request(
    shared: &Shared,
    prefix: &str,
    start_after: Option<Arc<str>>,
    at: Revision,
) -> RangeRequest {
    RangeRequest {
        prefix: prefix.into(),
        start_after,
        at,
        limit: 10_000,
        limit_bytes: shared.options.read_batch_bytes,
    }
}

/// The entry of a record that was read back.
pub(crate) fn entry_of(shared: &Shared, record: Record) -> Arc<Entry> {
    let attachment = shared.options.extract.of(&record.key, &record.value);
    Arc::new(Entry {
        key: record.key,
        value: record.value,
        create_revision: record.create_revision,
        mod_revision: record.mod_revision,
        lease_secs: record.lease_secs,
        attachment,
    })
}
