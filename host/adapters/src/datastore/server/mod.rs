//! A connection to a database server, over sqlx: made when it is needed, made again when it is lost,
//! within a time; never again in the middle of a transaction.
//!
//! What belongs to one kind of server is a [`Driver`]. Errors are sorted there by what they mean for
//! the contract: whether the connection is lost, and whether it is certain that nothing was written.

mod mysql;
mod postgres;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use k3s_base::BackoffPolicy;
use k3s_base::error::chain;
use k3s_config::datastore::Session;
use k3s_wit_bindings::sql::k3s::sql::sql::{Error, Failure, Flavour, Limits, Outcome, Rows, Value};
use sqlx::Row;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::link::{Connect, Link, ROW_BYTES, size_of};

pub(super) use mysql::MySqlDriver;
pub(super) use postgres::PostgresDriver;

/// For reaching a server and logging in, unless the endpoint says otherwise.
const CONNECT: Duration = Duration::from_secs(5);

/// For one statement, unless the endpoint says otherwise.
const STATEMENT: Duration = Duration::from_secs(30);

/// How long the server lets a statement wait for a lock, in seconds; below [`STATEMENT`], so that it
/// is the server who gives up.
const LOCK_SECS: u32 = 10;

/// After so many seconds a server ends a transaction in which nothing happens: one whose owner is
/// behind a broken network would keep the write lock from everybody.
const IDLE_SECS: u32 = 60;

/// How long an instance that writes waits for a lost server before it says so; a restart of the
/// database is shorter than that, and the writers' own deadlines are longer.
pub(super) const WRITER_PATIENCE: Duration = Duration::from_secs(5);

/// The same for one that reads; below what health probes wait for, so that they learn the reason.
pub(super) const READER_PATIENCE: Duration = Duration::from_secs(1);

/// Between tries to connect. Bounded by the patience.
const RECONNECT: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(20),
    factor: 2.0,
    cap: Duration::from_secs(1),
    jitter: 0.0,
};

/// How long a server may take to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// For reaching it and logging in.
    connect: Duration,
    /// For one statement. A server that does not answer for so long is taken for lost; a commit that
    /// takes longer has an unknown outcome.
    statement: Duration,
}

impl Timeouts {
    fn of(session: &Session) -> Self {
        Self {
            connect: session.connect_timeout.unwrap_or(CONNECT),
            statement: session.statement_timeout.unwrap_or(STATEMENT),
        }
    }
}

/// What went wrong with a database server, and what that means. Its text is one sentence for the
/// operator.
#[derive(Debug)]
pub struct Fault {
    /// For the plugin.
    error: Error,
    /// The connection is of no use any more, a new one may be.
    lost: bool,
    /// The server says by itself that it has rolled back.
    undone: bool,
}

impl Fault {
    fn new(error: Error) -> Self {
        Self {
            error,
            lost: false,
            undone: false,
        }
    }

    fn lost(why: impl Into<String>) -> Self {
        Self {
            error: Error::Unavailable(why.into()),
            lost: true,
            undone: false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Error::Denied(text)
            | Error::Busy(text)
            | Error::Unavailable(text)
            | Error::Other(text) => f.write_str(text),
            Error::Constraint(failure)
            | Error::Corrupt(failure)
            | Error::Storage(failure)
            | Error::Failed(failure) => f.write_str(&failure.message),
            Error::TooLarge(bytes) => write!(f, "{bytes} bytes are too many"),
        }
    }
}

impl std::error::Error for Fault {}

/// One kind of server. Functions are given no more than their time by the caller.
pub(super) trait Driver: Send + Sync + 'static {
    /// A connection that is logged in and set up.
    type Connection: Send + 'static;

    /// The dialect.
    const FLAVOUR: Flavour;

    /// How long its server may take.
    fn timeouts(&self) -> Timeouts;

    /// Connects.
    async fn connect(&self) -> Result<Self::Connection, Fault>;

    /// Connects for the first time, and creates the database if it does not exist.
    async fn prepare(&self) -> Result<(), Fault>;

    /// Starts a transaction; one that writes has the database's write lock.
    async fn begin(connection: &mut Self::Connection, write: bool) -> Result<(), Fault>;

    /// Ends it and gives the lock back.
    async fn end(connection: &mut Self::Connection, write: bool, commit: bool)
    -> Result<(), Fault>;

    /// A statement without rows.
    async fn run(
        connection: &mut Self::Connection,
        text: &str,
        args: &[Value],
    ) -> Result<Outcome, Fault>;

    /// A query.
    async fn query(
        connection: &mut Self::Connection,
        text: &str,
        args: &[Value],
        limits: Limits,
    ) -> Result<Rows, Fault>;
}

