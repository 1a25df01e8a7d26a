//! Taking a database: a new one gets kine's schema, kine's own is adopted, anything else is refused
//! before a byte is written.

use crate::bindings::exports::k3s::datastore::backend::Position;
use crate::error::Failure;
use crate::schema;
use crate::sql::{Connection, FEW, Tx};
use crate::values::{Columns, one};

/// What is in a database.
struct Found {
    tables: Vec<String>,
    indexes: Vec<String>,
}

pub(crate) fn open(db: &dyn Connection) -> Result<Position, Failure> {
    let found = look(db)?;
    if found.tables.is_empty() {
        create(db)?;
    } else {
        check(db, &found)?;
        complete(db, &found)?;
    }
    position(&*db.begin(false)?)
}

/// Newest and compacted revision.
pub(crate) fn position(tx: &dyn Tx) -> Result<Position, Failure> {
    let mut row = one(tx.query(schema::POSITION, &[], FEW)?)?;
    Ok(Position { revision: row.number()?, compacted: row.number()? })
}

fn look(db: &dyn Connection) -> Result<Found, Failure> {
    let mut found = Found { tables: Vec::new(), indexes: Vec::new() };
    for row in db.query(schema::MASTER, &[], FEW)?.rows {
        let mut row = Columns::of(row);
        let (kind, name) = (row.text()?, row.text()?);
        if name.starts_with("sqlite_") {
            continue;
        }
        if kind == "table" { found.tables.push(name) } else { found.indexes.push(name) }
    }
    Ok(found)
}

/// That the table is kine's and its values can be served.
fn check(db: &dyn Connection, found: &Found) -> Result<(), Failure> {
    if !found.tables.iter().any(|t| t == "kine") {
        let tables = found.tables.join(", ");
        return Err(Failure::Refused(format!("this is not a K3s database: it has no table kine (it has {tables})")));
    }
    let names = db.query(schema::TABLE_INFO, &[], FEW)?.rows.into_iter().map(|r| Columns::of(r).text());
    let names = names.collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = schema::COLUMNS.iter().find(|c| !names.iter().any(|n| n == *c)) {
        return Err(Failure::Refused(format!("this is not a K3s database: its table kine has no column {missing}")));
    }
    match db.query(schema::PROTOBUF, &[], FEW)?.rows.into_iter().next() {
        Some(row) => Err(protobuf(&Columns::of(row).text()?)),
        None => Ok(()),
    }
}

/// The refusal of a value that kube-apiserver wrote in its binary form.
pub(crate) fn protobuf(key: &str) -> Failure {
    Failure::Refused(format!(
        "this database was written by stock K3s, whose values are protobuf (for example {key}); reading them is not \
         supported yet, so nothing was changed. Start with another --data-dir, or write the values as JSON first"
    ))
}

/// True for the envelope that kube-apiserver puts around protobuf.
pub(crate) fn is_protobuf(value: &[u8]) -> bool {
    value.starts_with(b"k8s\0")
}

fn create(db: &dyn Connection) -> Result<(), Failure> {
    let tx = db.begin(true)?;
    for statement in schema::CREATE {
        tx.run(statement, &[])?;
    }
    tx.run(schema::MARKER, &[])?;
    Ok(tx.commit()?)
}

/// Adds what an older kine did not have. Writes nothing if nothing is missing.
fn complete(db: &dyn Connection, found: &Found) -> Result<(), Failure> {
    let indexed = schema::INDEXES.iter().all(|index| found.indexes.iter().any(|i| i == index));
    let marked = one(db.query(schema::HAS_MARKER, &[], FEW)?)?.number()? > 0;
    if indexed && marked {
        return Ok(());
    }
    let tx = db.begin(true)?;
    for statement in schema::CREATE {
        tx.run(statement, &[])?;
    }
    if !marked {
        tx.run(schema::MARKER, &[])?;
    }
    Ok(tx.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdb::TestDb;

    #[test]
    fn a_new_database_gets_kines_schema_and_revision_one() {
        let db = TestDb::new();
        let position = open(&db).unwrap();
        assert_eq!((position.revision, position.compacted), (1, 0));
        let before = db.dump();
        assert_eq!(open(&db).unwrap().revision, 1);
        assert_eq!(db.dump(), before, "opening again writes nothing");
    }

    #[test]
    fn an_older_kine_database_is_completed() {
        let db = TestDb::new();
        db.execute(schema::CREATE[0]);
        db.execute("CREATE INDEX kine_name_index ON kine (name)");
        db.execute("INSERT INTO kine VALUES(7, '/registry/a', 1, 0, 0, 0, 0, '{}', NULL)");
        assert_eq!(open(&db).unwrap().revision, 8, "the marker takes a revision, as in kine");
        assert!(db.dump().contains("kine_name_prev_revision_uindex"));
    }

    #[test]
    fn foreign_and_stock_databases_are_refused_unchanged() {
        let stock = format!(
            "{}; INSERT INTO kine VALUES(1, 'compact_rev_key', 1, 0, 0, 0, 0, '', NULL); \
             INSERT INTO kine VALUES(2, '/registry/pods/a', 1, 0, 0, 0, 0, x'6b3873000a', NULL)",
            schema::CREATE[0]
        );
        for (setup, said) in [
            ("CREATE TABLE people (name TEXT)", "no table kine (it has people)"),
            ("CREATE TABLE kine (id INTEGER, name TEXT)", "no column created"),
            (stock.as_str(), "/registry/pods/a"),
        ] {
            let db = TestDb::new();
            db.execute(setup);
            let before = db.dump();
            let Err(Failure::Refused(message)) = open(&db) else { panic!("{setup} must be refused") };
            assert!(message.contains(said), "{message}");
            assert_eq!(db.dump(), before);
        }
    }
}
