//! Datastores: the trait, the contract's types, and the connection to the database that was granted.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::de::DeserializeOwned;

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
    });
}

pub use bindings::exports::k3s::datastore::backend::{
    AppendRow, Change, ChangeKind, Changes, Entries, Entry, Error, Limits, Outcome, Position,
};
pub use bindings::k3s::sql::sql;
pub use sql::{Flavour, Row, Rows, Value};

/// The name under which the operator's database is bound.
const DATABASE: &str = "datastore";

/// For queries that return one row or a handful of short ones.
pub const FEW: sql::Limits = sql::Limits {
    rows: 100,
    bytes: 1 << 16,
};

/// A datastore. One instance writes, several read, and other servers may use the same database: nothing
/// may be kept that cannot be had from the database again.
pub trait Datastore: Sized + 'static {
    /// The operator's settings.
    type Config: DeserializeOwned + Default;

    /// What `kubectl get plugins` shows.
    const NAME: &'static str;
    /// The plugin's own version.
    const VERSION: &'static str;

    /// Takes the configuration; an error is one sentence for the operator. The database is not there yet.
    fn new(config: Self::Config) -> Result<Self, String>;
    /// Creates or completes the schema and says where the log stands; on the writer only.
    fn open(&mut self) -> Result<Position, Error>;
    /// Writes rows after revision `head` as one transaction; one outcome per row.
    fn append(&mut self, head: u64, rows: Vec<AppendRow>) -> Result<Vec<Outcome>, Error>;
    /// Rows of (after, through] whose key starts with `prefix`, oldest first.
    fn after(
        &mut self,
        after: u64,
        through: u64,
        prefix: &str,
        limits: Limits,
    ) -> Result<Changes, Error>;
    /// Live keys as of revision `at` that start with `prefix` and follow `start_after`.
    fn range(
        &mut self,
        at: u64,
        prefix: &str,
        start_after: Option<&str>,
        limits: Limits,
    ) -> Result<Entries, Error>;
    /// Forgets what was overwritten or deleted up to `to`; gives the compacted revision.
    fn compact(&mut self, to: u64) -> Result<u64, Error>;
    /// Gives space back after a compaction.
    fn maintain(&mut self) -> Result<(), Error>;
    /// Bytes used.
    fn size(&mut self) -> Result<u64, Error>;
    /// Reads something trivial.
    fn health(&mut self) -> Result<(), Error>;
}

/// The database that the operator bound, opened when it is first used. Statements are prepared once.
#[derive(Default)]
pub struct Connection(OnceCell<Opened>);

struct Opened {
    database: sql::Database,
    statements: RefCell<BTreeMap<&'static str, Rc<sql::Statement>>>,
}

impl Connection {
    fn opened(&self) -> Result<&Opened, sql::Error> {
        if let Some(opened) = self.0.get() {
            return Ok(opened);
        }
        let database = sql::Database::open(DATABASE)?;
        Ok(self.0.get_or_init(|| Opened {
            database,
            statements: RefCell::default(),
        }))
    }

    fn statement(&self, text: &'static str) -> Result<Rc<sql::Statement>, sql::Error> {
        let opened = self.opened()?;
        if let Some(statement) = opened.statements.borrow().get(text) {
            return Ok(statement.clone());
        }
        let statement = Rc::new(opened.database.prepare(text)?);
        opened
            .statements
            .borrow_mut()
            .insert(text, statement.clone());
        Ok(statement)
    }

    /// Which dialect the database speaks.
    ///
    /// # Errors
    /// When there is no connection.
    pub fn flavour(&self) -> Result<Flavour, sql::Error> {
        Ok(self.opened()?.database.flavour())
    }

    /// A query by itself.
    ///
    /// # Errors
    /// What the database says.
    pub fn query(
        &self,
        text: &'static str,
        args: &[Value],
        limits: sql::Limits,
    ) -> Result<Rows, sql::Error> {
        let statement = self.statement(text)?;
        self.opened()?.database.query(&statement, args, limits)
    }

    /// Starts a transaction; dropping it rolls back. With `write` it is the only one that writes, on any
    /// server, until it ends.
    ///
    /// # Errors
    /// `busy` when the lock is not had in time.
    pub fn begin(&self, write: bool) -> Result<Transaction<'_>, sql::Error> {
        Ok(Transaction {
            connection: self,
            inner: self.opened()?.database.begin(write)?,
        })
    }
}

/// An open transaction. After an error in it, dropping it is all that can be done.
pub struct Transaction<'a> {
    connection: &'a Connection,
    inner: sql::Transaction,
}

