//! Connections to database servers set up as the product sets up its own, for [`super::native::Native`].

use std::cell::RefCell;

use anyhow::Result;
use k3s_harness::PASSWORD;
use k3s_plugin_sdk::datastore::sql::{self, Failure, Limits, Outcome};
use k3s_plugin_sdk::datastore::{
    Database, Flavour, Row, Rows, SqlResult, Transaction as Tx, Value,
};
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlRow, MySqlSslMode};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow, PgSslMode};
use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection,
    Row as _, TypeInfo as _, ValueRef as _, query_with, raw_sql,
};
use tokio::runtime::Handle;

/// How transactions begin and end (see `host/adapters/src/datastore/server`).
struct Words {
    write: &'static str,
    read: &'static str,
    commit: &'static str,
    rollback: &'static str,
}

/// A connection to one kind of server. What happens on it is the same for all; the types have nothing in
/// common that could be named.
macro_rules! server {
    ($name:ident, $connection:ty, $arguments:ty, $column:path, $words:expr) => {
        pub(super) struct $name {
            connection: RefCell<$connection>,
            handle: Handle,
        }

        impl $name {
            fn say(&self, text: &'static str) -> SqlResult<()> {
                let mut connection = self.connection.borrow_mut();
                self.handle
                    .block_on(raw_sql(text).execute(&mut *connection))
                    .map(drop)
                    .map_err(error)
            }

            fn arguments(args: &[Value]) -> SqlResult<$arguments> {
                let mut all = <$arguments>::default();
                for value in args {
                    let added = match value {
                        Value::Null => all.add(None::<i64>),
                        Value::Integer(n) => all.add(*n),
                        Value::Real(r) => all.add(*r),
                        Value::Text(t) => all.add(t.as_str()),
                        Value::Blob(b) => all.add(b.as_slice()),
                    };
                    added.map_err(|error| sql::Error::Other(error.to_string()))?;
                }
                Ok(all)
            }

            fn execute(&self, text: &str, args: &[Value]) -> SqlResult<Outcome> {
                let query = query_with(AssertSqlSafe(text), Self::arguments(args)?);
                let mut connection = self.connection.borrow_mut();
                let result = self
                    .handle
                    .block_on(query.execute(&mut *connection))
                    .map_err(error)?;
                Ok(Outcome {
                    affected: result.rows_affected(),
                    last_id: None,
                })
            }

            fn select(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
                let query = query_with(AssertSqlSafe(text), Self::arguments(args)?);
                let mut connection = self.connection.borrow_mut();
                let found = self
                    .handle
                    .block_on(connection.fetch_all(query))
                    .map_err(error)?;
                let complete = found.len() <= limits.rows as usize;
                let value = |row, i| $column(row, i).map_err(error);
                let rows = found.iter().take(limits.rows as usize);
                let rows = rows.map(|row| {
                    (0..row.len())
                        .map(|i| value(row, i))
                        .collect::<SqlResult<Row>>()
                });
                Ok(Rows {
                    rows: rows.collect::<Result<_, _>>()?,
                    complete,
                })
            }
        }

        impl Database for $name {
            fn flavour(&self) -> SqlResult<Flavour> {
                Ok(Flavour::Unknown)
            }

            fn begin(&self, write: bool) -> SqlResult<Box<dyn Tx + '_>> {
                self.say(if write { $words.write } else { $words.read })?;
                Ok(Box::new(Transaction {
                    server: self,
                    open: true,
                }))
            }

            fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
                self.select(text, args, limits)
            }
        }

        impl Server for $name {
            fn end(&self, commit: bool) -> SqlResult<()> {
                self.say(if commit {
                    $words.commit
                } else {
                    $words.rollback
                })
            }

            fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome> {
                self.execute(text, args)
            }
        }
    };
}

/// What a transaction needs of its server.
trait Server: Database {
    fn end(&self, commit: bool) -> SqlResult<()>;
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome>;
}

struct Transaction<'a, S: Server> {
    server: &'a S,
    open: bool,
}

