//! Appends a batch as one transaction.
//!
//! Revisions are assigned under the database's write lock, starting after the newest row. If the log has
//! grown since the host decided its rows, because another server writes too, they follow the new rows, and
//! those whose key is among the new rows are conflicts: the host decides these again on the current state.
//! So unrelated rows never make a batch fail, and a busy writer does not starve the others.
//!
//! Writers that do not take the lock (kine itself, an operator) cause constraint violations; each row is
//! then tried alone.

use std::collections::HashMap;

use k3s_plugin_sdk::datastore::{
    AppendRow, ChangeKind, Columns, Database, Error, FEW, Outcome, Row, Transaction, Value,
    integer, sql,
};

use crate::dialect::{Dialect, Insert, Parameters, TOGETHER};
use crate::open::position;

/// Place of `created` in a row.
const CREATED: usize = 2;

/// Place of `prev_revision` in a row.
const PREVIOUS: usize = 5;

/// The newest revision of keys.
type Newest = HashMap<String, u64>;

/// Why rows were not inserted.
enum InsertError {
    /// A row violates a constraint: it may be inserted alone.
    Constraint,
    Failed(Error),
}

impl From<sql::Error> for InsertError {
    fn from(error: sql::Error) -> Self {
        match error {
            sql::Error::Constraint(_) => Self::Constraint,
            error => Self::Failed(error.into()),
        }
    }
}

impl From<Error> for InsertError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Appends `rows`, which were decided when the log ended at `head`; one outcome per row.
///
/// # Errors
/// [`Error::Stale`] when the conflicts since `head` cannot be determined. Then, and on any error but
/// [`Error::OutcomeUnknown`], nothing was written.
pub fn append(
    db: &dyn Database,
    dialect: &Dialect,
    head: u64,
    rows: Vec<AppendRow>,
) -> Result<Vec<Outcome>, Error> {
    let outcomes = vec![Outcome::Conflict; rows.len()];
    let places = (0..rows.len()).collect();
    let rows = rows.into_iter().map(|row| columns(dialect, row)).collect();
    let mut batch = Batch {
        dialect,
        head,
        rows,
        places,
        outcomes,
    };
    match batch.insert_all(db) {
        Ok(()) => {}
        Err(InsertError::Constraint) => batch.insert_one_by_one(db)?,
        Err(InsertError::Failed(error)) => return Err(error),
    }
    Ok(batch.outcomes)
}

/// Rows to insert, and their outcomes.
struct Batch<'a> {
    dialect: &'a Dialect,
    head: u64,
    /// Rows without a conflict so far.
    rows: Vec<Row>,
    /// Their places among the outcomes.
    places: Vec<usize>,
    /// One per row of the call; a conflict until the row is committed.
    outcomes: Vec<Outcome>,
}

impl Batch<'_> {
    /// Inserts all rows whose keys have not changed, or none if one violates a constraint.
    fn insert_all(&mut self, db: &dyn Database) -> Result<(), InsertError> {
        let (tx, newest) = self.begin(db)?;
        for (row, revision) in self.rows.iter_mut().zip(newest + 1..) {
            set(row, 0, integer(revision));
        }
        match self.dialect.insert {
            Insert::Each { row, .. } => drop(tx.run_batch(row, &self.rows)?),
            Insert::Together(parameters) => insert_together(&*tx, parameters, &self.rows)?,
        }
        let committed = self.places.iter().copied().zip(newest + 1..).collect();
        Ok(self.commit(tx, committed)?)
    }

    /// Inserts each row alone, without those whose predecessor another writer has replaced.
    fn insert_one_by_one(&mut self, db: &dyn Database) -> Result<(), Error> {
        let (tx, mut newest) = self.begin(db)?;
        let mut committed = Vec::with_capacity(self.rows.len());
        for (place, row) in self.places.iter().zip(&mut self.rows) {
            if has_successor(&*tx, self.dialect, row)? {
                continue;
            }
            newest += 1;
            set(row, 0, integer(newest));
            match self.dialect.insert {
                Insert::Each { row: text, .. } => drop(tx.run(text, row)?),
                Insert::Together(parameters) => drop(tx.run(&parameters.insert(1), row)?),
            }
            committed.push((*place, newest));
        }
        self.commit(tx, committed)
    }

    /// Starts a writing transaction and drops the rows whose key has changed since `head`. Returns the newest
    /// revision.
    fn begin<'c>(
        &mut self,
        db: &'c dyn Database,
    ) -> Result<(Box<dyn Transaction + 'c>, u64), Error> {
        let tx = db.begin(true)?;
        let log = position(&*tx, self.dialect)?;
        // The keys of rows that were compacted since are unknown.
        if log.revision < self.head || log.compacted > self.head {
            return Err(Error::Stale(log.revision));
        }
        let newest = self.look_up(&*tx, log.revision > self.head)?;
        let of = |row: &Row| {
            name(row)
                .and_then(|name| newest.get(&name))
                .copied()
                .unwrap_or(0)
        };
        let unchanged: Vec<bool> = self.rows.iter().map(|row| of(row) <= self.head).collect();
        retain(&mut self.rows, &unchanged);
        retain(&mut self.places, &unchanged);
        if let Insert::Together(_) = self.dialect.insert {
            // Creations come without `prev_revision`: it is the key's newest row, a tombstone, or 0.
            for row in self.rows.iter_mut().filter(|row| is_created(row)) {
                let tombstone = of(row);
                set(row, PREVIOUS, integer(tombstone));
            }
        }
        Ok((tx, log.revision))
    }

    /// Returns the newest revisions of the keys for which they matter: of all if the log has grown, otherwise
    /// of those to be created, unless their statement looks it up.
    fn look_up(&self, tx: &dyn Transaction, moved: bool) -> Result<Newest, Error> {
        let wanted = self.rows.iter().filter(|row| moved || is_created(row));
        let names = wanted.filter_map(|row| row.get(1).cloned());
        match self.dialect.insert {
            Insert::Together(parameters) => newest_together(tx, parameters, names.collect()),
            Insert::Each { newest, .. } if moved => {
                let mut found = Newest::new();
                for name in names {
                    found.extend(revisions(tx, newest, &[name])?);
                }
                Ok(found)
            }
            Insert::Each { .. } => Ok(Newest::new()),
        }
    }

    fn commit(
        &mut self,
        tx: Box<dyn Transaction + '_>,
        committed: Vec<(usize, u64)>,
    ) -> Result<(), Error> {
        let Some((_, newest)) = committed.last() else {
            return Ok(());
        };
        if let Some(advance) = self.dialect.advance {
            tx.query(advance, &[integer(*newest)], FEW)?;
        }
        tx.commit().map_err(Error::of_commit)?;
        for (place, revision) in committed {
            if let Some(outcome) = self.outcomes.get_mut(place) {
                *outcome = Outcome::Committed(revision);
            }
        }
        Ok(())
    }
}