/// Makes [`ServerLink`]s.
pub(super) struct Spec<D> {
    pub(super) driver: Arc<D>,
    pub(super) handle: Handle,
    pub(super) writable: bool,
}

impl<D: Driver> Connect for Spec<D> {
    fn flavour(&self) -> Flavour {
        D::FLAVOUR
    }

    fn connect(&self) -> Result<Box<dyn Link>, Error> {
        Ok(Box::new(ServerLink::<D> {
            driver: self.driver.clone(),
            handle: self.handle.clone(),
            writable: self.writable,
            connection: None,
            transaction: Transaction::None,
        }))
    }
}

/// Connects for the first time, trying again for `patience` while the server is not there.
pub(super) async fn prepare(driver: &impl Driver, patience: Duration) -> Result<(), Fault> {
    let end = Instant::now() + patience;
    let mut tries = 0;
    loop {
        let fault = match limited(driver.timeouts().connect, driver.prepare()).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        let delay = RECONNECT.delay(tries);
        if !fault.lost || Instant::now() + delay > end {
            return Err(fault);
        }
        if tries == 0 {
            tracing::warn!(
                error = %fault,
                "cannot connect to the database yet; trying for {patience:?}"
            );
        }
        sleep(delay).await;
        tries += 1;
    }
}

/// Where a connection's transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    None,
    Open {
        write: bool,
    },
    /// Something in it went wrong. Some servers would go on without it, statement by statement.
    Failed {
        write: bool,
    },
}

/// A connection to a server, or none at the moment. Called on threads that may block.
struct ServerLink<D: Driver> {
    driver: Arc<D>,
    handle: Handle,
    writable: bool,
    connection: Option<D::Connection>,
    transaction: Transaction,
}

impl<D: Driver> ServerLink<D> {
    /// Does what can be done twice, on a new connection if the old one is lost.
    fn patiently<T>(
        &mut self,
        work: impl AsyncFn(&mut D::Connection) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let patience = if self.writable {
            WRITER_PATIENCE
        } else {
            READER_PATIENCE
        };
        let (driver, slot) = (&self.driver, &mut self.connection);
        self.handle.block_on(async {
            let end = Instant::now() + patience;
            let mut tries = 0;
            loop {
                let fault = match once(&**driver, slot, &work).await {
                    Ok(value) => return Ok(value),
                    Err(fault) => fault,
                };
                let delay = RECONNECT.delay(tries);
                if !fault.lost || Instant::now() + delay > end {
                    return Err(fault.error);
                }
                sleep(delay).await;
                tries += 1;
            }
        })
    }

    /// Does something once, in the open transaction.
    fn inside<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut D::Connection) -> Result<T, Fault>,
    ) -> Result<T, Error> {
        let Transaction::Open { write } = self.transaction else {
            return Err(Error::Other(
                "the transaction has failed; it can only be dropped".to_owned(),
            ));
        };
        let limit = self.driver.timeouts().statement;
        let result = match &mut self.connection {
            Some(connection) => self.handle.block_on(limited(limit, work(connection))),
            None => Err(Fault::lost("the connection is lost")),
        };
        result.map_err(|fault| {
            self.transaction = Transaction::Failed { write };
            if fault.lost {
                self.connection = None;
            }
            fault.error
        })
    }
}

/// Connects if there is no connection, and works on it.
async fn once<D: Driver, T>(
    driver: &D,
    slot: &mut Option<D::Connection>,
    work: impl AsyncFn(&mut D::Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => limited(driver.timeouts().connect, driver.connect()).await?,
    };
    let result = limited(driver.timeouts().statement, work(&mut connection)).await;
    if !matches!(&result, Err(fault) if fault.lost) {
        *slot = Some(connection);
    }
    result
}

/// Within a time; a server that does not answer in it is lost.
async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Fault::lost(format!(
            "the database did not answer within {limit:?}"
        ))),
    }
}

impl<D: Driver> Link for ServerLink<D> {
    fn begin(&mut self, write: bool) -> Result<(), Error> {
        if write && !self.writable {
            return Err(Error::Denied("this instance may only read".to_owned()));
        }
        self.check_idle()?;
        self.patiently(async |connection| {
            let result = D::begin(connection, write).await;
            if matches!(&result, Err(fault) if !fault.lost) {
                D::end(connection, write, false).await?;
            }
            result
        })?;
        self.transaction = Transaction::Open { write };
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        let Transaction::Open { write } = self.transaction else {
            self.rollback();
            return Err(Error::Busy(
                "the transaction had failed and is rolled back".to_owned(),
            ));
        };
        self.transaction = Transaction::None;
        let Some(mut connection) = self.connection.take() else {
            return Err(Error::Busy(
                "the connection was lost before the commit".to_owned(),
            ));
        };
        let limit = self.driver.timeouts().statement;
        match self
            .handle
            .block_on(limited(limit, D::end(&mut connection, write, true)))
        {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            // The connection goes in any case: what is left on it (a lock) goes with it.
            Err(fault) if fault.undone => Err(Error::Busy(fault.to_string())),
            Err(fault) => Err(Error::Unavailable(fault.to_string())),
        }
    }

