//! MySQL and MariaDB.
//!
//! The write lock is a named lock of the session (`GET_LOCK`), taken before the transaction begins
//! and given back after it has ended; a session that dies is rolled back first and loses its lock
//! then. With READ COMMITTED every statement sees all rows that were committed before it, so the next
//! writer knows the newest revision.

use k3s_config::datastore::{Address, DatabaseServer, TlsMode};
use k3s_wit_bindings::sql::k3s::sql::sql::{Error, Flavour, Limits, Outcome, Rows, Value};
use sqlx::mysql::{
    MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow,
    MySqlSslMode,
};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Connection, Row, TypeInfo, ValueRef, query_with,
    raw_sql,
};

use super::{Driver, Fault, IDLE_SECS, LOCK_SECS, Timeouts, failure, fault_of_client, gather};
use crate::datastore::link::{ROW_BYTES, STATEMENTS};

/// Name of the lock, which is the server's and not the database's.
const LOCK: &str = "MD5(CONCAT('k3s/', DATABASE()))";

/// Connects to one database.
pub(crate) struct MySqlDriver {
    options: MySqlConnectOptions,
    without_database: MySqlConnectOptions,
    database: String,
    timeouts: Timeouts,
}

impl MySqlDriver {
    pub(crate) fn new(server: &DatabaseServer) -> Self {
        let mut options = MySqlConnectOptions::new()
            .username(&server.user)
            .charset("utf8mb4")
            .enable_cleartext_plugin(server.session.cleartext_password)
            .pipes_as_concat(false)
            .statement_cache_capacity(STATEMENTS)
            .ssl_mode(match server.tls.mode {
                TlsMode::Disable => MySqlSslMode::Disabled,
                TlsMode::Prefer => MySqlSslMode::Preferred,
                TlsMode::Require => MySqlSslMode::Required,
                TlsMode::VerifyCa => MySqlSslMode::VerifyCa,
                TlsMode::VerifyFull => MySqlSslMode::VerifyIdentity,
            })
            .disable_statement_logging();
        options = match &server.address {
            Address::Tcp { host, port } => options.host(host).port(*port),
            Address::Unix { path, .. } => options.socket(path),
        };
        if let Some(password) = &server.password {
            options = options.password(password.reveal());
        }
        if let Some(ca) = &server.tls.ca {
            options = options.ssl_ca(ca);
        }
        if let Some((cert, key)) = &server.tls.client {
            options = options.ssl_client_cert(cert).ssl_client_key(key);
        }
        let database = server.database.clone();
        Self {
            options: options.clone().database(&database),
            without_database: options,
            database,
            timeouts: Timeouts::of(&server.session),
        }
    }

    async fn create(&self) -> Result<(), Fault> {
        let mut connection = MySqlConnection::connect_with(&self.without_database)
            .await
            .map_err(fault)?;
        let create = format!(
            "CREATE DATABASE IF NOT EXISTS `{}`",
            self.database.replace('`', "``")
        );
        raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
            .map_err(fault)?;
        connection.close().await.map_err(fault)
    }
}

/// What holds on every connection: what does not fit is an error, and (on MariaDB, which has that)
/// transactions in which nothing happens end.
fn session() -> String {
    format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET SESSION innodb_lock_wait_timeout = {LOCK_SECS}, \
             SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES') \
             /*M! , SESSION idle_transaction_timeout = {IDLE_SECS} */"
    )
}

impl Driver for MySqlDriver {
    type Connection = MySqlConnection;
    const FLAVOUR: Flavour = Flavour::Mysql;

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    async fn connect(&self) -> Result<MySqlConnection, Fault> {
        let mut connection = MySqlConnection::connect_with(&self.options)
            .await
            .map_err(fault)?;
        raw_sql(AssertSqlSafe(session()))
            .execute(&mut connection)
            .await
            .map_err(fault)?;
        Ok(connection)
    }

    async fn prepare(&self) -> Result<(), Fault> {
        match MySqlConnection::connect_with(&self.options).await {
            Err(error) if number(&error) == Some(1049) => self.create().await?,
            Err(error) => return Err(fault(error)),
            Ok(connection) => drop(connection.close().await),
        }
        let mut connection = self.connect().await?;
        warn_if_not_durable(&mut connection).await?;
        connection.close().await.map_err(fault)
    }

    async fn begin(connection: &mut MySqlConnection, write: bool) -> Result<(), Fault> {
        if !write {
            let text = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
            raw_sql(text).execute(connection).await.map_err(fault)?;
            return Ok(());
        }
        let text = format!("SELECT GET_LOCK({LOCK}, {LOCK_SECS}); START TRANSACTION");
        let rows = raw_sql(AssertSqlSafe(text))
            .fetch_all(connection)
            .await
            .map_err(fault)?;
        let got = rows
            .first()
            .map(|row| row.try_get_unchecked::<Option<i64>, _>(0))
            .transpose()
            .map_err(fault)?;
        match got.flatten() {
            Some(1) => Ok(()),
            _ => Err(Fault::new(Error::Busy(format!(
                "another server keeps the write lock for {LOCK_SECS} s"
            )))),
        }
    }

    async fn end(connection: &mut MySqlConnection, write: bool, commit: bool) -> Result<(), Fault> {
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        let text = if write {
            format!("{end}; DO RELEASE_LOCK({LOCK})")
        } else {
            end.to_owned()
        };
        raw_sql(AssertSqlSafe(text))
            .execute(connection)
            .await
            .map_err(fault)?;
        Ok(())
    }