impl<S: Server> Tx for Transaction<'_, S> {
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome> {
        self.server.run(text, args)
    }

    fn run_batch(&self, text: &str, rows: &[Row]) -> SqlResult<Vec<Outcome>> {
        rows.iter().map(|row| self.server.run(text, row)).collect()
    }

    fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows> {
        self.server.query(text, args, limits)
    }

    fn commit(mut self: Box<Self>) -> SqlResult<()> {
        self.open = false;
        self.server.end(true)
    }
}

impl<S: Server> Drop for Transaction<'_, S> {
    fn drop(&mut self) {
        if self.open {
            let _ = self.server.end(false);
        }
    }
}

const POSTGRES: Words = Words {
    write: "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1)",
    read: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    commit: "COMMIT",
    rollback: "ROLLBACK",
};

const MARIADB: Words = Words {
    write: "SELECT GET_LOCK(MD5(CONCAT('k3s/', DATABASE())), 10); START TRANSACTION",
    read: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    commit: "COMMIT; DO RELEASE_LOCK(MD5(CONCAT('k3s/', DATABASE())))",
    rollback: "ROLLBACK; DO RELEASE_LOCK(MD5(CONCAT('k3s/', DATABASE())))",
};

server!(
    Postgres,
    PgConnection,
    PgArguments,
    postgres_column,
    POSTGRES
);
server!(
    MariaDb,
    MySqlConnection,
    MySqlArguments,
    mariadb_column,
    MARIADB
);

impl Postgres {
    pub(super) async fn connect(port: u16, database: &str) -> Result<Self> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username("k3s");
        let options = options
            .password(PASSWORD)
            .database(database)
            .ssl_mode(PgSslMode::Disable);
        let connection = PgConnection::connect_with(&options.statement_cache_capacity(128)).await?;
        Ok(Self {
            connection: RefCell::new(connection),
            handle: Handle::current(),
        })
    }
}

impl MariaDb {
    pub(super) async fn connect(port: u16, database: &str) -> Result<Self> {
        let options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(port)
            .username("k3s")
            .password(PASSWORD);
        let options = options
            .database(database)
            .charset("utf8mb4")
            .pipes_as_concat(false);
        let options = options
            .ssl_mode(MySqlSslMode::Disabled)
            .statement_cache_capacity(128);
        let mut connection = MySqlConnection::connect_with(&options).await?;
        raw_sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .execute(&mut connection)
            .await?;
        Ok(Self {
            connection: RefCell::new(connection),
            handle: Handle::current(),
        })
    }
}

fn postgres_column(row: &PgRow, index: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(index)?;
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        _ if raw.is_null() => Value::Null,
        "INT8" => Value::Integer(row.try_get_unchecked(index)?),
        "INT4" => Value::Integer(row.try_get_unchecked::<i32, _>(index)?.into()),
        "BYTEA" => Value::Blob(row.try_get_unchecked(index)?),
        _ => Value::Text(row.try_get_unchecked(index)?),
    })
}

fn mariadb_column(row: &MySqlRow, index: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(index)?;
    let kind = raw.type_info().name().to_owned();
    Ok(match kind.as_str() {
        _ if raw.is_null() => Value::Null,
        unsigned if unsigned.ends_with("INT UNSIGNED") => Value::Integer(
            i64::try_from(row.try_get_unchecked::<u64, _>(index)?).unwrap_or(i64::MAX),
        ),
        number if number.ends_with("INT") => Value::Integer(row.try_get_unchecked(index)?),
        bytes if bytes.ends_with("BLOB") || bytes.ends_with("BINARY") => {
            Value::Blob(row.try_get_unchecked(index)?)
        }
        _ => Value::Text(row.try_get_unchecked(index)?),
    })
}

fn error(error: sqlx::Error) -> sql::Error {
    let constraint = error
        .as_database_error()
        .and_then(|e| e.code())
        .is_some_and(|code| code.starts_with("23"));
    let failure = Failure {
        sqlstate: String::new(),
        native_code: 0,
        message: error.to_string(),
        retryable: false,
    };
    if constraint {
        sql::Error::Constraint(failure)
    } else {
        sql::Error::Failed(failure)
    }
}