    fn rollback(&mut self) {
        let (Transaction::Open { write } | Transaction::Failed { write }) = self.transaction else {
            return;
        };
        self.transaction = Transaction::None;
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let limit = self.driver.timeouts().statement;
        // A connection that cannot even do this is dropped, which makes the server roll back.
        if self
            .handle
            .block_on(limited(limit, D::end(&mut connection, write, false)))
            .is_ok()
        {
            self.connection = Some(connection);
        }
    }

    fn abandon(&mut self) {
        self.transaction = Transaction::None;
        self.connection = None;
    }

    fn check_idle(&self) -> Result<(), Error> {
        match self.transaction {
            Transaction::None => Ok(()),
            _ => Err(Error::Busy("a transaction is open".to_owned())),
        }
    }

    fn run(&mut self, text: &str, args: &[Value]) -> Result<Outcome, Error> {
        if self.transaction != Transaction::None {
            return self.inside(async |connection| D::run(connection, text, args).await);
        }
        if !self.writable {
            return Err(Error::Denied("this instance may only read".to_owned()));
        }
        // Not twice: only the connection may be made again.
        self.patiently(async |_| Ok(()))?;
        self.transaction = Transaction::Open { write: false };
        let result = self.inside(async |connection| D::run(connection, text, args).await);
        self.transaction = Transaction::None;
        result
    }

    fn query(&mut self, text: &str, args: &[Value], limits: Limits) -> Result<Rows, Error> {
        if self.transaction != Transaction::None {
            return self.inside(async |connection| D::query(connection, text, args, limits).await);
        }
        self.patiently(async |connection| D::query(connection, text, args, limits).await)
    }
}

/// Rows up to the limits; `column` reads one of theirs.
async fn gather<R: Row>(
    mut found: BoxStream<'_, sqlx::Result<R>>,
    limits: Limits,
    fault: impl Fn(sqlx::Error) -> Fault,
    column: impl Fn(&R, usize) -> sqlx::Result<Result<Value, Fault>>,
) -> Result<Rows, Fault> {
    let mut rows = Rows {
        rows: Vec::new(),
        complete: true,
    };
    let mut bytes = 0;
    while let Some(row) = found.try_next().await.map_err(&fault)? {
        let row = (0..row.len())
            .map(|i| column(&row, i).map_err(&fault)?)
            .collect::<Result<Vec<Value>, Fault>>()?;
        let size: usize = row.iter().map(size_of).sum();
        if size > ROW_BYTES {
            return Err(Fault::new(Error::TooLarge(size as u64)));
        }
        bytes += size;
        let full = rows.rows.len() >= limits.rows as usize || bytes > limits.bytes as usize;
        if full && !rows.rows.is_empty() || limits.rows == 0 {
            rows.complete = false;
            break;
        }
        rows.rows.push(row);
    }
    Ok(rows)
}

/// Errors that no server sent.
fn fault_of_client(error: &sqlx::Error) -> Fault {
    use sqlx::Error as E;
    match error {
        // A refused certificate comes as an error of the stream below.
        E::Io(cause)
            if cause
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>()) =>
        {
            Fault::new(Error::Unavailable(format!(
                "TLS to the database failed: {cause}"
            )))
        }
        E::Io(cause) => Fault::lost(format!("cannot reach the database: {cause}")),
        E::Protocol(what) => Fault::lost(format!(
            "the database sent a message that is not understood: {what}"
        )),
        E::WorkerCrashed => Fault::lost("the connection ended"),
        // Trying again would not help.
        E::Tls(cause) => Fault::new(Error::Unavailable(format!(
            "TLS to the database failed: {}",
            chain(&**cause)
        ))),
        E::Configuration(cause) => Fault::new(Error::Unavailable(chain(&**cause))),
        other => Fault::new(Error::Other(chain(other))),
    }
}

fn failure(sqlstate: &str, native_code: i32, message: &str, retryable: bool) -> Failure {
    Failure {
        sqlstate: sqlstate.to_owned(),
        native_code,
        message: message.to_owned(),
        retryable,
    }
}
