//! Reading: history after a revision, keys as of a revision, size, health.

use crate::bindings::exports::k3s::datastore::backend::{Change, ChangeKind, Changes, Entries, Entry, Limits};
use crate::error::Failure;
use crate::open::{is_protobuf, position, protobuf};
use crate::schema;
use crate::sql::{self, Connection, FEW, Row, Tx, Value};
use crate::values::{Columns, integer, one};

pub(crate) fn after(
    db: &dyn Connection,
    after: u64,
    through: u64,
    prefix: &str,
    limits: Limits,
) -> Result<Changes, Failure> {
    let tx = readable(db, after)?;
    let args = [integer(after), integer(through), Value::Text(prefix.to_owned()), Value::Text(end_of(prefix))];
    let rows = tx.query(schema::AFTER, &args, bounds(limits))?;
    let changes = rows.rows.into_iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let last = changes.last().map_or(after, |c| c.revision);
    Ok(Changes { changes, through: if rows.complete { through } else { last } })
}

pub(crate) fn range(
    db: &dyn Connection,
    at: u64,
    prefix: &str,
    start_after: Option<&str>,
    limits: Limits,
) -> Result<Entries, Failure> {
    let tx = readable(db, at)?;
    let text = |s: &str| Value::Text(s.to_owned());
    let args = [text(start_after.unwrap_or_default()), text(prefix), Value::Text(end_of(prefix)), integer(at)];
    let rows = tx.query(schema::RANGE, &args, bounds(limits))?;
    let entries = rows.rows.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(Entries { entries, more: !rows.complete })
}

pub(crate) fn size(db: &dyn Connection) -> Result<u64, Failure> {
    one(db.query(schema::SIZE, &[], FEW)?)?.number()
}

pub(crate) fn health(db: &dyn Connection) -> Result<(), Failure> {
    db.query(schema::HEALTH, &[], FEW)?;
    Ok(())
}

/// A transaction in which `revision` has not been compacted, and will not be while it is open.
fn readable(db: &dyn Connection, revision: u64) -> Result<Box<dyn Tx + '_>, Failure> {
    let tx = db.begin(false)?;
    let compacted = position(&*tx)?.compacted;
    if revision < compacted { Err(Failure::Compacted(compacted)) } else { Ok(tx) }
}

fn bounds(limits: Limits) -> sql::Limits {
    sql::Limits { rows: limits.rows, bytes: limits.bytes }
}

/// The least text greater than every text that starts with `prefix`, in byte order (which for UTF-8
/// is the order of characters).
fn end_of(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return chars.into_iter().collect();
        }
    }
    char::MAX.to_string()
}

fn change(row: Row) -> Result<Change, Failure> {
    let mut row = Columns::of(row);
    let (revision, key) = (row.number()?, row.text()?);
    let (created, deleted) = (row.number()? != 0, row.number()? != 0);
    let (create_revision, prev_revision) = (row.number()?, row.number()?);
    let lease = row.number()?;
    let (value, old_value) = (row.bytes()?, row.bytes()?);
    if is_protobuf(&value) {
        return Err(protobuf(&key));
    }
    let kind = match (created, deleted) {
        (_, true) => ChangeKind::Delete,
        (true, false) => ChangeKind::Create,
        (false, false) => ChangeKind::Update,
    };
    let fresh = kind == ChangeKind::Create;
    Ok(Change {
        revision,
        key,
        kind,
        create_revision: if fresh { revision } else { create_revision },
        prev_revision: if fresh { 0 } else { prev_revision },
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
        value,
        old_value: if fresh { Vec::new() } else { old_value },
    })
}

fn entry(row: Row) -> Result<Entry, Failure> {
    let mut row = Columns::of(row);
    let (key, value) = (row.text()?, row.bytes()?);
    let (create_revision, mod_revision, lease) = (row.number()?, row.number()?, row.number()?);
    let created = row.number()? != 0;
    if is_protobuf(&value) {
        return Err(protobuf(&key));
    }
    Ok(Entry {
        key,
        value,
        create_revision: if created { mod_revision } else { create_revision },
        mod_revision,
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::append;
    use crate::open::open;
    use crate::testdb::{TestDb, row};

    const ALL: Limits = Limits { rows: 1000, bytes: 1 << 20 };

    fn filled() -> TestDb {
        let db = TestDb::new();
        open(&db).unwrap();
        append(&db, 1, ["/a/1", "/a/2", "/a0", "/b"].map(|k| row(k, ChangeKind::Create, 0, 0)).into()).unwrap();
        append(&db, 5, vec![row("/a/2", ChangeKind::Update, 3, 3), row("/b", ChangeKind::Delete, 5, 5)]).unwrap();
        db
    }

    #[test]
    fn history_leaves_out_what_is_no_key() {
        let db = filled();
        db.execute("INSERT INTO kine VALUES(8, 'gap-8', 0, 1, 0, 0, 0, NULL, NULL)");
        let all = after(&db, 0, 8, "", ALL).unwrap();
        assert_eq!(all.changes.iter().map(|c| c.revision).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert_eq!(all.through, 8);
        let some = after(&db, 0, 8, "/a/", Limits { rows: 2, bytes: 1 << 20 }).unwrap();
        assert_eq!((some.changes.len(), some.through), (2, 3));
    }

    #[test]
    fn ranges_are_in_order_and_bounded() {
        let db = filled();
        let keys = |at, prefix, start_after, rows| {
            let entries = range(&db, at, prefix, start_after, Limits { rows, bytes: 1 << 20 }).unwrap();
            (entries.entries.iter().map(|e| e.key.clone()).collect::<Vec<_>>().join(" "), entries.more)
        };
        assert_eq!(keys(7, "", None, 100), ("/a/1 /a/2 /a0".to_owned(), false));
        assert_eq!(keys(6, "", Some("/a/2"), 100), ("/a0 /b".to_owned(), false));
        assert_eq!(keys(7, "/a/", None, 1), ("/a/1".to_owned(), true));
        assert_eq!(keys(7, "/c", None, 1), (String::new(), false));
    }

    #[test]
    fn a_protobuf_value_is_refused_wherever_it_is_met() {
        let db = filled();
        db.execute("UPDATE kine SET value = x'6b38730001' WHERE id = 4");
        assert!(matches!(range(&db, 7, "", None, ALL), Err(Failure::Refused(m)) if m.contains("/a0")));
        assert!(matches!(after(&db, 3, 7, "", ALL), Err(Failure::Refused(_))));
    }

    #[test]
    fn prefixes_end_where_the_next_character_begins() {
        assert_eq!(end_of("/a/"), "/a0");
        assert_eq!(end_of("a\u{D7FF}"), "a\u{E000}");
        assert_eq!(end_of("a\u{10FFFF}"), "b");
        assert_eq!(end_of(""), "\u{10FFFF}");
    }
}
