//! Datastores: the trait, the contract's types, and the database that the operator bound.
//!
//! Every function of [`Datastore`] gets the database as a parameter, so that unit tests can pass another
//! one. [`Columns`] reads rows:
//!
//! ```
//! use k3s_plugin_sdk::datastore::{Columns, Error, Row, Value};
//!
//! fn key_and_revision(row: Row) -> Result<(String, u64), Error> {
//!     let mut row = Columns::of(row);
//!     Ok((row.text()?, row.number()?))
//! }
//!
//! let row = vec![Value::Text("/a".to_owned()), Value::Integer(7)];
//! assert_eq!(key_and_revision(row).unwrap(), ("/a".to_owned(), 7));
//! let damaged = vec![Value::Null, Value::Integer(7)];
//! assert!(matches!(key_and_revision(damaged), Err(Error::Corrupt(_))));
//! ```

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::sentence::Sentence;
use crate::settings::Settings;

/// The contract as generated; [`crate::export_datastore`] needs it.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod bindings {
    contract!({
        path: ["../../wit/common", "../../wit/host", "../../wit/sql", "../../wit/datastore"],
        world: "k3s:datastore/datastore",
        default_bindings_module: "k3s_plugin_sdk::datastore::bindings",
        additional_derives: [PartialEq],
    });
}

pub use bindings::exports::k3s::datastore::backend::{
    AppendRow, Change, ChangeKind, Changes, Entries, Entry, Error, Limits, Outcome, Position,
};
pub use bindings::k3s::sql::sql;
pub use sql::{Flavour, Row, Rows, Value};

/// The name to which the host binds the operator's database.
const DATABASE: &str = "datastore";

/// For queries that return one row or a handful of short ones.
pub const FEW: sql::Limits = sql::Limits {
    rows: 100,
    bytes: 1 << 16,
};

/// The result of a statement.
pub type SqlResult<T> = Result<T, sql::Error>;

/// A datastore. One instance writes, several read, and other servers may use the same database: keep
/// nothing in memory that cannot be read from the database again.
pub trait Datastore: Sized + 'static {
    /// The operator's settings.
    type Config: Settings;

    /// The name that `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;

    /// Creates the plugin. The database is not available yet.
    ///
    /// # Errors
    /// The configuration is not usable; one sentence for the operator.
    fn new(config: Self::Config) -> Result<Self, Sentence>;

    /// Creates or completes the schema and returns where the log stands. Called on the writer only.
    ///
    /// # Errors
    /// [`Error::Refused`] when the data cannot be served; nothing was written.
    fn open(&mut self, db: &dyn Database) -> Result<Position, Error>;

    /// Appends rows after revision `head` as one transaction; one outcome per row.
    ///
    /// # Errors
    /// [`Error::Stale`] when the conflicts since `head` cannot be determined. Nothing was written, except
    /// possibly after [`Error::OutcomeUnknown`].
    fn append(
        &mut self,
        db: &dyn Database,
        head: u64,
        rows: Vec<AppendRow>,
    ) -> Result<Vec<Outcome>, Error>;

    /// Returns rows of (after, through] whose key starts with `prefix`, oldest first.
    ///
    /// # Errors
    /// [`Error::Compacted`] when `after` is below the compacted revision.
    fn after(
        &mut self,
        db: &dyn Database,
        after: u64,
        through: u64,
        prefix: &str,
        limits: Limits,
    ) -> Result<Changes, Error>;

    /// Returns live keys as of revision `at` that start with `prefix` and follow `start_after`.
    ///
    /// # Errors
    /// [`Error::Compacted`] when `at` is below the compacted revision.
    fn range(
        &mut self,
        db: &dyn Database,
        at: u64,
        prefix: &str,
        start_after: Option<&str>,
        limits: Limits,
    ) -> Result<Entries, Error>;

    /// Removes what was overwritten or deleted up to `to` and returns the compacted revision.
    ///
    /// # Errors
    /// What the database reports.
    fn compact(&mut self, db: &dyn Database, to: u64) -> Result<u64, Error>;

    /// Returns free space to the file system after a compaction.
    ///
    /// # Errors
    /// What the database reports.
    fn maintain(&mut self, db: &dyn Database) -> Result<(), Error>;

    /// Returns the bytes in use.
    ///
    /// # Errors
    /// What the database reports.
    fn size(&mut self, db: &dyn Database) -> Result<u64, Error>;

    /// Reads something trivial.
    ///
    /// # Errors
    /// What the database reports.
    fn health(&mut self, db: &dyn Database) -> Result<(), Error>;
}

