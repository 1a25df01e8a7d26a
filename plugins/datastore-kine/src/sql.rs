//! What the logic needs of a database: the `sql` import's shape, as traits that a test can implement.

pub use crate::bindings::k3s::sql::sql::{
    Error as SqlError, Failure, Limits, Outcome, Row, Rows, Value,
};

/// A call's result.
pub type SqlResult<T> = Result<T, SqlError>;

/// One connection.
pub trait Connection {
    /// Starts a transaction; dropping it rolls back. With `write` no other transaction that writes
    /// is open at the same time, on any server.
    ///
    /// # Errors
    /// `busy` when the write lock is not had in time, `unavailable` when there is no connection.
    fn begin(&self, write: bool) -> SqlResult<Box<dyn Tx + '_>>;

    /// A query of its own.
    ///
    /// # Errors
    /// See [`SqlError`].
    fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows>;
}

/// An open transaction. After an error in it, nothing but dropping it is of use.
pub trait Tx {
    /// A statement without rows.
    ///
    /// # Errors
    /// See [`SqlError`].
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<Outcome>;

    /// The same statement for each row of arguments.
    ///
    /// # Errors
    /// That of the first row that fails.
    fn run_batch(&self, text: &str, rows: &[Row]) -> SqlResult<Vec<Outcome>>;

    /// A query.
    ///
    /// # Errors
    /// See [`SqlError`].
    fn query(&self, text: &str, args: &[Value], limits: Limits) -> SqlResult<Rows>;

    /// Makes it durable.
    ///
    /// # Errors
    /// After `busy` nothing was written; after anything else that is unknown.
    fn commit(self: Box<Self>) -> SqlResult<()>;
}

/// For queries that return one row or a handful of short ones.
pub const FEW: Limits = Limits {
    rows: 100,
    bytes: 1 << 16,
};
