//! Writing a batch as one transaction.
//!
//! Revisions are given under the database's write lock, from the newest row on, so a batch either
//! follows the log that the host knows or is answered `stale`. That makes conflicts between servers
//! impossible; they are left for writers that do not take the lock (kine itself, somebody's hand).

use std::collections::HashMap;

use crate::bindings::exports::k3s::datastore::backend::{AppendRow, ChangeKind, Outcome};
use crate::dialect::{Dialect, Insert, Parameters, TOGETHER};
use crate::error::Failure;
use crate::open::position;
use crate::sql::{Connection, FEW, Limits, Row, SqlError, Tx, Value};
use crate::values::{Columns, integer, one};

/// Place of `prev_revision` in a row.
const PREVIOUS: usize = 5;

/// Appends `rows` after `head`; one outcome per row.
///
/// # Errors
/// [`Failure::Stale`] when the log is elsewhere; then, and on any error but
/// [`Failure::OutcomeUnknown`], nothing was written.
pub fn append(
    db: &dyn Connection,
    dialect: &Dialect,
    head: u64,
    rows: Vec<AppendRow>,
) -> Result<Vec<Outcome>, Failure> {
    let mut rows: Vec<Row> = rows.into_iter().map(|row| columns(dialect, row)).collect();
    match all(db, dialect, head, &mut rows) {
        Err(Failure::Constraint(_)) => one_by_one(db, dialect, head, &mut rows),
        result => result,
    }
}

/// All rows, or none when one of them has a conflict.
fn all(db: &dyn Connection, dialect: &Dialect, head: u64, rows: &mut [Row]) -> Result<Vec<Outcome>, Failure> {
    let tx = at_head(db, dialect, head)?;
    let revisions: Vec<u64> = (1..).map(|n| head + n).take(rows.len()).collect();
    for (row, revision) in rows.iter_mut().zip(&revisions) {
        set(row, 0, integer(*revision));
    }
    match dialect.insert {
        Insert::Each(text) => drop(tx.run_batch(text, rows)?),
        Insert::Together(parameters) => {
            follow_tombstones(&*tx, parameters, rows)?;
            together(&*tx, parameters, rows)?;
        }
    }
    commit(tx, dialect, head + revisions.len() as u64)?;
    Ok(revisions.into_iter().map(Outcome::Committed).collect())
}

/// Each row by itself, after [`all`] has found their predecessors; those with a conflict are left out
/// and take no revision.
fn one_by_one(db: &dyn Connection, dialect: &Dialect, head: u64, rows: &mut [Row]) -> Result<Vec<Outcome>, Failure> {
    let tx = at_head(db, dialect, head)?;
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut newest = head;
    for row in rows {
        if has_successor(&*tx, dialect, row)? {
            outcomes.push(Outcome::Conflict);
            continue;
        }
        newest += 1;
        set(row, 0, integer(newest));
        match dialect.insert {
            Insert::Each(text) => drop(tx.run(text, row)?),
            Insert::Together(parameters) => drop(tx.run(&parameters.insert(1), row)?),
        }
        outcomes.push(Outcome::Committed(newest));
    }
    commit(tx, dialect, newest)?;
    Ok(outcomes)
}

/// A transaction that writes, at the end of a log that ends at `head`.
fn at_head<'a>(db: &'a dyn Connection, dialect: &Dialect, head: u64) -> Result<Box<dyn Tx + 'a>, Failure> {
    let tx = db.begin(true)?;
    let newest = position(&*tx, dialect)?.revision;
    if newest == head { Ok(tx) } else { Err(Failure::Stale(newest)) }
}

fn commit(tx: Box<dyn Tx + '_>, dialect: &Dialect, newest: u64) -> Result<(), Failure> {
    if let Some(advance) = dialect.advance {
        tx.query(advance, &[integer(newest)], FEW)?;
    }
    match tx.commit() {
        Ok(()) => Ok(()),
        Err(SqlError::Busy(message)) => Err(SqlError::Busy(message).into()),
        Err(error) => Err(Failure::OutcomeUnknown(error.to_string())),
    }
}

/// Creations come without `prev_revision`: it is the key's newest row, a tombstone, or 0.
fn follow_tombstones(tx: &dyn Tx, parameters: Parameters, rows: &mut [Row]) -> Result<(), Failure> {
    let created = |row: &Row| matches!(row.get(PREVIOUS), Some(Value::Null));
    let mut names: Vec<Value> = rows.iter().filter(|r| created(r)).filter_map(|r| r.get(1).cloned()).collect();
    let mut newest = HashMap::new();
    while let Some(first) = names.first().cloned() {
        let rest = names.split_off(names.len().min(512));
        // Padded, so that there are few statements to prepare.
        let size = names.len().next_power_of_two();
        names.resize(size, first);
        let limits = Limits { rows: 512, bytes: 1 << 20 };
        for row in tx.query(&parameters.newest(size), &names, limits)?.rows {
            let mut row = Columns::of(row);
            newest.insert(row.text()?, row.number()?);
        }
        names = rest;
    }
    for row in rows.iter_mut().filter(|r| created(r)) {
        let previous = name(row).and_then(|name| newest.get(&name)).copied().unwrap_or(0);
        set(row, PREVIOUS, integer(previous));
    }
    Ok(())
}

fn together(tx: &dyn Tx, parameters: Parameters, rows: &[Row]) -> Result<(), Failure> {
    let mut rows = rows.iter();
    for size in TOGETHER {
        while rows.len() >= *size {
            let args: Vec<Value> = rows.by_ref().take(*size).flatten().cloned().collect();
            tx.run(&parameters.insert(*size), &args)?;
        }
    }
    Ok(())
}

/// Whether somebody else replaced the row that this one wants to replace.
fn has_successor(tx: &dyn Tx, dialect: &Dialect, row: &Row) -> Result<bool, Failure> {
    let (Some(name), Some(previous @ Value::Integer(_))) = (row.get(1), row.get(PREVIOUS)) else { return Ok(false) };
    Ok(one(tx.query(dialect.successors, &[name.clone(), previous.clone()], FEW)?)?.number()? > 0)
}

/// The row as kine writes it; its revision is filled in later.
fn columns(dialect: &Dialect, row: AppendRow) -> Row {
    let created = row.kind == ChangeKind::Create;
    let flag = |set: bool| Value::Integer(i64::from(set));
    vec![
        Value::Null,
        dialect.text(&row.key),
        flag(created),
        flag(row.kind == ChangeKind::Delete),
        integer(row.create_revision),
        if created { Value::Null } else { integer(row.prev_revision) },
        // The column has 32 bits with a sign: what lives longer than 68 years lives 68 years.
        Value::Integer(i64::from(i32::try_from(row.lease).unwrap_or(i32::MAX))),
        Value::Blob(row.value),
        // Empty rather than NULL where parameters have the type of their first use.
        match dialect.insert {
            Insert::Each(_) if created => Value::Null,
            _ => Value::Blob(row.old_value),
        },
    ]
}

fn set(row: &mut Row, column: usize, value: Value) {
    if let Some(slot) = row.get_mut(column) {
        *slot = value;
    }
}

fn name(row: &Row) -> Option<String> {
    match row.get(1)? {
        Value::Text(text) => Some(text.clone()),
        Value::Blob(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}
