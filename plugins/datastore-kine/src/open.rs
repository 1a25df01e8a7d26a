//! Opens a database: an empty one gets kine's schema, kine's own is adopted, and anything else is refused
//! before a byte is written.

use k3s_plugin_sdk::datastore::{
    Columns, Database, Error, FEW, Position, Rows, SqlResult, Transaction, Value, integer,
};

use crate::dialect::{COLUMNS, Dialect};

/// The tables and indexes of a database.
struct Found {
    tables: Vec<String>,
    indexes: Vec<String>,
}

/// Creates or completes the schema and returns where the log stands. Waits for any commit in progress, so
/// that the answer is final for a caller whose commit failed with an unknown outcome.
///
/// # Errors
/// [`Error::Refused`] when the data are not a datastore's or cannot be served; nothing was written.
pub fn open(db: &dyn Database, dialect: &Dialect) -> Result<Position, Error> {
    let found = find_objects(dialect, &|text| db.query(text, &[], FEW))?;
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

/// Returns the newest and the compacted revision.
///
/// # Errors
/// What the database reports.
pub fn position(tx: &dyn Transaction, dialect: &Dialect) -> Result<Position, Error> {
    let mut row = Columns::only(tx.query(dialect.position, &[], FEW)?)?;
    Ok(Position {
        revision: row.number()?,
        compacted: row.number()?,
    })
}

/// Lists tables and indexes.
fn find_objects(
    dialect: &Dialect,
    query: &dyn Fn(&str) -> SqlResult<Rows>,
) -> Result<Found, Error> {
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

/// Checks that the table is kine's and its values can be served.
fn check(db: &dyn Database, dialect: &Dialect, found: &Found) -> Result<(), Error> {
    if !found.tables.iter().any(|t| t == "kine") {
        let tables = found.tables.join(", ");
        return Err(Error::Refused(format!(
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
        return Err(Error::Refused(format!(
            "this is not a K3s database: its table kine has no column {missing}"
        )));
    }
    if let Some(unfit) = dialect.unfit
        && let Some(row) = db.query(unfit, &[], FEW)?.rows.into_iter().next()
    {
        return Err(Error::Refused(Columns::of(row).text()?));
    }
    match db
        .query(dialect.protobuf, &[], FEW)?
        .rows
        .into_iter()
        .next()
    {
        Some(row) => Err(refuse_protobuf(&Columns::of(row).text()?)),
        None => Ok(()),
    }
}

/// The refusal of a value that kube-apiserver wrote in its binary form.
pub(crate) fn refuse_protobuf(key: &str) -> Error {
    Error::Refused(format!(
        "this database was written by stock K3s, whose values are protobuf (for example {key}); reading them is not \
         supported yet, so nothing was changed. Start with another database, or write the values as JSON first"
    ))
}

/// True for the envelope that kube-apiserver puts around protobuf.
pub(crate) fn is_protobuf(value: &[u8]) -> bool {
    value.starts_with(b"k8s\0")
}

fn is_complete(tx: &dyn Transaction, dialect: &Dialect, found: &Found) -> Result<bool, Error> {
    let has = |index: &str| found.indexes.iter().any(|i| i == index);
    let whole = !found.tables.is_empty() && dialect.indexes.iter().all(|(name, _)| has(name));
    Ok(whole && is_marked(tx, dialect)?)
}

fn is_marked(tx: &dyn Transaction, dialect: &Dialect) -> Result<bool, Error> {
    Ok(Columns::only(tx.query(dialect.has_marker, &[], FEW)?)?.number()? > 0)
}

/// Adds what is missing: everything, or what an older kine did not have. Lists the objects again, because
/// another server may have added them before this one got the lock.
fn complete(tx: &dyn Transaction, dialect: &Dialect) -> Result<(), Error> {
    tx.run(dialect.table, &[])?;
    let found = find_objects(dialect, &|text| tx.query(text, &[], FEW))?;
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
