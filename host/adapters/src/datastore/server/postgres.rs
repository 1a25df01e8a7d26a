//! PostgreSQL.
//!
//! The write lock is an advisory lock of the transaction: other servers wait for it, autovacuum does
//! not, and it is given back with the commit, after the rows have become visible. The next writer
//! therefore sees every row before it, which makes the order of commits the order of revisions.

use k3s_config::datastore::{Address, DatabaseServer, TlsMode};
use k3s_wit_bindings::sql::k3s::sql::sql::{Error, Flavour, Limits, Outcome, Rows, Value};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgRow,
    PgSeverity, PgSslMode, PgTypeInfo,
};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Connection, Encode, Postgres, Row, Type, TypeInfo,
    ValueRef, query_with, raw_sql,
};

use super::{Driver, Fault, IDLE_SECS, LOCK_SECS, Timeouts, failure, fault_of_client, gather};
use crate::datastore::link::STATEMENTS;

/// Number of the advisory lock: the bytes of "k3s-kine".
const LOCK: i64 = 0x6b33_732d_6b69_6e65;

/// Where the database is not yet there, it is created from this one.
const MAINTENANCE: &str = "postgres";

/// Connects to one database.
pub(crate) struct PostgresDriver {
    options: PgConnectOptions,
    database: String,
    timeouts: Timeouts,
}

impl PostgresDriver {
    pub(crate) fn new(server: &DatabaseServer) -> Self {
        let mut options = PgConnectOptions::new_without_pgpass()
            .username(&server.user)
            .database(&server.database)
            .application_name(server.session.application_name.as_deref().unwrap_or("k3s"))
            .statement_cache_capacity(STATEMENTS)
            .ssl_mode(match server.tls.mode {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Prefer => PgSslMode::Prefer,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            })
            .disable_statement_logging();
        options = match &server.address {
            Address::Tcp { host, port } => options.host(host).port(*port),
            Address::Unix { path, port } => options.socket(path).port(*port),
        };
        if let Some(password) = &server.password {
            options = options.password(password.reveal());
        }
        if let Some(ca) = &server.tls.ca {
            options = options.ssl_root_cert(ca);
        }
        if let Some((cert, key)) = &server.tls.client {
            options = options.ssl_client_cert(cert).ssl_client_key(key);
        }
        if let Some(schemas) = &server.session.search_path {
            options = options.options([("search_path", schemas)]);
        }
        Self {
            options,
            database: server.database.clone(),
            timeouts: Timeouts::of(&server.session),
        }
    }

    /// Creates the database; somebody else may have been quicker.
    async fn create(&self) -> Result<(), Fault> {
        let options = self.options.clone().database(MAINTENANCE);
        let mut connection = PgConnection::connect_with(&options).await.map_err(fault)?;
        let create = format!("CREATE DATABASE \"{}\"", self.database.replace('"', "\"\""));
        match raw_sql(AssertSqlSafe(create))
            .execute(&mut connection)
            .await
        {
            Err(error) if !matches!(code(&error).as_deref(), Some("42P04" | "23505")) => {
                Err(fault(error))
            }
            _ => Ok(()),
        }
    }
}

/// What holds on every connection. A standby that is behind must not acknowledge for the primary,
/// so a commit is always flushed.
fn session(timeouts: Timeouts) -> String {
    format!(
        "SET lock_timeout = '{LOCK_SECS}s'; SET statement_timeout = {}; \
         SET idle_in_transaction_session_timeout = '{IDLE_SECS}s'; \
         SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        timeouts.statement.as_millis()
    )
}

impl Driver for PostgresDriver {
    type Connection = PgConnection;
    const FLAVOUR: Flavour = Flavour::Postgres;

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    async fn connect(&self) -> Result<PgConnection, Fault> {
        let mut connection = PgConnection::connect_with(&self.options)
            .await
            .map_err(fault)?;
        raw_sql(AssertSqlSafe(session(self.timeouts)))
            .execute(&mut connection)
            .await
            .map_err(fault)?;
        Ok(connection)
    }

    async fn prepare(&self) -> Result<(), Fault> {
        match PgConnection::connect_with(&self.options).await {
            Err(error) if code(&error).as_deref() == Some("3D000") => self.create().await?,
            Err(error) => return Err(fault(error)),
            Ok(connection) => drop(connection.close().await),
        }
        let connection = self.connect().await?;
        connection.close().await.map_err(fault)
    }

    async fn begin(connection: &mut PgConnection, write: bool) -> Result<(), Fault> {
        let text = if write {
            format!("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK})")
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()
        };
        raw_sql(AssertSqlSafe(text))
            .execute(connection)
            .await
            .map_err(fault)?;
        Ok(())
    }