/// The database that the operator bound: the import `k3s:sql`, whose WIT text describes each function.
pub trait Database {
    /// Returns which dialect the database speaks.
    ///
    /// # Errors
    /// There is no connection.
    fn flavour(&self) -> SqlResult<Flavour>;

    /// Starts a transaction; dropping it rolls it back. With `write` it is the only writing transaction on
    /// any server until it ends.
    ///
    /// # Errors
    /// `busy` when the write lock is not free in time, `unavailable` when there is no connection.
    fn begin(&self, write: bool) -> SqlResult<Box<dyn Transaction + '_>>;

    /// Runs a query outside a transaction.
    ///
    /// # Errors
    /// See [`sql::Error`].
    fn query(&self, text: &str, args: &[Value], limits: sql::Limits) -> SqlResult<Rows>;
}

/// An open transaction. After an error it can only be dropped.
pub trait Transaction {
    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// See [`sql::Error`].
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<sql::Outcome>;

    /// Runs a statement once per row of arguments.
    ///
    /// # Errors
    /// That of the first row that fails.
    fn run_batch(&self, text: &str, rows: &[Row]) -> SqlResult<Vec<sql::Outcome>>;

    /// Runs a query.
    ///
    /// # Errors
    /// See [`sql::Error`].
    fn query(&self, text: &str, args: &[Value], limits: sql::Limits) -> SqlResult<Rows>;

    /// Makes the changes durable.
    ///
    /// # Errors
    /// After `busy` nothing was written; after any other error that is unknown. [`Error::of_commit`] says
    /// so in the contract's terms.
    fn commit(self: Box<Self>) -> SqlResult<()>;
}

/// The host's connection; [`crate::export_datastore`] passes it. It is opened on first use and prepares
/// each statement once.
#[doc(hidden)]
#[derive(Default)]
pub struct Connection(OnceCell<Opened>);

struct Opened {
    database: sql::Database,
    statements: RefCell<BTreeMap<String, Rc<sql::Statement>>>,
}

impl Connection {
    fn opened(&self) -> SqlResult<&Opened> {
        if let Some(opened) = self.0.get() {
            return Ok(opened);
        }
        let database = sql::Database::open(DATABASE)?;
        Ok(self.0.get_or_init(|| Opened {
            database,
            statements: RefCell::default(),
        }))
    }
}

impl Opened {
    fn statement(&self, text: &str) -> SqlResult<Rc<sql::Statement>> {
        if let Some(statement) = self.statements.borrow().get(text) {
            return Ok(statement.clone());
        }
        let statement = Rc::new(self.database.prepare(text)?);
        let mut statements = self.statements.borrow_mut();
        statements.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Database for Connection {
    fn flavour(&self) -> SqlResult<Flavour> {
        Ok(self.opened()?.database.flavour())
    }

    fn begin(&self, write: bool) -> SqlResult<Box<dyn Transaction + '_>> {
        let opened = self.opened()?;
        let inner = opened.database.begin(write)?;
        Ok(Box::new(Begun { opened, inner }))
    }

    fn query(&self, text: &str, args: &[Value], limits: sql::Limits) -> SqlResult<Rows> {
        let opened = self.opened()?;
        let statement = opened.statement(text)?;
        opened.database.query(&statement, args, limits)
    }
}

/// A transaction of the host's connection.
struct Begun<'a> {
    opened: &'a Opened,
    inner: sql::Transaction,
}

