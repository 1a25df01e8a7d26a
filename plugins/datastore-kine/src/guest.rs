//! The component's exports, and its connection over the `sql` import.
//!
//! A plugin exports this with its dialect:
//! `type Component = Datastore<Postgres>; k3s_datastore_kine::bindings::export!(Component);`

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use crate::bindings::exports::k3s::datastore::backend::{
    AppendRow, Changes, Entries, Error, Guest as Backend, Limits, Outcome, Position,
};
use crate::bindings::k3s::host::log::{self, Level};
use crate::bindings::k3s::sql::sql::{self as host, Database, Statement, Transaction, Value};
use crate::dialect::Dialect;
use crate::sql::{Connection, SqlResult, Tx};
use crate::{append, compact, open, read};

/// The name under which the operator's database is bound.
const DATABASE: &str = "datastore";

/// Names the dialect of a component.
pub trait Speaks: 'static {
    /// It.
    const DIALECT: &'static Dialect;
}

/// A component that keeps kine's table.
pub struct Datastore<S>(PhantomData<S>);

impl<S: Speaks> Plugin for Datastore<S> {
    fn describe() -> Description {
        Description {
            name: S::DIALECT.name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        // A panic's message would be lost with the instance.
        std::panic::set_hook(Box::new(|panic| log::log(Level::Error, &panic.to_string())));
        match config.trim_ascii() {
            b"" | b"{}" => Ok(()),
            _ => Err(ConfigError::Invalid(format!(
                "the {} datastore has no settings of its own",
                S::DIALECT.name
            ))),
        }
    }
}

impl<S: Speaks> Backend for Datastore<S> {
    fn open() -> Result<Position, Error> {
        Ok(open::open(&Host::new()?, S::DIALECT)?)
    }

    fn append(head: u64, rows: Vec<AppendRow>) -> Result<Vec<Outcome>, Error> {
        Ok(append::append(&Host::new()?, S::DIALECT, head, rows)?)
    }

    fn after(after: u64, through: u64, prefix: String, limits: Limits) -> Result<Changes, Error> {
        Ok(read::after(
            &Host::new()?,
            S::DIALECT,
            after,
            through,
            &prefix,
            limits,
        )?)
    }

    fn range(
        at: u64,
        prefix: String,
        start_after: Option<String>,
        limits: Limits,
    ) -> Result<Entries, Error> {
        Ok(read::range(
            &Host::new()?,
            S::DIALECT,
            at,
            &prefix,
            start_after.as_deref(),
            limits,
        )?)
    }

    fn compact(to: u64) -> Result<u64, Error> {
        Ok(compact::compact(&Host::new()?, S::DIALECT, to)?)
    }

    fn maintain() -> Result<(), Error> {
        Ok(compact::maintain(&Host::new()?, S::DIALECT)?)
    }

    fn size() -> Result<u64, Error> {
        Ok(read::size(&Host::new()?, S::DIALECT)?)
    }

    fn health() -> Result<(), Error> {
        Ok(read::health(&Host::new()?, S::DIALECT)?)
    }
}

thread_local! {
    static OPENED: OnceCell<Rc<Opened>> = const { OnceCell::new() };
}

/// What an instance keeps: its handle and the statements it has prepared.
struct Opened {
    database: Database,
    statements: RefCell<BTreeMap<String, Rc<Statement>>>,
}

/// The instance's connection.
struct Host(Rc<Opened>);

impl Host {
    fn new() -> Result<Self, host::Error> {
        OPENED.with(|cell| {
            if let Some(opened) = cell.get() {
                return Ok(Self(opened.clone()));
            }
            let database = Database::open(DATABASE)?;
            let opened = Rc::new(Opened {
                database,
                statements: RefCell::default(),
            });
            Ok(Self(cell.get_or_init(|| opened).clone()))
        })
    }

    fn statement(&self, text: &str) -> SqlResult<Rc<Statement>> {
        if let Some(statement) = self.0.statements.borrow().get(text) {
            return Ok(statement.clone());
        }
        let statement = Rc::new(self.0.database.prepare(text)?);
        self.0
            .statements
            .borrow_mut()
            .insert(text.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Connection for Host {
    fn begin(&self, write: bool) -> SqlResult<Box<dyn Tx + '_>> {
        Ok(Box::new(HostTx {
            host: self,
            transaction: self.0.database.begin(write)?,
        }))
    }

    fn query(&self, text: &str, args: &[Value], limits: host::Limits) -> SqlResult<host::Rows> {
        self.0.database.query(&*self.statement(text)?, args, limits)
    }
}

struct HostTx<'a> {
    host: &'a Host,
    transaction: Transaction,
}

impl Tx for HostTx<'_> {
    fn run(&self, text: &str, args: &[Value]) -> SqlResult<host::Outcome> {
        self.transaction.run(&*self.host.statement(text)?, args)
    }

    fn run_batch(&self, text: &str, rows: &[host::Row]) -> SqlResult<Vec<host::Outcome>> {
        self.transaction
            .run_batch(&*self.host.statement(text)?, rows)
    }

    fn query(&self, text: &str, args: &[Value], limits: host::Limits) -> SqlResult<host::Rows> {
        self.transaction
            .query(&*self.host.statement(text)?, args, limits)
    }

    fn commit(self: Box<Self>) -> SqlResult<()> {
        Transaction::commit(self.transaction)
    }
}