impl Transaction<'_> {
    /// A statement without rows.
    ///
    /// # Errors
    /// What the database says.
    pub fn run(&self, text: &'static str, args: &[Value]) -> Result<sql::Outcome, sql::Error> {
        self.inner.run(&*self.connection.statement(text)?, args)
    }

    /// A query.
    ///
    /// # Errors
    /// What the database says.
    pub fn query(
        &self,
        text: &'static str,
        args: &[Value],
        limits: sql::Limits,
    ) -> Result<Rows, sql::Error> {
        self.inner
            .query(&*self.connection.statement(text)?, args, limits)
    }

    /// Makes it durable. Of an append, an error other than `unavailable` leaves open what happened.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nothing was written. [`Error::OutcomeUnknown`]: the next `open` tells.
    pub fn commit(self) -> Result<(), Error> {
        match sql::Transaction::commit(self.inner) {
            Ok(()) => Ok(()),
            Err(sql::Error::Busy(why)) => Err(Error::Unavailable(why)),
            Err(error) => Err(Error::OutcomeUnknown(error.to_string())),
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
            sql::Error::Constraint(failure) | sql::Error::Failed(failure) => {
                Self::Other(failure.message)
            }
            sql::Error::Denied(why) | sql::Error::Other(why) => Self::Other(why),
            sql::Error::TooLarge(bytes) => Self::Other(format!("{bytes} bytes are too many")),
        }
    }
}

/// A row read column by column. A value of another type is damage, not zero.
pub struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    /// From the first column on.
    #[must_use]
    pub fn of(row: Row) -> Self {
        Self(row.into_iter())
    }

    /// The only row of a result.
    ///
    /// # Errors
    /// When there is none.
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

    /// A revision, a count; NULL is 0.
    ///
    /// # Errors
    /// [`Error::Corrupt`]
    pub fn number(&mut self) -> Result<u64, Error> {
        match self.next("a number")? {
            Value::Null => Ok(0),
            Value::Integer(n) => {
                u64::try_from(n).map_err(|_| Error::Corrupt(format!("{n} is negative")))
            }
            other => Err(wrong("a number", &other)),
        }
    }

    /// Text.
    ///
    /// # Errors
    /// [`Error::Corrupt`]
    pub fn text(&mut self) -> Result<String, Error> {
        match self.next("text")? {
            Value::Text(text) => Ok(text),
            other => Err(wrong("text", &other)),
        }
    }

    /// Bytes; NULL is empty.
    ///
    /// # Errors
    /// [`Error::Corrupt`]
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

/// A revision as databases keep it.
#[must_use]
pub fn integer(revision: u64) -> Value {
    Value::Integer(i64::try_from(revision).unwrap_or(i64::MAX))
}

/// The end of all texts that start with `prefix`, in the order of bytes (which in UTF-8 is that of
/// characters): for `name >= prefix AND name < end`.
#[must_use]
pub fn end_of(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            let end: String = chars.into_iter().collect();
            // In a column of kine's type INTEGER, SQLite takes text that looks like a number for one, and
            // numbers come before every text.
            return if end.parse::<f64>().is_ok() {
                format!("{prefix}{}", char::MAX)
            } else {
                end
            };
        }
    }
    char::MAX.to_string()
}

/// Makes a type that implements [`Datastore`] the component's.
#[macro_export]
macro_rules! export_datastore {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::datastore::Datastore;
            use $crate::datastore::bindings::exports::k3s::common::plugin as common;
            use $crate::datastore::bindings::exports::k3s::datastore::backend as contract;

            $crate::__instance!($plugin, $plugin, ::std::convert::identity::<$plugin>);

            impl contract::Guest for Exported {
                fn open() -> Result<contract::Position, contract::Error> {
                    with(|plugin| plugin.open())
                }

                fn append(
                    head: u64,
                    rows: Vec<contract::AppendRow>,
                ) -> Result<Vec<contract::Outcome>, contract::Error> {
                    with(|plugin| plugin.append(head, rows))
                }

                fn after(
                    after: u64,
                    through: u64,
                    prefix: String,
                    limits: contract::Limits,
                ) -> Result<contract::Changes, contract::Error> {
                    with(|plugin| plugin.after(after, through, &prefix, limits))
                }

                fn range(
                    at: u64,
                    prefix: String,
                    start_after: Option<String>,
                    limits: contract::Limits,
                ) -> Result<contract::Entries, contract::Error> {
                    with(|plugin| plugin.range(at, &prefix, start_after.as_deref(), limits))
                }

                fn compact(to: u64) -> Result<u64, contract::Error> {
                    with(|plugin| plugin.compact(to))
                }

                fn maintain() -> Result<(), contract::Error> {
                    with(|plugin| plugin.maintain())
                }

                fn size() -> Result<u64, contract::Error> {
                    with(|plugin| plugin.size())
                }

                fn health() -> Result<(), contract::Error> {
                    with(|plugin| plugin.health())
                }
            }

    $crate::datastore::bindings::export_raw!(Exported with_types_in $crate::datastore::bindings);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_where_the_next_character_begins() {
        assert_eq!(end_of("/a/"), "/a0");
        assert_eq!(end_of("/"), "/\u{10FFFF}", "not the number 0");
        assert_eq!(end_of("a\u{10FFFF}"), "b");
        assert_eq!(end_of(""), "\u{10FFFF}");
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
