//! What the `sql` capability needs of a database: one connection with one transaction at a time.
//! SQLite and the servers each implement it; the capability knows neither.

use k3s_wit_bindings::sql::k3s::sql::sql::{Error, Flavour, Limits, Outcome, Rows, Value};

/// No row larger than this leaves a query.
pub(super) const ROW_BYTES: usize = 4 << 20;

/// Prepared statements kept per connection; the bundled plugins have about twenty.
pub(super) const STATEMENTS: usize = 128;

/// Makes connections for instances of a plugin.
pub(super) trait Connect: Send + Sync {
    /// Which dialect is spoken.
    fn flavour(&self) -> Flavour;

    /// A connection of an instance's own. Blocks. For a server it may be made at the first use.
    fn connect(&self) -> Result<Box<dyn Link>, Error>;
}

/// A connection. All functions block, except [`Link::abandon`] and [`Link::check_idle`].
pub(super) trait Link: Send {
    /// Starts the transaction.
    fn begin(&mut self, write: bool) -> Result<(), Error>;

    /// Commits it. After `busy` nothing was written; after another error that is unknown. Either way
    /// no transaction is open.
    fn commit(&mut self) -> Result<(), Error>;

    /// Rolls back. After this no transaction is open, whatever was before.
    fn rollback(&mut self);

    /// The same from where nothing may be waited for.
    fn abandon(&mut self);

    /// Statements outside the open transaction would run inside it, as there is one connection.
    fn check_idle(&self) -> Result<(), Error>;

    /// A statement without rows, in the transaction if one is open.
    fn run(&mut self, text: &str, args: &[Value]) -> Result<Outcome, Error>;

    /// A query, in the transaction if one is open.
    fn query(&mut self, text: &str, args: &[Value], limits: Limits) -> Result<Rows, Error>;

    /// The statement once per row of arguments, up to the first error.
    fn run_batch(&mut self, text: &str, rows: &[Vec<Value>]) -> Result<Vec<Outcome>, Error> {
        rows.iter().map(|args| self.run(text, args)).collect()
    }
}

/// What a value counts against limits in bytes.
pub(super) fn size_of(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 8,
    }
}
