//! SQLite itself behind the SDK's traits, for native tests of the statements.

use rusqlite::types::ValueRef;
use rusqlite::{Connection as Sqlite, params_from_iter};

use k3s_plugin_sdk::datastore::sql::{self, Failure, Limits, Outcome};
use k3s_plugin_sdk::datastore::{
    AppendRow, ChangeKind, Database, Flavour, Row, Rows, SqlResult, Transaction, Value,
};

/// A database in memory.
pub(crate) struct TestDb(Sqlite);

/// A row to append.
pub(crate) fn row(
    key: &str,
    kind: ChangeKind,
    create_revision: u64,
    prev_revision: u64,
) -> AppendRow {
    let old_value = if kind == ChangeKind::Create {
        Vec::new()
    } else {
        b"{}".to_vec()
    };
    AppendRow {
        key: key.into(),
        kind,
        create_revision,
        prev_revision,
        lease: 0,
        value: b"{}".to_vec(),
        old_value,
    }
}

impl TestDb {
    pub(crate) fn new() -> Self {
        Self(Sqlite::open_in_memory().unwrap())
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.0.execute_batch(sql).unwrap();
    }

    /// Each row as text, columns separated by blanks.
    pub(crate) fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.0.prepare(sql).unwrap();
        let columns = statement.column_count();
        let show = |row: &rusqlite::Row<'_>| {
            let texts = (0..columns).map(|i| match row.get_ref(i).unwrap() {
                ValueRef::Integer(n) => n.to_string(),
                ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
                other => format!("{other:?}"),
            });
            Ok(texts.collect::<Vec<_>>().join(" "))
        };
        statement
            .query_map([], show)
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    /// Everything there is, schema and rows.
    pub(crate) fn dump(&self) -> String {
        let mut all = self.rows("SELECT type, name, sql FROM sqlite_master");
        if all.iter().any(|line| line.starts_with("table kine")) {
            all.extend(self.rows("SELECT * FROM kine"));
        }
        all.join("\n")
    }

    fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome> {
        let mut statement = self.0.prepare_cached(text).map_err(error)?;
        let affected = statement
            .execute(params_from_iter(args.iter().map(value)))
            .map_err(error)?;
        Ok(Outcome {
            affected: affected as u64,
            last_id: None,
        })
    }

    fn select(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
        let mut statement = self.0.prepare_cached(text).map_err(error)?;
        let columns = statement.column_count();
        let mut found = statement
            .query(params_from_iter(args.iter().map(value)))
            .map_err(error)?;
        let mut rows = Rows {
            rows: Vec::new(),
            complete: true,
        };
        while let Some(row) = found.next().map_err(error)? {
            if rows.rows.len() >= limits.rows as usize {
                rows.complete = false;
                break;
            }
            rows.rows.push(
                (0..columns)
                    .map(|i| owned(row.get_ref(i).unwrap()))
                    .collect(),
            );
        }
        Ok(rows)
    }
}

fn value(value: &Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Sql;
    match value {
        Value::Null => Sql::Null,
        Value::Integer(n) => Sql::Integer(*n),
        Value::Real(r) => Sql::Real(*r),
        Value::Text(t) => Sql::Text(t.clone()),
        Value::Blob(b) => Sql::Blob(b.clone()),
    }
}

fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Value::Blob(b.to_vec()),
    }
}

fn error(error: rusqlite::Error) -> sql::Error {
    let message = error.to_string();
    let conflict = error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation);
    let failure = Failure {
        sqlstate: String::new(),
        native_code: 0,
        message,
        retryable: false,
    };
    if conflict {
        sql::Error::Constraint(failure)
    } else {
        sql::Error::Failed(failure)
    }
}

impl Database for TestDb {
    fn flavour(&self) -> SqlResult<Flavour> {
        Ok(Flavour::Sqlite)
    }

    fn begin(&self, write: bool) -> SqlResult<Box<dyn Transaction + '_>> {
        self.0
            .execute_batch(if write { "BEGIN IMMEDIATE" } else { "BEGIN" })
            .map_err(error)?;
        Ok(Box::new(TestTx {
            db: self,
            open: true,
        }))
    }

    fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
        self.select(text, args, limits)
    }
}

struct TestTx<'a> {
    db: &'a TestDb,
    open: bool,
}

impl Transaction for TestTx<'_> {
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome> {
        self.db.run(text, args)
    }

    fn run_batch(&self, text: &str, rows: &[Row]) -> SqlResult<Vec<Outcome>> {
        rows.iter().map(|row| self.db.run(text, row)).collect()
    }

    fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
        self.db.select(text, args, limits)
    }

    fn commit(mut self: Box<Self>) -> SqlResult<()> {
        self.open = false;
        self.db.0.execute_batch("COMMIT").map_err(error)
    }
}

impl Drop for TestTx<'_> {
    fn drop(&mut self) {
        if self.open {
            self.db.0.execute_batch("ROLLBACK").unwrap();
        }
    }
}
