//! Between the port's types and the contract's.

use k3s_base::error::chain;
use k3s_plugin_host::CallError;
use k3s_store::backend::{AfterBatch, Append, Change, Opened, Outcome, RangeBatch, Record};
use k3s_store::{BackendError, EventKind, Revision};
use k3s_wit_bindings::datastore::exports::k3s::datastore::backend as wit;

pub(super) fn limits(rows: usize, bytes: usize) -> wit::Limits {
    let most = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    wit::Limits {
        rows: most(rows),
        bytes: most(bytes),
    }
}

pub(super) fn row(append: &Append) -> wit::AppendRow {
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

pub(super) fn opened(position: wit::Position) -> Opened {
    Opened {
        revision: Revision(position.revision),
        compacted: Revision(position.compacted),
    }
}

pub(super) fn outcome(outcome: wit::Outcome) -> Outcome {
    match outcome {
        wit::Outcome::Committed(revision) => Outcome::Committed(Revision(revision)),
        wit::Outcome::Conflict => Outcome::Conflict,
    }
}

pub(super) fn changes(changes: wit::Changes) -> AfterBatch {
    AfterBatch {
        changes: changes.changes.into_iter().map(change).collect(),
        through: Revision(changes.through),
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

pub(super) fn entries(entries: wit::Entries) -> RangeBatch {
    let record = |entry: wit::Entry| Record {
        key: entry.key.into(),
        value: entry.value.into(),
        create_revision: Revision(entry.create_revision),
        mod_revision: Revision(entry.mod_revision),
        lease_secs: entry.lease,
    };
    RangeBatch {
        records: entries.entries.into_iter().map(record).collect(),
        more: entries.more,
    }
}

/// The plugin's own answer.
pub(super) fn error(error: wit::Error) -> BackendError {
    match error {
        wit::Error::Unavailable(message) | wit::Error::Other(message) => {
            BackendError::Unavailable(message)
        }
        wit::Error::OutcomeUnknown(message) => BackendError::OutcomeUnknown(message),
        wit::Error::Stale(revision) => BackendError::Stale(Revision(revision)),
        wit::Error::Compacted(revision) => BackendError::Compacted(Revision(revision)),
        wit::Error::Refused(message) => BackendError::Refused(message),
        wit::Error::Corrupt(message) => BackendError::Corrupt(message),
    }
}

/// The plugin gave no answer. If it was entered it may have committed before it failed.
pub(super) fn failed_call(error: &CallError) -> BackendError {
    if error.was_not_called() {
        BackendError::Unavailable(chain(error))
    } else {
        BackendError::OutcomeUnknown(chain(error))
    }
}
