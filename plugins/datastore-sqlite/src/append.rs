//! Writing a batch as one transaction.

use crate::bindings::exports::k3s::datastore::backend::{AppendRow, ChangeKind, Outcome};
use crate::error::Failure;
use crate::open::position;
use crate::schema;
use crate::sql::{Connection, Row, SqlError, Value};
use crate::values::integer;

pub(crate) fn append(db: &dyn Connection, head: u64, rows: Vec<AppendRow>) -> Result<Vec<Outcome>, Failure> {
    let tx = db.begin(true)?;
    let newest = position(&*tx)?.revision;
    if newest != head {
        return Err(Failure::Stale(newest));
    }
    let revisions: Vec<u64> = (1..).map(|n| head + n).take(rows.len()).collect();
    let rows: Vec<Row> = rows.into_iter().zip(&revisions).map(|(row, revision)| columns(row, *revision)).collect();
    tx.run_batch(schema::INSERT, &rows)?;
    match tx.commit() {
        Ok(()) => Ok(revisions.into_iter().map(Outcome::Committed).collect()),
        Err(SqlError::Busy(message)) => Err(SqlError::Busy(message).into()),
        Err(error) => Err(Failure::OutcomeUnknown(error.to_string())),
    }
}

/// The row as kine writes it.
fn columns(row: AppendRow, revision: u64) -> Row {
    let created = row.kind == ChangeKind::Create;
    let flag = |set: bool| Value::Integer(i64::from(set));
    vec![
        integer(revision),
        Value::Text(row.key),
        flag(created),
        flag(row.kind == ChangeKind::Delete),
        integer(row.create_revision),
        if created { Value::Null } else { integer(row.prev_revision) },
        Value::Integer(i64::from(row.lease)),
        Value::Blob(row.value),
        if created { Value::Null } else { Value::Blob(row.old_value) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::open;
    use crate::testdb::{TestDb, row};

    #[test]
    fn a_batch_commits_as_kine_rows() {
        let db = TestDb::new();
        open(&db).unwrap();
        append(&db, 1, vec![row("/a", ChangeKind::Create, 0, 0), row("/b", ChangeKind::Create, 0, 0)]).unwrap();
        append(&db, 3, vec![row("/a", ChangeKind::Delete, 2, 2)]).unwrap();
        append(&db, 4, vec![row("/a", ChangeKind::Create, 0, 0)]).unwrap();
        assert_eq!(
            db.rows("SELECT id, name, created, deleted, create_revision, prev_revision FROM kine WHERE id > 1"),
            ["2 /a 1 0 0 0", "3 /b 1 0 0 0", "4 /a 0 1 2 2", "5 /a 1 0 0 4"],
            "a creation follows its tombstone"
        );
    }

    #[test]
    fn a_wrong_head_or_a_failing_row_writes_nothing() {
        let db = TestDb::new();
        open(&db).unwrap();
        let before = db.dump();
        let create = || vec![row("/a", ChangeKind::Create, 0, 0)];
        assert_eq!(append(&db, 0, create()).unwrap_err(), Failure::Stale(1));
        let twice = vec![row("/a", ChangeKind::Update, 1, 1), row("/a", ChangeKind::Update, 1, 1)];
        assert!(matches!(append(&db, 1, twice), Err(Failure::Sql(..))), "the same predecessor twice");
        assert_eq!(db.dump(), before);
        assert!(append(&db, 1, create()).is_ok());
    }
}
