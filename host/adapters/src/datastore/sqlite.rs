//! One SQLite connection as the `sql` capability needs it: bounded queries, typed values, errors
//! with their class, and an authorizer that keeps a guest within its own database.

use std::path::PathBuf;
use std::time::Duration;

use k3s_wit_bindings::sql::k3s::sql::sql::{Error, Failure, Flavour, Limits, Outcome, Rows, Value};
use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection as Sqlite, ErrorCode, OpenFlags, ToSql};

use super::link::{Connect, Link, ROW_BYTES, STATEMENTS};

/// How long a statement waits for another connection's lock (kine's busy timeout).
const BUSY: Duration = Duration::from_secs(30);

/// Pages in the WAL before a commit moves them into the database: 16 MiB. The file keeps that size
/// and is written over, which makes a flush several times cheaper than one that extends a file.
const WAL_PAGES: u32 = 4096;

/// Pragmas that a guest may use: they read state, or free space.
const PRAGMAS: &[&str] = &[
    "table_info",
    "table_xinfo",
    "index_list",
    "index_info",
    "page_count",
    "page_size",
    "freelist_count",
    "wal_checkpoint",
    "incremental_vacuum",
    "quick_check",
    "integrity_check",
    "user_version",
    "application_id",
];

/// Which file, and whether it may be written.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

impl Connect for Spec {
    fn flavour(&self) -> Flavour {
        Flavour::Sqlite
    }

    fn connect(&self) -> Result<Box<dyn Link>, Error> {
        Ok(Box::new(Connection::open(self)?))
    }
}

/// An open connection.
struct Connection {
    sqlite: Sqlite,
    writable: bool,
    in_transaction: bool,
}

impl Connection {
    /// Opens the file, which exists. Changes nothing in it.
    fn open(spec: &Spec) -> Result<Self, Error> {
        let mode = if spec.writable {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        } else {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        };
        let mut sqlite =
            Sqlite::open_with_flags(&spec.path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(error)?;
        sqlite.busy_timeout(BUSY).map_err(error)?;
        sqlite.set_prepared_statement_cache_capacity(STATEMENTS);
        // Closing must not write to a database that was refused.
        sqlite
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(error)?;
        sqlite
            .pragma_update(None, "synchronous", "FULL")
            .map_err(error)?;
        sqlite
            .pragma_update(None, "wal_autocheckpoint", WAL_PAGES)
            .map_err(error)?;
        sqlite.authorizer(Some(authorize)).map_err(error)?;
        Ok(Self {
            sqlite,
            writable: spec.writable,
            in_transaction: false,
        })
    }

    fn prepare(&self, text: &str, args: &[Value]) -> Result<CachedStatement<'_>, Error> {
        let mut statement = self.sqlite.prepare_cached(text).map_err(error)?;
        if statement.parameter_count() != args.len() {
            let wanted = statement.parameter_count();
            return Err(Error::Other(format!(
                "{} arguments for {wanted} parameters",
                args.len()
            )));
        }
        for (index, value) in args.iter().enumerate() {
            statement
                .raw_bind_parameter(index + 1, Bind(value))
                .map_err(error)?;
        }
        Ok(statement)
    }
}

impl Link for Connection {
    fn begin(&mut self, write: bool) -> Result<(), Error> {
        if write && !self.writable {
            return Err(Error::Denied("this instance may only read".to_owned()));
        }
        self.check_idle()?;
        self.sqlite
            .execute_batch(if write {
                "BEGIN IMMEDIATE"
            } else {
                "BEGIN DEFERRED"
            })
            .map_err(error)?;
        self.in_transaction = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.in_transaction = false;
        let result = self.sqlite.execute_batch("COMMIT").map_err(error);
        if result.is_err() {
            self.rollback();
        }
        result
    }