impl Transaction for Begun<'_> {
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<sql::Outcome> {
        let statement = self.opened.statement(text)?;
        self.inner.run(&statement, args)
    }

    fn run_batch(&self, text: &str, rows: &[Row]) -> SqlResult<Vec<sql::Outcome>> {
        let statement = self.opened.statement(text)?;
        self.inner.run_batch(&statement, rows)
    }

    fn query(&self, text: &str, args: &[Value], limits: sql::Limits) -> SqlResult<Rows> {
        let statement = self.opened.statement(text)?;
        self.inner.query(&statement, args, limits)
    }

    fn commit(self: Box<Self>) -> SqlResult<()> {
        sql::Transaction::commit(self.inner)
    }
}

/// A plugin and its database; the macro keeps it.
#[doc(hidden)]
pub struct Bound<P> {
    /// The plugin.
    pub plugin: P,
    /// Its database.
    pub database: Connection,
}

impl<P> Bound<P> {
    /// Binds the operator's database, without opening it.
    pub fn new(plugin: P) -> Self {
        let database = Connection::default();
        Self { plugin, database }
    }
}

impl Error {
    /// The failure to commit an append: after `busy` nothing was written; otherwise the outcome shows only
    /// at the next [`Datastore::open`].
    #[must_use]
    pub fn of_commit(error: sql::Error) -> Self {
        match error {
            sql::Error::Busy(why) => Self::Unavailable(why),
            error => Self::OutcomeUnknown(message_of(error)),
        }
    }
}

/// Failures other than a commit's: nothing was written.
impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        match error {
            sql::Error::Busy(why) | sql::Error::Unavailable(why) => Self::Unavailable(why),
            sql::Error::Storage(failure) => Self::Unavailable(failure.message),
            sql::Error::Failed(failure) if failure.retryable => Self::Unavailable(failure.message),
            sql::Error::Corrupt(failure) => Self::Corrupt(failure.message),
            error => Self::Other(message_of(error)),
        }
    }
}

/// The database's own words.
fn message_of(error: sql::Error) -> String {
    match error {
        sql::Error::Denied(why)
        | sql::Error::Busy(why)
        | sql::Error::Unavailable(why)
        | sql::Error::Other(why) => why,
        sql::Error::Constraint(failure)
        | sql::Error::Corrupt(failure)
        | sql::Error::Storage(failure)
        | sql::Error::Failed(failure) => failure.message,
        sql::Error::TooLarge(bytes) => format!("{bytes} bytes are above the limit"),
    }
}

/// A row read column by column. A value of another type means damage, not zero.
pub struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    /// Starts at the first column.
    #[must_use]
    pub fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    /// Reads the only row of a result.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when there is none.
    pub fn only(rows: Rows) -> Result<Self, Error> {
        let row = rows.rows.into_iter().next();
        row.map(Self::of)
            .ok_or_else(|| Error::Corrupt("a query gave no row".to_owned()))
    }

    fn next(&mut self, wanted: &str) -> Result<Value, Error> {
        self.0
            .next()
            .ok_or_else(|| Error::Corrupt(format!("a row ends before its column with {wanted}")))
    }

    /// Reads a revision, count or flag; NULL is 0.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the value is not a number, or negative.
    pub fn number(&mut self) -> Result<u64, Error> {
        match self.next("a number")? {
            Value::Null => Ok(0),
            Value::Integer(n) => {
                u64::try_from(n).map_err(|_| Error::Corrupt(format!("{n} is negative")))
            }
            other => Err(wrong("a number", &other)),
        }
    }

    /// Reads text; some databases store names as bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the value is not UTF-8 text.
    pub fn text(&mut self) -> Result<String, Error> {
        match self.next("text")? {
            Value::Text(text) => Ok(text),
            Value::Blob(bytes) => String::from_utf8(bytes)
                .map_err(|_| Error::Corrupt("a column with text is not UTF-8".to_owned())),
            other => Err(wrong("text", &other)),
        }
    }

    /// Reads bytes; NULL is empty.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the value is a number.
    pub fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        match self.next("bytes")? {
            Value::Null => Ok(Vec::new()),
            Value::Blob(bytes) => Ok(bytes),
            Value::Text(text) => Ok(text.into_bytes()),
            other => Err(wrong("bytes", &other)),
        }
    }
}

fn wrong(wanted: &str, found: &Value) -> Error {
    let found = match found {
        Value::Null => "NULL",
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "text",
        Value::Blob(_) => "a blob",
    };
    Error::Corrupt(format!("a column holds {found} instead of {wanted}"))
}

