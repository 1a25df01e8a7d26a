//! Reads history after a revision, keys as of a revision, size, health.

use k3s_plugin_sdk::datastore::{
    Change, ChangeKind, Changes, Columns, Database, Entries, Entry, Error, FEW, Limits, Row,
    Transaction, Value, integer, prefix_end, sql,
};

use crate::dialect::Dialect;
use crate::open::{is_protobuf, position, refuse_protobuf};

/// Returns rows of (after, through] whose key starts with `prefix`, oldest first.
///
/// # Errors
/// [`Error::Compacted`] when some of them are gone.
pub fn after(
    db: &dyn Database,
    dialect: &Dialect,
    after: u64,
    through: u64,
    prefix: &str,
    limits: Limits,
) -> Result<Changes, Error> {
    let tx = begin_readable(db, dialect, after)?;
    let limits = bounds(dialect, limits);
    let names = [dialect.text(prefix), dialect.text(&prefix_end(prefix))];
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

/// Returns keys that start with `prefix` and follow `start_after`, as of revision `at`, in byte order.
///
/// # Errors
/// [`Error::Compacted`] when that state is gone.
pub fn range(
    db: &dyn Database,
    dialect: &Dialect,
    at: u64,
    prefix: &str,
    start_after: Option<&str>,
    limits: Limits,
) -> Result<Entries, Error> {
    let tx = begin_readable(db, dialect, at)?;
    let limits = bounds(dialect, limits);
    let mut start_after = start_after.unwrap_or_default().to_owned();
    loop {
        let (first, end) = (dialect.text(prefix), dialect.text(&prefix_end(prefix)));
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
        // A page may hold only tombstones, and the host could not continue from an empty one.
        if !entries.is_empty() || rows.complete {
            return Ok(Entries {
                entries,
                more: !rows.complete,
            });
        }
    }
}

/// Returns the bytes in use.
///
/// # Errors
/// What the database reports.
pub fn size(db: &dyn Database, dialect: &Dialect) -> Result<u64, Error> {
    Columns::only(db.query(dialect.size, &[], FEW)?)?.number()
}

/// Reads something trivial.
///
/// # Errors
/// What the database reports.
pub fn health(db: &dyn Database, dialect: &Dialect) -> Result<(), Error> {
    db.query(dialect.health, &[], FEW)?;
    Ok(())
}

/// Starts a transaction in which `revision` is not compacted, and will not be while it is open.
fn begin_readable<'a>(
    db: &'a dyn Database,
    dialect: &Dialect,
    revision: u64,
) -> Result<Box<dyn Transaction + 'a>, Error> {
    let tx = db.begin(false)?;
    let compacted = position(&*tx, dialect)?.compacted;
    if revision < compacted {
        Err(Error::Compacted(compacted))
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

/// One row more than the limit, which shows whether there are more.
fn one_more(limits: sql::Limits) -> Value {
    Value::Integer(i64::from(limits.rows) + 1)
}

fn change(row: Row) -> Result<Change, Error> {
    let mut row = Columns::of(row);
    let (revision, key) = (row.number()?, row.text()?);
    let (created, deleted) = (row.number()? != 0, row.number()? != 0);
    let (create_revision, prev_revision) = (row.number()?, row.number()?);
    let lease = row.number()?;
    let (value, old_value) = (row.bytes()?, row.bytes()?);
    if is_protobuf(&value) {
        return Err(refuse_protobuf(&key));
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
fn entry(row: Row) -> Result<(String, Option<Entry>), Error> {
    let mut row = Columns::of(row);
    let (key, value) = (row.text()?, row.bytes()?);
    let (create_revision, mod_revision, lease) = (row.number()?, row.number()?, row.number()?);
    let (created, deleted) = (row.number()? != 0, row.number()? != 0);
    if deleted {
        return Ok((key, None));
    }
    if is_protobuf(&value) {
        return Err(refuse_protobuf(&key));
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
