//! What the logic needs of a database: the `sql` import's shape, as traits that a test can implement.

pub(crate) use crate::bindings::k3s::sql::sql::{Error as SqlError, Limits, Outcome, Row, Rows, Value};

/// A call's result.
pub(crate) type SqlResult<T> = Result<T, SqlError>;

/// One connection.
pub(crate) trait Connection {
    /// Starts a transaction; dropping it rolls back.
    fn begin(&self, write: bool) -> SqlResult<Box<dyn Tx + '_>>;

    /// A query of its own.
    fn query(&self, text: &'static str, args: &[Value], limits: Limits) -> SqlResult<Rows>;
}

/// An open transaction.
pub(crate) trait Tx {
    /// A statement without rows.
    fn run(&self, text: &'static str, args: &[Value]) -> SqlResult<Outcome>;

    /// The same statement for each row of arguments.
    fn run_batch(&self, text: &'static str, rows: &[Row]) -> SqlResult<Vec<Outcome>>;

    /// A query.
    fn query(&self, text: &'static str, args: &[Value], limits: Limits) -> SqlResult<Rows>;

    /// Makes it durable.
    fn commit(self: Box<Self>) -> SqlResult<()>;
}

/// For queries that return one row or a handful of short ones.
pub(crate) const FEW: Limits = Limits { rows: 100, bytes: 1 << 16 };