fn newest_together(
    tx: &dyn Transaction,
    parameters: Parameters,
    mut names: Vec<Value>,
) -> Result<Newest, Error> {
    let mut newest = Newest::new();
    while let Some(first) = names.first().cloned() {
        let rest = names.split_off(names.len().min(512));
        // Padded to few sizes, so that there are few statements to prepare.
        let size = names.len().next_power_of_two();
        names.resize(size, first);
        newest.extend(revisions(tx, &parameters.newest(size), &names)?);
        names = rest;
    }
    Ok(newest)
}

/// Runs a query that returns rows of a name and a revision.
fn revisions(tx: &dyn Transaction, text: &str, names: &[Value]) -> Result<Newest, Error> {
    let limits = sql::Limits {
        rows: 512,
        bytes: 1 << 20,
    };
    let rows = tx.query(text, names, limits)?.rows;
    let pair = |row| {
        let mut row = Columns::of(row);
        Ok((row.text()?, row.number()?))
    };
    rows.into_iter().map(pair).collect()
}

fn retain<T>(all: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    all.retain(|_| kept.next().is_none_or(|keep| *keep));
}

fn is_created(row: &Row) -> bool {
    matches!(row.get(CREATED), Some(Value::Integer(1)))
}

fn insert_together(
    tx: &dyn Transaction,
    parameters: Parameters,
    rows: &[Row],
) -> Result<(), sql::Error> {
    let mut rows = rows.iter();
    for size in TOGETHER {
        while rows.len() >= *size {
            let args: Vec<Value> = rows.by_ref().take(*size).flatten().cloned().collect();
            tx.run(&parameters.insert(*size), &args)?;
        }
    }
    Ok(())
}

/// Whether another writer replaced the predecessor of this row.
fn has_successor(tx: &dyn Transaction, dialect: &Dialect, row: &Row) -> Result<bool, Error> {
    let (Some(name), Some(previous @ Value::Integer(_))) = (row.get(1), row.get(PREVIOUS)) else {
        return Ok(false);
    };
    let args = [name.clone(), previous.clone()];
    let rows = tx.query(dialect.successors, &args, FEW)?;
    Ok(Columns::only(rows)?.number()? > 0)
}

/// The row as kine writes it; its revision is set later.
fn columns(dialect: &Dialect, row: AppendRow) -> Row {
    let created = row.kind == ChangeKind::Create;
    let flag = |set: bool| Value::Integer(i64::from(set));
    vec![
        Value::Null,
        dialect.text(&row.key),
        flag(created),
        flag(row.kind == ChangeKind::Delete),
        integer(row.create_revision),
        if created {
            Value::Null
        } else {
            integer(row.prev_revision)
        },
        // The column has 32 bits with a sign, so a lease is at most 68 years.
        Value::Integer(i64::from(i32::try_from(row.lease).unwrap_or(i32::MAX))),
        Value::Blob(row.value),
        // Empty rather than NULL for databases whose parameters keep the type of their first value.
        match dialect.insert {
            Insert::Each { .. } if created => Value::Null,
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
