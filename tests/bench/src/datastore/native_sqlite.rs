//! A SQLite connection set up as the product sets up its own, for [`super::native::Native`].

use std::path::Path;

use anyhow::Result;
use k3s_plugin_sdk::datastore::sql::{self, Failure, Limits, Outcome};
use k3s_plugin_sdk::datastore::{
    Database, Flavour, Row, Rows, SqlResult, Transaction as Tx, Value,
};
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, ToSql};

/// One connection.
pub(super) struct Sqlite(rusqlite::Connection);

impl Sqlite {
    /// Makes the database, with the settings of `host/adapters/src/datastore/sqlite.rs`.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let sqlite = rusqlite::Connection::open(path)?;
        sqlite.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        sqlite.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        sqlite.set_prepared_statement_cache_capacity(128);
        sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        sqlite.pragma_update(None, "synchronous", "FULL")?;
        sqlite.pragma_update(None, "wal_autocheckpoint", 4096)?;
        Ok(Self(sqlite))
    }

    fn prepare(&self, text: &str, args: &[Value]) -> SqlResult<CachedStatement<'_>> {
        let mut statement = self.0.prepare_cached(text).map_err(error)?;
        for (index, value) in args.iter().enumerate() {
            statement
                .raw_bind_parameter(index + 1, Bind(value))
                .map_err(error)?;
        }
        Ok(statement)
    }

    fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome> {
        let affected = self.prepare(text, args)?.raw_execute().map_err(error)? as u64;
        Ok(Outcome {
            affected,
            last_id: Some(self.0.last_insert_rowid()),
        })
    }

    fn select(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
        let mut statement = self.prepare(text, args)?;
        let columns = statement.column_count();
        let mut found = statement.raw_query();
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
                    .map(|i| row.get_ref(i).map(owned).map_err(error))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(rows)
    }
}

struct Bind<'a>(&'a Value);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(n) => ValueRef::Integer(*n),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(t) => ValueRef::Text(t.as_bytes()),
            Value::Blob(b) => ValueRef::Blob(b),
        }))
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
    let constraint = error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation);
    let failure = Failure {
        sqlstate: String::new(),
        native_code: 0,
        message,
        retryable: false,
    };
    if constraint {
        sql::Error::Constraint(failure)
    } else {
        sql::Error::Failed(failure)
    }
}

impl Database for Sqlite {
    fn flavour(&self) -> SqlResult<Flavour> {
        Ok(Flavour::Sqlite)
    }

    fn begin(&self, write: bool) -> SqlResult<Box<dyn Tx + '_>> {
        self.0
            .execute_batch(if write {
                "BEGIN IMMEDIATE"
            } else {
                "BEGIN DEFERRED"
            })
            .map_err(error)?;
        Ok(Box::new(Transaction {
            db: self,
            open: true,
        }))
    }

    fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
        self.select(text, args, limits)
    }
}

struct Transaction<'a> {
    db: &'a Sqlite,
    open: bool,
}

impl Tx for Transaction<'_> {
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

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            let _ = self.db.0.execute_batch("ROLLBACK");
        }
    }
}
