//! Turns a write into the row to append, given the key's current entry, and a row into its event.
//! Pure decisions; the sequencer performs them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::{Append, Change};
use crate::error::WriteError;
use crate::model::{Attachment, Entry, Event, EventKind, Op, Precondition, Revision, Write};

/// Checks `write` against `current` and returns the row to append.
pub(crate) fn decide(write: &Write, current: Option<&Arc<Entry>>) -> Result<Append, WriteError> {
    let conflict = || WriteError::Conflict {
        current: current.cloned(),
    };
    let holds = match (write.precondition, current) {
        (Precondition::Absent, current) => current.is_none(),
        (Precondition::Revision(wanted), current) => {
            current.is_some_and(|e| e.mod_revision == wanted)
        }
        (Precondition::Exists, current) => current.is_some(),
        (Precondition::Any, _) => true,
    };
    if !holds {
        return Err(conflict());
    }
    match &write.op {
        Op::Put { value, ttl } => Ok(put(
            &write.key,
            value.clone(),
            ttl.map_or(0, lease_secs),
            current,
        )),
        Op::Delete => current.map(delete).ok_or_else(conflict),
    }
}

fn put(key: &Arc<str>, value: Bytes, lease_secs: u32, current: Option<&Arc<Entry>>) -> Append {
    Append {
        key: key.clone(),
        kind: EventKind::Put {
            created: current.is_none(),
        },
        create_revision: current.map_or(Revision::ZERO, |e| e.create_revision),
        prev_revision: current.map_or(Revision::ZERO, |e| e.mod_revision),
        lease_secs,
        value,
        old_value: current.map(|e| e.value.clone()).unwrap_or_default(),
    }
}

fn delete(current: &Arc<Entry>) -> Append {
    Append {
        key: current.key.clone(),
        kind: EventKind::Delete,
        create_revision: current.create_revision,
        prev_revision: current.mod_revision,
        lease_secs: current.lease_secs,
        value: current.value.clone(),
        old_value: current.value.clone(),
    }
}

/// Whole seconds, rounded up, at least one: zero means no lease in the table.
fn lease_secs(ttl: Duration) -> u32 {
    let secs = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    u32::try_from(secs.max(1)).unwrap_or(u32::MAX)
}

/// The event of a committed row.
pub(crate) fn committed(
    row: &Append,
    revision: Revision,
    previous: Option<Arc<Entry>>,
    attachment: Attachment,
) -> Arc<Event> {
    let created = row.kind == EventKind::Put { created: true };
    let entry = match (row.kind, &previous) {
        (EventKind::Delete, Some(previous)) => previous.clone(),
        _ => Arc::new(Entry {
            key: row.key.clone(),
            value: row.value.clone(),
            create_revision: if created {
                revision
            } else {
                row.create_revision
            },
            mod_revision: revision,
            lease_secs: row.lease_secs,
            attachment,
        }),
    };
    Arc::new(Event::new(revision, row.kind, entry, previous))
}

/// The event of a row that was read back from the backend; its previous entry comes from the row,
/// since memory may not have it.
pub(crate) fn replayed(
    change: &Change,
    extract: impl Fn(&str, &Bytes) -> Attachment,
) -> Arc<Event> {
    let created = change.kind == EventKind::Put { created: true };
    let entry = |value: &Bytes, mod_revision| {
        Arc::new(Entry {
            key: change.key.clone(),
            value: value.clone(),
            create_revision: change.create_revision,
            mod_revision,
            lease_secs: change.lease_secs,
            attachment: extract(&change.key, value),
        })
    };
    let previous = (!created).then(|| entry(&change.old_value, change.prev_revision));
    let current = match (change.kind, &previous) {
        (EventKind::Delete, Some(previous)) => previous.clone(),
        _ => entry(&change.value, change.revision),
    };
    Arc::new(Event::new(change.revision, change.kind, current, previous))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(revision: u64) -> Arc<Entry> {
        Arc::new(Entry {
            key: "/a".into(),
            value: Bytes::from_static(b"old"),
            create_revision: Revision(2),
            mod_revision: Revision(revision),
            lease_secs: 0,
            attachment: Arc::new(()),
        })
    }

    #[test]
    fn preconditions_hold_or_show_what_is_there() {
        use Precondition::{Absent, Any, Exists, Revision as At};
        let entry = existing(5);
        let cases = [
            (Absent, false, true),
            (Absent, true, false),
            (Exists, false, false),
            (Exists, true, true),
            (Any, false, true),
            (Any, true, true),
            (At(Revision(5)), true, true),
            (At(Revision(4)), true, false),
            (At(Revision(5)), false, false),
        ];
        for (precondition, exists, holds) in cases {
            let current = exists.then_some(&entry);
            let result = decide(&Write::put("/a", precondition, "new"), current);
            assert_eq!(result.is_ok(), holds, "{precondition:?} {exists}");
            if let Err(WriteError::Conflict { current: shown }) = result {
                assert_eq!(shown.is_some(), exists);
            }
        }
    }

    #[test]
    fn a_delete_carries_the_last_value_and_needs_one() {
        let row = decide(&Write::delete("/a", Precondition::Any), Some(&existing(5))).unwrap();
        assert_eq!(
            (row.value.as_ref(), row.prev_revision),
            (&b"old"[..], Revision(5))
        );
        assert!(decide(&Write::delete("/a", Precondition::Any), None).is_err());
    }

    #[test]
    fn leases_round_up_to_seconds() {
        assert_eq!(lease_secs(Duration::from_millis(1)), 1);
        assert_eq!(lease_secs(Duration::from_millis(1001)), 2);
        assert_eq!(lease_secs(Duration::ZERO), 1);
    }
}
