//! Writing a batch as one transaction.
//!
//! Revisions are given under the database's write lock, from the newest row on. Where the log has grown
//! since the host decided its rows, because another server writes too, they are put after what is new, and
//! those whose key is among that are left out: the host decides them anew on what is there now. So no
//! batch is tried again because of rows that have nothing to do with it, and nobody who writes without a
//! pause keeps others from writing.
//!
//! Writers that do not take the lock (kine itself, somebody's hand) show as constraints that do not hold;
//! then each row is tried by itself.

use std::collections::HashMap;

use crate::bindings::exports::k3s::datastore::backend::{AppendRow, ChangeKind, Outcome};
use crate::dialect::{Dialect, Insert, Parameters, TOGETHER};
use crate::error::Failure;
use crate::open::position;
use crate::sql::{Connection, FEW, Limits, Row, SqlError, Tx, Value};
use crate::values::{Columns, integer, one};

/// Place of `created` in a row.
const CREATED: usize = 2;

/// Place of `prev_revision` in a row.
const PREVIOUS: usize = 5;

/// Newest revision of keys.
type Newest = HashMap<String, u64>;

/// Appends `rows`, which were decided when the log ended at `head`; one outcome per row.
///
/// # Errors
/// [`Failure::Stale`] when it cannot be known what became of their keys since; then, and on any error
/// but [`Failure::OutcomeUnknown`], nothing was written.
pub fn append(
    db: &dyn Connection,
    dialect: &Dialect,
    head: u64,
    rows: Vec<AppendRow>,
) -> Result<Vec<Outcome>, Failure> {
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
    match batch.all(db) {
        Err(Failure::Constraint(_)) => batch.one_by_one(db)?,
        result => result?,
    }
    Ok(batch.outcomes)
}

/// What is to be written, and what became of it.
struct Batch<'a> {
    dialect: &'a Dialect,
    head: u64,
    /// Rows that nothing stands against yet.
    rows: Vec<Row>,
    /// Their places among the outcomes.
    places: Vec<usize>,
    /// Conflicts, until they are committed.
    outcomes: Vec<Outcome>,
}

impl Batch<'_> {
    /// All rows whose keys are as the host knows them, or none when one of them breaks a constraint.
    fn all(&mut self, db: &dyn Connection) -> Result<(), Failure> {
        let (tx, newest) = self.begin(db)?;
        for (row, revision) in self.rows.iter_mut().zip(newest + 1..) {
            set(row, 0, integer(revision));
        }
        match self.dialect.insert {
            Insert::Each { row, .. } => drop(tx.run_batch(row, &self.rows)?),
            Insert::Together(parameters) => together(&*tx, parameters, &self.rows)?,
        }
        let committed = self.places.iter().copied().zip(newest + 1..).collect();
        self.commit(tx, committed)
    }

    /// Each row by itself; those whose predecessor somebody else has replaced are left out.
    fn one_by_one(&mut self, db: &dyn Connection) -> Result<(), Failure> {
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

    /// Starts a transaction that writes, and leaves out the rows whose key has changed since `head`. Returns
    /// the newest revision.
    fn begin<'c>(&mut self, db: &'c dyn Connection) -> Result<(Box<dyn Tx + 'c>, u64), Failure> {
        let tx = db.begin(true)?;
        let log = position(&*tx, self.dialect)?;
        // Of what was compacted away since, nobody knows which keys it had.
        if log.revision < self.head || log.compacted > self.head {
            return Err(Failure::Stale(log.revision));
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

    /// The newest revisions of the keys where they matter: of all when the log has moved on, otherwise of
    /// those to be created, unless their statement finds it by itself.
    fn look_up(&self, tx: &dyn Tx, moved: bool) -> Result<Newest, Failure> {
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
        tx: Box<dyn Tx + '_>,
        committed: Vec<(usize, u64)>,
    ) -> Result<(), Failure> {
        let Some((_, newest)) = committed.last() else {
            return Ok(());
        };
        if let Some(advance) = self.dialect.advance {
            tx.query(advance, &[integer(*newest)], FEW)?;
        }
        match tx.commit() {
            Ok(()) => {}
            Err(SqlError::Busy(message)) => return Err(SqlError::Busy(message).into()),
            Err(error) => return Err(Failure::OutcomeUnknown(Failure::from(error).reason())),
        }
        for (place, revision) in committed {
            if let Some(outcome) = self.outcomes.get_mut(place) {
                *outcome = Outcome::Committed(revision);
            }
        }
        Ok(())
    }
}

fn newest_together(
    tx: &dyn Tx,
    parameters: Parameters,
    mut names: Vec<Value>,
) -> Result<Newest, Failure> {
    let mut newest = Newest::new();
    while let Some(first) = names.first().cloned() {
        let rest = names.split_off(names.len().min(512));
        // Padded, so that there are few statements to prepare.
        let size = names.len().next_power_of_two();
        names.resize(size, first);
        newest.extend(revisions(tx, &parameters.newest(size), &names)?);
        names = rest;
    }
    Ok(newest)
}

/// Rows of a name and a revision.
fn revisions(tx: &dyn Tx, text: &str, names: &[Value]) -> Result<Newest, Failure> {
    let rows = tx
        .query(
            text,
            names,
            Limits {
                rows: 512,
                bytes: 1 << 20,
            },
        )?
        .rows
        .into_iter();
    let pair = |row| {
        let mut row = Columns::of(row);
        Ok((row.text()?, row.number()?))
    };
    rows.map(pair).collect()
}

fn retain<T>(all: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    all.retain(|_| kept.next().is_none_or(|keep| *keep));
}

fn is_created(row: &Row) -> bool {
    matches!(row.get(CREATED), Some(Value::Integer(1)))
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
    let (Some(name), Some(previous @ Value::Integer(_))) = (row.get(1), row.get(PREVIOUS)) else {
        return Ok(false);
    };
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
        if created {
            Value::Null
        } else {
            integer(row.prev_revision)
        },
        // The column has 32 bits with a sign: what lives longer than 68 years lives 68 years.
        Value::Integer(i64::from(i32::try_from(row.lease).unwrap_or(i32::MAX))),
        Value::Blob(row.value),
        // Empty rather than NULL where parameters have the type of their first use.
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
