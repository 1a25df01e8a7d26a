//! Taking a database: a new one gets kine's schema, kine's own is adopted, anything else is refused
//! before a byte is written.

use crate::bindings::exports::k3s::datastore::backend::Position;
use crate::dialect::{COLUMNS, Dialect};
use crate::error::Failure;
use crate::sql::{Connection, FEW, Limits, Rows, SqlResult, Tx, Value};
use crate::values::{Columns, integer, one};

/// What is in a database.
struct Found {
    tables: Vec<String>,
    indexes: Vec<String>,
}

/// Creates or completes the schema and says where the log stands. Waits for any commit that is under
/// way, so that a caller who lost one learns for certain what became of it.
///
/// # Errors
/// [`Failure::Refused`] when the data are not a datastore's or cannot be served; nothing was written.
pub fn open(db: &dyn Connection, dialect: &Dialect) -> Result<Position, Failure> {
    let found = look(dialect, &|text| db.query(text, &[], FEW))?;
    if !found.tables.is_empty() {
        check(db, dialect, &found)?;
    }
    let tx = db.begin(true)?;
    if !is_complete(&*tx, dialect, &found)? {
        complete(&*tx, dialect)?;
        tx.commit()?;
        return position(&*db.begin(false)?, dialect);
    }
    position(&*tx, dialect)
}

/// Newest and compacted revision.
///
/// # Errors
/// What the database says.
pub fn position(tx: &dyn Tx, dialect: &Dialect) -> Result<Position, Failure> {
    let mut row = one(tx.query(dialect.position, &[], FEW)?)?;
    Ok(Position {
        revision: row.number()?,
        compacted: row.number()?,
    })
}

fn look(dialect: &Dialect, query: &dyn Fn(&str) -> SqlResult<Rows>) -> Result<Found, Failure> {
    let mut found = Found {
        tables: Vec::new(),
        indexes: Vec::new(),
    };
    for row in query(dialect.objects)?.rows {
        let mut row = Columns::of(row);
        let (kind, name) = (row.text()?, row.text()?);
        if kind == "table" {
            found.tables.push(name)
        } else {
            found.indexes.push(name)
        }
    }
    Ok(found)
}

/// That the table is kine's and its values can be served.
fn check(db: &dyn Connection, dialect: &Dialect, found: &Found) -> Result<(), Failure> {
    if !found.tables.iter().any(|t| t == "kine") {
        let tables = found.tables.join(", ");
        return Err(Failure::Refused(format!(
            "this is not a K3s database: it has no table kine (it has {tables})"
        )));
    }
    let names = db
        .query(dialect.columns, &[], FEW)?
        .rows
        .into_iter()
        .map(|r| Columns::of(r).text());
    let names = names.collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = COLUMNS.iter().find(|c| !names.iter().any(|n| n == *c)) {
        return Err(Failure::Refused(format!(
            "this is not a K3s database: its table kine has no column {missing}"
        )));
    }
    if let Some(unfit) = dialect.unfit
        && let Some(row) = db.query(unfit, &[], FEW)?.rows.into_iter().next()
    {
        return Err(Failure::Refused(Columns::of(row).text()?));
    }
    match db
        .query(dialect.protobuf, &[], FEW)?
        .rows
        .into_iter()
        .next()
    {
        Some(row) => Err(protobuf(&Columns::of(row).text()?)),
        None => Ok(()),
    }
}

/// The refusal of a value that kube-apiserver wrote in its binary form.
pub(crate) fn protobuf(key: &str) -> Failure {
    Failure::Refused(format!(
        "this database was written by stock K3s, whose values are protobuf (for example {key}); reading them is not \
         supported yet, so nothing was changed. Start with another database, or write the values as JSON first"
    ))
}

/// True for the envelope that kube-apiserver puts around protobuf.
pub(crate) fn is_protobuf(value: &[u8]) -> bool {
    value.starts_with(b"k8s\0")
}

fn is_complete(tx: &dyn Tx, dialect: &Dialect, found: &Found) -> Result<bool, Failure> {
    let has = |index: &str| found.indexes.iter().any(|i| i == index);
    let whole = !found.tables.is_empty() && dialect.indexes.iter().all(|(name, _)| has(name));
    Ok(whole && is_marked(tx, dialect)?)
}

fn is_marked(tx: &dyn Tx, dialect: &Dialect) -> Result<bool, Failure> {
    Ok(one(tx.query(dialect.has_marker, &[], FEW)?)?.number()? > 0)
}

/// Adds what is missing: everything, or what an older kine did not have. What is there is looked at
/// again, as another server may have been here before the lock was had.
fn complete(tx: &dyn Tx, dialect: &Dialect) -> Result<(), Failure> {
    tx.run(dialect.table, &[])?;
    let few = |text: &str| tx.query(text, &[], Limits { ..FEW });
    let found = look(dialect, &few)?;
    for (name, create) in dialect.indexes {
        if !found.indexes.iter().any(|i| i == name) {
            tx.run(create, &[])?;
        }
    }
    if !is_marked(tx, dialect)? {
        let newest: Value = integer(position(tx, dialect)?.revision + 1);
        tx.run(dialect.marker, std::slice::from_ref(&newest))?;
        if let Some(advance) = dialect.advance {
            tx.query(advance, &[newest], FEW)?;
        }
    }
    Ok(())
}