    async fn run(
        connection: &mut MySqlConnection,
        text: &str,
        args: &[Value],
    ) -> Result<Outcome, Fault> {
        let query = query_with(AssertSqlSafe(text), bind(args)?);
        let result = query.execute(connection).await.map_err(fault)?;
        let last_id = i64::try_from(result.last_insert_id())
            .ok()
            .filter(|id| *id > 0);
        Ok(Outcome {
            affected: result.rows_affected(),
            last_id,
        })
    }

    async fn query(
        connection: &mut MySqlConnection,
        text: &str,
        args: &[Value],
        limits: Limits,
    ) -> Result<Rows, Fault> {
        let query = query_with(AssertSqlSafe(text), bind(args)?);
        gather(query.fetch(connection), limits, fault, column).await
    }
}

/// The setting is the server's, not the session's, so that a warning is all that can be done.
async fn warn_if_not_durable(connection: &mut MySqlConnection) -> Result<(), Fault> {
    let rows = raw_sql("SELECT @@innodb_flush_log_at_trx_commit")
        .fetch_all(connection)
        .await
        .map_err(fault)?;
    let flush = rows
        .first()
        .map(|row| row.try_get_unchecked::<i64, _>(0))
        .transpose()
        .map_err(fault)?;
    if flush != Some(1) {
        tracing::warn!(
            "innodb_flush_log_at_trx_commit is not 1: a crash of the database can lose writes that were acknowledged"
        );
    }
    Ok(())
}

fn bind(args: &[Value]) -> Result<MySqlArguments, Fault> {
    let mut all = MySqlArguments::default();
    for value in args {
        let added = match value {
            Value::Null => all.add(None::<i64>),
            Value::Integer(n) => all.add(*n),
            Value::Real(r) => all.add(*r),
            Value::Text(t) => all.add(t.as_str()),
            Value::Blob(b) => all.add(b.as_slice()),
        };
        added.map_err(|error| Fault::new(Error::Other(error.to_string())))?;
    }
    Ok(all)
}

fn column(row: &MySqlRow, index: usize) -> sqlx::Result<Result<Value, Fault>> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Ok(Value::Null));
    }
    let kind = raw.type_info().name().to_owned();
    Ok(Ok(match kind.as_str() {
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "BOOLEAN" => {
            Value::Integer(row.try_get_unchecked(index)?)
        }
        unsigned if unsigned.ends_with("INT UNSIGNED") => {
            let n: u64 = row.try_get_unchecked(index)?;
            match i64::try_from(n) {
                Ok(n) => Value::Integer(n),
                Err(_) => {
                    return Ok(Err(Fault::new(Error::Other(format!(
                        "{n} has more than 63 bits"
                    )))));
                }
            }
        }
        "DOUBLE" => Value::Real(row.try_get_unchecked(index)?),
        "FLOAT" => Value::Real(row.try_get_unchecked::<f32, _>(index)?.into()),
        text if text.ends_with("CHAR") || text.ends_with("TEXT") => {
            Value::Text(row.try_get_unchecked(index)?)
        }
        bytes if bytes.ends_with("BLOB") || bytes.ends_with("BINARY") => {
            Value::Blob(row.try_get_unchecked(index)?)
        }
        other => {
            return Ok(Err(Fault::new(Error::Other(format!(
                "a column has type {other}; cast it"
            )))));
        }
    }))
}

fn number(error: &sqlx::Error) -> Option<u16> {
    Some(
        error
            .as_database_error()?
            .try_downcast_ref::<MySqlDatabaseError>()?
            .number(),
    )
}

/// By the server's number, as most of its errors share one SQLSTATE (MariaDB: error code reference).
fn fault(error: sqlx::Error) -> Fault {
    let Some(database) = error
        .as_database_error()
        .and_then(|e| e.try_downcast_ref::<MySqlDatabaseError>())
    else {
        return fault_of_client(&error);
    };
    let (number, message) = (database.number(), database.message());
    let sqlstate = database.code().unwrap_or_default();
    let failure = |retryable| failure(sqlstate, i32::from(number), message, retryable);
    match number {
        // Too many connections, shutdown, killed, timeouts of the session.
        1040 | 1053 | 1152 | 1154..=1161 | 1203 | 1226 | 1317 | 1927 | 3024 | 4031 => {
            return Fault::lost(message);
        }
        // Lock wait timeout, deadlock (also one that a Galera cluster finds at commit): rolled back.
        1205 | 1213 => {
            return Fault {
                error: Error::Busy(message.to_owned()),
                lost: false,
                undone: true,
            };
        }
        _ => {}
    }
    Fault::new(match number {
        1044 | 1045 | 1142 | 1143 | 1227 | 1290 | 1698 | 1792 | 1836 => {
            Error::Denied(message.to_owned())
        }
        1049 => Error::Unavailable(message.to_owned()),
        1021 | 1028 | 1041 | 1114 | 1180 => Error::Storage(failure(true)),
        1153 => Error::TooLarge(ROW_BYTES as u64),
        126 | 127 | 1034 | 1035 | 1194 | 1195 | 1712 => Error::Corrupt(failure(false)),
        _ if sqlstate.starts_with("23") => Error::Constraint(failure(false)),
        _ if sqlstate.starts_with("08") => Error::Unavailable(message.to_owned()),
        _ => Error::Failed(failure(false)),
    })
}