/// A revision as databases store it.
#[must_use]
pub fn integer(revision: u64) -> Value {
    Value::Integer(i64::try_from(revision).unwrap_or(i64::MAX))
}

/// The least text greater than every text that starts with `prefix`, in byte order (which for UTF-8 is the
/// order of characters): for `name >= prefix AND name < end`.
///
/// ```
/// assert_eq!(k3s_plugin_sdk::datastore::prefix_end("/registry/"), "/registry0");
/// ```
#[must_use]
pub fn prefix_end(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            let end: String = chars.into_iter().collect();
            // In a column of kine's type INTEGER, SQLite stores text that looks like a number as one, and
            // numbers sort before every text.
            let looks_like_a_number = end.parse::<f64>().is_ok();
            if looks_like_a_number {
                return format!("{prefix}{}", char::MAX);
            }
            return end;
        }
    }
    char::MAX.to_string()
}

/// Exports a type that implements [`Datastore`] as the component.
#[macro_export]
macro_rules! export_datastore {
    ($plugin:ty) => {
        $crate::__check!($plugin, $crate::datastore::Datastore);

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::datastore::bindings::exports::k3s::common::plugin as common;
            use $crate::datastore::bindings::exports::k3s::datastore::backend as contract;
            use $crate::datastore::{Bound, Datastore};

            $crate::__instance!($plugin, Bound<$plugin>, Bound::<$plugin>::new);

            impl contract::Guest for Exported {
                fn open() -> Result<contract::Position, contract::Error> {
                    with(|Bound { plugin, database }| plugin.open(database))
                }

                fn append(
                    head: u64,
                    rows: Vec<contract::AppendRow>,
                ) -> Result<Vec<contract::Outcome>, contract::Error> {
                    with(|Bound { plugin, database }| plugin.append(database, head, rows))
                }

                fn after(
                    after: u64,
                    through: u64,
                    prefix: String,
                    limits: contract::Limits,
                ) -> Result<contract::Changes, contract::Error> {
                    with(|Bound { plugin, database }| {
                        plugin.after(database, after, through, &prefix, limits)
                    })
                }

                fn range(
                    at: u64,
                    prefix: String,
                    start_after: Option<String>,
                    limits: contract::Limits,
                ) -> Result<contract::Entries, contract::Error> {
                    with(|Bound { plugin, database }| {
                        plugin.range(database, at, &prefix, start_after.as_deref(), limits)
                    })
                }

                fn compact(to: u64) -> Result<u64, contract::Error> {
                    with(|Bound { plugin, database }| plugin.compact(database, to))
                }

                fn maintain() -> Result<(), contract::Error> {
                    with(|Bound { plugin, database }| plugin.maintain(database))
                }

                fn size() -> Result<u64, contract::Error> {
                    with(|Bound { plugin, database }| plugin.size(database))
                }

                fn health() -> Result<(), contract::Error> {
                    with(|Bound { plugin, database }| plugin.health(database))
                }
            }

            $crate::datastore::bindings::export_raw!(
                Exported with_types_in $crate::datastore::bindings
            );
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_the_next_character_begins() {
        assert_eq!(prefix_end("/a/"), "/a0");
        assert_eq!(prefix_end("/"), "/\u{10FFFF}", "not the number 0");
        assert_eq!(prefix_end("a\u{D7FF}"), "a\u{E000}");
        assert_eq!(prefix_end("a\u{10FFFF}"), "b");
        assert_eq!(prefix_end(""), "\u{10FFFF}");
    }

    #[test]
    fn columns_of_another_type_are_damage() {
        let mut row = Columns::of(vec![
            Value::Integer(7),
            Value::Null,
            Value::Text("k".into()),
            Value::Integer(-1),
        ]);
        assert_eq!(
            (
                row.number().unwrap(),
                row.number().unwrap(),
                row.text().unwrap()
            ),
            (7, 0, "k".to_owned())
        );
        assert!(matches!(row.number(), Err(Error::Corrupt(why)) if why.contains("-1")));
        assert!(matches!(row.text(), Err(Error::Corrupt(why)) if why.contains("ends before")));
    }
}
