//! Reading: history after a revision, keys as of a revision, size, health.

use crate::bindings::exports::k3s::datastore::backend::{
    Change, ChangeKind, Changes, Entries, Entry, Limits,
};
use crate::dialect::Dialect;
use crate::error::Failure;
use crate::open::{is_protobuf, position, protobuf};
use crate::sql::{self, Connection, FEW, Row, Tx, Value};
use crate::values::{Columns, integer, one};

/// Rows of (after, through] whose key starts with `prefix`, oldest first.
///
/// # Errors
/// [`Failure::Compacted`] when some of them are gone.
pub fn after(
    db: &dyn Connection,
    dialect: &Dialect,
    after: u64,
    through: u64,
    prefix: &str,
    limits: Limits,
) -> Result<Changes, Failure> {
    let tx = readable(db, dialect, after)?;
    let limits = bounds(dialect, limits);
    let names = [dialect.text(prefix), dialect.text(&end_of(prefix))];
    let [from, to] = names;
    let args = [integer(after), integer(through), from, to, one_more(limits)];
    let rows = tx.query(dialect.after, &args, limits)?;
    let changes = rows
        .rows
        .into_iter()
        .map(change)
        .collect::<Result<Vec<_>, _>>()?;
    let last = changes.last().map_or(after, |c| c.revision);
    Ok(Changes {
        changes,
        through: if rows.complete { through } else { last },
    })
}

/// Keys that start with `prefix` and follow `start_after`, as of revision `at`, in byte order.
///
/// # Errors
/// [`Failure::Compacted`] when that state is gone.
pub fn range(
    db: &dyn Connection,
    dialect: &Dialect,
    at: u64,
    prefix: &str,
    start_after: Option<&str>,
    limits: Limits,
) -> Result<Entries, Failure> {
    let tx = readable(db, dialect, at)?;
    let limits = bounds(dialect, limits);
    let mut start_after = start_after.unwrap_or_default().to_owned();
    loop {
        let (first, end) = (dialect.text(prefix), dialect.text(&end_of(prefix)));
        let args = [
            dialect.text(&start_after),
            first,
            end,
            integer(at),
            one_more(limits),
        ];
        let rows = tx.query(dialect.range, &args, limits)?;
        let mut entries = Vec::with_capacity(rows.rows.len());
        for row in rows.rows {
            let (key, live) = entry(row)?;
            start_after = key;
            entries.extend(live);
        }
        // A page may hold nothing but tombstones; the host could not go on from such a one.
        if !entries.is_empty() || rows.complete {
            return Ok(Entries {
                entries,
                more: !rows.complete,
            });
        }
    }
}

/// Bytes in use.
///
/// # Errors
/// What the database says.
pub fn size(db: &dyn Connection, dialect: &Dialect) -> Result<u64, Failure> {
    one(db.query(dialect.size, &[], FEW)?)?.number()
}

/// Reads something trivial.
///
/// # Errors
/// What the database says.
pub fn health(db: &dyn Connection, dialect: &Dialect) -> Result<(), Failure> {
    db.query(dialect.health, &[], FEW)?;
    Ok(())
}

/// A transaction in which `revision` has not been compacted, and will not be while it is open.
fn readable<'a>(
    db: &'a dyn Connection,
    dialect: &Dialect,
    revision: u64,
) -> Result<Box<dyn Tx + 'a>, Failure> {
    let tx = db.begin(false)?;
    let compacted = position(&*tx, dialect)?.compacted;
    if revision < compacted {
        Err(Failure::Compacted(compacted))
    } else {
        Ok(tx)
    }
}

fn bounds(dialect: &Dialect, limits: Limits) -> sql::Limits {
    sql::Limits {
        rows: limits.rows.clamp(1, dialect.page_rows),
        bytes: limits.bytes,
    }
}

/// One row more than is wanted, which shows whether there are more.
fn one_more(limits: sql::Limits) -> Value {
    Value::Integer(i64::from(limits.rows) + 1)
}

/// The least text greater than every text that starts with `prefix`, in byte order (which for UTF-8
/// is the order of characters).
fn end_of(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            let end: String = chars.into_iter().collect();
            // Where the column has kine's type INTEGER, SQLite takes text that looks like a number for one,
            // and numbers come before every text.
            return if end.parse::<f64>().is_ok() {
                format!("{prefix}{}", char::MAX)
            } else {
                end
            };
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

/// A key, and its entry unless it is deleted.
fn entry(row: Row) -> Result<(String, Option<Entry>), Failure> {
    let mut row = Columns::of(row);
    let (key, value) = (row.text()?, row.bytes()?);
    let (create_revision, mod_revision, lease) = (row.number()?, row.number()?, row.number()?);
    let (created, deleted) = (row.number()? != 0, row.number()? != 0);
    if deleted {
        return Ok((key, None));
    }
    if is_protobuf(&value) {
        return Err(protobuf(&key));
    }
    let entry = Entry {
        key: key.clone(),
        value,
        create_revision: if created {
            mod_revision
        } else {
            create_revision
        },
        mod_revision,
        lease: u32::try_from(lease).unwrap_or(u32::MAX),
    };
    Ok((key, Some(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_the_next_character_begins() {
        assert_eq!(end_of("/a/"), "/a0");
        assert_eq!(end_of("a\u{D7FF}"), "a\u{E000}");
        assert_eq!(end_of("a\u{10FFFF}"), "b");
        assert_eq!(end_of(""), "\u{10FFFF}");
        assert_eq!(end_of("/"), "/\u{10FFFF}", "not the number 0");
    }
}