    fn rollback(&mut self) {
        self.in_transaction = false;
        if !self.sqlite.is_autocommit()
            && let Err(failed) = self.sqlite.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = %failed, "a transaction could not be rolled back");
        }
    }

    fn abandon(&mut self) {
        // Nobody waits for a network here: this ends.
        self.rollback();
    }

    fn check_idle(&self) -> Result<(), Error> {
        if self.in_transaction {
            Err(Error::Busy("a transaction is open".to_owned()))
        } else {
            Ok(())
        }
    }

    fn run(&mut self, text: &str, args: &[Value]) -> Result<Outcome, Error> {
        let mut statement = self.prepare(text, args)?;
        let affected = statement.raw_execute().map_err(error)? as u64;
        drop(statement);
        Ok(Outcome {
            affected,
            last_id: Some(self.sqlite.last_insert_rowid()),
        })
    }

    fn query(&mut self, text: &str, args: &[Value], limits: Limits) -> Result<Rows, Error> {
        let mut statement = self.prepare(text, args)?;
        let columns = statement.column_count();
        let mut found = statement.raw_query();
        let mut result = Rows {
            rows: Vec::new(),
            complete: true,
        };
        let mut bytes = 0;
        while let Some(row) = found.next().map_err(error)? {
            let size: usize = (0..columns)
                .map(|i| row.get_ref(i).map_or(0, size_of_value))
                .sum();
            if size > ROW_BYTES {
                return Err(Error::TooLarge(size as u64));
            }
            bytes += size;
            let full = result.rows.len() >= limits.rows as usize || bytes > limits.bytes as usize;
            if full && !result.rows.is_empty() || limits.rows == 0 {
                result.complete = false;
                break;
            }
            let values = (0..columns).map(|i| row.get_ref(i).map_err(error).and_then(owned));
            result.rows.push(values.collect::<Result<_, _>>()?);
        }
        Ok(result)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.rollback();
    }
}

/// Sets what a new database has from its first page on, and what holds for it as a file.
pub(super) fn initialise(path: &std::path::Path) -> rusqlite::Result<()> {
    let sqlite = Sqlite::open(path)?;
    sqlite.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    use_wal_of(&sqlite)
}

/// Switches an adopted database to WAL; nothing happens if it is there already.
pub(super) fn use_wal(path: &std::path::Path) -> rusqlite::Result<()> {
    use_wal_of(&Sqlite::open(path)?)
}

fn use_wal_of(sqlite: &Sqlite) -> rusqlite::Result<()> {
    sqlite.busy_timeout(BUSY)?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    sqlite.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
}

/// A guest has its own database: no other files, no settings that weaken durability.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        AuthAction::Pragma { pragma_name, .. } if !PRAGMAS.contains(&pragma_name) => {
            Authorization::Deny
        }
        _ => Authorization::Allow,
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

fn size_of_value(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}

fn owned(value: ValueRef<'_>) -> Result<Value, Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) => Value::Integer(n),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text)
                .map_err(|_| Error::Other("text is not UTF-8".to_owned()))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// SQLite's errors by what can be done about them.
fn error(error: rusqlite::Error) -> Error {
    let message = error.to_string();
    let Some(code) = error.sqlite_error().copied() else {
        return Error::Other(message);
    };
    let failure = |sqlstate: &str, retryable| Failure {
        sqlstate: sqlstate.to_owned(),
        native_code: code.extended_code,
        message: message.clone(),
        retryable,
    };
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy(message),
        ErrorCode::ConstraintViolation => Error::Constraint(failure("23000", false)),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            Error::Corrupt(failure("XX001", false))
        }
        ErrorCode::DiskFull => Error::Storage(failure("53100", true)),
        ErrorCode::SystemIoFailure => Error::Storage(failure("58030", true)),
        ErrorCode::CannotOpen => Error::Unavailable(message),
        ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::AuthorizationForStatementDenied => Error::Denied(message),
        ErrorCode::TooBig => Error::TooLarge(ROW_BYTES as u64),
        ErrorCode::OutOfMemory => Error::Failed(failure("53200", true)),
        _ => Error::Failed(failure("42000", false)),
    }
}