    async fn end(connection: &mut PgConnection, _write: bool, commit: bool) -> Result<(), Fault> {
        let text = if commit { "COMMIT" } else { "ROLLBACK" };
        raw_sql(text).execute(connection).await.map_err(fault)?;
        Ok(())
    }

    async fn run(
        connection: &mut PgConnection,
        text: &str,
        args: &[Value],
    ) -> Result<Outcome, Fault> {
        let query = query_with(AssertSqlSafe(text), bind(args)?);
        let result = query.execute(connection).await.map_err(fault)?;
        Ok(Outcome {
            affected: result.rows_affected(),
            last_id: None,
        })
    }

    async fn query(
        connection: &mut PgConnection,
        text: &str,
        args: &[Value],
        limits: Limits,
    ) -> Result<Rows, Fault> {
        let query = query_with(AssertSqlSafe(text), bind(args)?);
        gather(query.fetch(connection), limits, fault, column).await
    }
}

/// NULL, whose type the statement decides.
struct Null;

impl Type<Postgres> for Null {
    fn type_info() -> PgTypeInfo {
        // `unknown` in pg_type.dat.
        PgTypeInfo::with_oid(Oid(705))
    }
}

impl Encode<'_, Postgres> for Null {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

fn bind(args: &[Value]) -> Result<PgArguments, Fault> {
    let mut all = PgArguments::default();
    for value in args {
        let added = match value {
            Value::Null => all.add(Null),
            Value::Integer(n) => all.add(*n),
            Value::Real(r) => all.add(*r),
            Value::Text(t) => all.add(t.as_str()),
            Value::Blob(b) => all.add(b.as_slice()),
        };
        added.map_err(|error| Fault::new(Error::Other(error.to_string())))?;
    }
    Ok(all)
}

fn column(row: &PgRow, index: usize) -> sqlx::Result<Result<Value, Fault>> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Ok(Value::Null));
    }
    let kind = raw.type_info().name().to_owned();
    Ok(Ok(match kind.as_str() {
        "INT8" => Value::Integer(row.try_get_unchecked(index)?),
        "INT4" => Value::Integer(row.try_get_unchecked::<i32, _>(index)?.into()),
        "INT2" => Value::Integer(row.try_get_unchecked::<i16, _>(index)?.into()),
        "BOOL" => Value::Integer(row.try_get_unchecked::<bool, _>(index)?.into()),
        "FLOAT8" => Value::Real(row.try_get_unchecked(index)?),
        "FLOAT4" => Value::Real(row.try_get_unchecked::<f32, _>(index)?.into()),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => {
            Value::Text(row.try_get_unchecked(index)?)
        }
        "BYTEA" => Value::Blob(row.try_get_unchecked(index)?),
        other => {
            return Ok(Err(Fault::new(Error::Other(format!(
                "a column has type {other}; cast it"
            )))));
        }
    }))
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(Into::into)
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn fault(error: sqlx::Error) -> Fault {
    let Some(database) = error
        .as_database_error()
        .and_then(|e| e.try_downcast_ref::<PgDatabaseError>())
    else {
        return fault_of_client(&error);
    };
    let (code, message) = (database.code(), database.message());
    let ends = matches!(database.severity(), PgSeverity::Fatal | PgSeverity::Panic);
    let failure = |retryable| failure(code, 0, message, retryable);
    let kind = match code {
        "55P03" | "57014" => Error::Busy(message.to_owned()),
        "42501" | "25006" => Error::Denied(message.to_owned()),
        "53100" => Error::Storage(failure(true)),
        "XX001" | "XX002" => Error::Corrupt(failure(false)),
        "3D000" | "57P04" => Error::Unavailable(message.to_owned()),
        _ => match code.get(..2).unwrap_or_default() {
            "08" => Error::Unavailable(message.to_owned()),
            "23" => Error::Constraint(failure(false)),
            "28" => Error::Denied(message.to_owned()),
            "40" => Error::Busy(message.to_owned()),
            "53" => Error::Failed(failure(true)),
            "58" => Error::Storage(failure(true)),
            _ => Error::Failed(failure(false)),
        },
    };
    // A server that ends, starts, or has no connection left will be asked again.
    if code.starts_with("08")
        || matches!(
            code,
            "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03"
        )
    {
        return Fault::lost(message);
    }
    // An ERROR, unlike a FATAL, is the answer of a session that goes on: it has rolled back.
    Fault {
        error: kind,
        lost: ends && !matches!(code.get(..2), Some("28" | "3D")),
        undone: !ends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_server_said_is_a_lost_connection() {
        let gone = fault(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(gone.lost && !gone.undone);
        let tls = fault(sqlx::Error::Tls("server does not support TLS".into()));
        assert!(!tls.lost, "another try would meet the same server");
        assert!(tls.to_string().contains("does not support TLS"));
    }
}
