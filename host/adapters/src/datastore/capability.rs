//! The `k3s:sql` capability: handles of a guest turned into one connection.

use std::sync::Arc;

use k3s_plugin_host::PluginState;
use k3s_wit_bindings::sql::k3s::sql::sql::{
    self, Error, Flavour, HostDatabase, HostStatement, HostTransaction, Limits, Outcome, Row, Rows,
    Value,
};
use k3s_wit_bindings::sql::{Database, Statement, Transaction};
use parking_lot::Mutex;
use wasmtime::component::{HasData, Linker, Resource};

use super::link::{Connect, Link, size_of};

/// Arguments of one batch, as the contract says.
const BATCH_BYTES: usize = 4 << 20;

type Shared = Arc<Mutex<Box<dyn Link>>>;

/// What an instance's guest is granted: one database under one name, opened when it asks.
pub(super) struct Grant {
    name: &'static str,
    connect: Arc<dyn Connect>,
    connection: Option<Shared>,
}

impl Grant {
    pub(super) fn new(name: &'static str, connect: Arc<dyn Connect>) -> Self {
        Self {
            name,
            connect,
            connection: None,
        }
    }
}

/// The capability on an instance's state.
pub(super) struct Sql<'a>(&'a mut PluginState<Grant>);

struct HasSql;

impl HasData for HasSql {
    type Data<'a> = Sql<'a>;
}

/// Offers the capability to a guest.
pub(super) fn add_to_linker(linker: &mut Linker<PluginState<Grant>>) -> wasmtime::Result<()> {
    sql::add_to_linker::<_, HasSql>(linker, |state| Sql(state))
}

/// A handle's connection; as the types behind handles are this module's, a mismatch cannot happen
/// unless the bindings are wrong, and then the guest traps.
fn connection(boxed: &(dyn std::any::Any + Send)) -> wasmtime::Result<Shared> {
    boxed
        .downcast_ref::<Shared>()
        .cloned()
        .ok_or_else(|| wasmtime::Error::msg("not a connection"))
}

/// An open transaction; dropped with the whole instance, wherever that is, it is given up.
struct Open(Option<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.lock().abandon();
        }
    }
}

impl Sql<'_> {
    fn text(&self, statement: &Resource<Statement>) -> wasmtime::Result<Arc<str>> {
        let boxed = &self.0.table.get(statement)?.0;
        boxed
            .downcast_ref::<Arc<str>>()
            .cloned()
            .ok_or_else(|| wasmtime::Error::msg("not a statement"))
    }

    fn database(&self, database: &Resource<Database>) -> wasmtime::Result<Shared> {
        connection(&*self.0.table.get(database)?.0)
    }

    fn transaction(&self, transaction: &Resource<Transaction>) -> wasmtime::Result<Shared> {
        let boxed = &self.0.table.get(transaction)?.0;
        let open = boxed.downcast_ref::<Open>().and_then(|open| open.0.clone());
        open.ok_or_else(|| wasmtime::Error::msg("not an open transaction"))
    }

    /// Works on the connection; the time is the database's, not the guest's.
    fn with<R>(&mut self, connection: &Shared, work: impl FnOnce(&mut dyn Link) -> R) -> R {
        self.0.outside(|_| work(&mut **connection.lock()))
    }

    fn opened(&mut self) -> Result<Shared, Error> {
        if let Some(connection) = &self.0.data.connection {
            return Ok(connection.clone());
        }
        let connection = self.0.outside(|state| state.data.connect.connect())?;
        Ok(self
            .0
            .data
            .connection
            .insert(Arc::new(Mutex::new(connection)))
            .clone())
    }
}

impl sql::Host for Sql<'_> {}

impl HostDatabase for Sql<'_> {
    fn open(&mut self, name: String) -> wasmtime::Result<Result<Resource<Database>, Error>> {
        if name != self.0.data.name {
            return Ok(Err(Error::Denied(format!("no database {name} is granted"))));
        }
        match self.opened() {
            Ok(connection) => Ok(Ok(self.0.table.push(Database(Box::new(connection)))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn flavour(&mut self, _database: Resource<Database>) -> wasmtime::Result<Flavour> {
        Ok(self.0.data.connect.flavour())
    }

    fn prepare(
        &mut self,
        _: Resource<Database>,
        text: String,
    ) -> wasmtime::Result<Result<Resource<Statement>, Error>> {
        Ok(Ok(self
            .0
            .table
            .push(Statement(Box::new(Arc::<str>::from(text))))?))
    }

    fn begin(
        &mut self,
        db: Resource<Database>,
        write: bool,
    ) -> wasmtime::Result<Result<Resource<Transaction>, Error>> {
        let connection = self.database(&db)?;
        match self.with(&connection, |c| c.begin(write)) {
            Ok(()) => Ok(Ok(self
                .0
                .table
                .push(Transaction(Box::new(Open(Some(connection)))))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn run(
        &mut self,
        database: Resource<Database>,
        statement: Resource<Statement>,
        args: Vec<Value>,
    ) -> wasmtime::Result<Result<Outcome, Error>> {
        let (connection, text) = (self.database(&database)?, self.text(&statement)?);
        Ok(self.with(&connection, |c| {
            c.check_idle().and_then(|()| c.run(&text, &args))
        }))
    }

    fn query(
        &mut self,
        database: Resource<Database>,
        statement: Resource<Statement>,
        args: Vec<Value>,
        limits: Limits,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let (connection, text) = (self.database(&database)?, self.text(&statement)?);
        Ok(self.with(&connection, |c| {
            c.check_idle().and_then(|()| c.query(&text, &args, limits))
        }))
    }

    fn drop(&mut self, database: Resource<Database>) -> wasmtime::Result<()> {
        self.0.table.delete(database)?;
        Ok(())
    }
}

impl HostStatement for Sql<'_> {
    fn drop(&mut self, statement: Resource<Statement>) -> wasmtime::Result<()> {
        self.0.table.delete(statement)?;
        Ok(())
    }
}

impl HostTransaction for Sql<'_> {
    fn run(
        &mut self,
        transaction: Resource<Transaction>,
        statement: Resource<Statement>,
        args: Vec<Value>,
    ) -> wasmtime::Result<Result<Outcome, Error>> {
        let (connection, text) = (self.transaction(&transaction)?, self.text(&statement)?);
        Ok(self.with(&connection, |c| c.run(&text, &args)))
    }

    fn run_batch(
        &mut self,
        transaction: Resource<Transaction>,
        statement: Resource<Statement>,
        rows: Vec<Row>,
    ) -> wasmtime::Result<Result<Vec<Outcome>, Error>> {
        let (connection, text) = (self.transaction(&transaction)?, self.text(&statement)?);
        let bytes: usize = rows.iter().flatten().map(size_of).sum();
        if bytes > BATCH_BYTES {
            return Ok(Err(Error::TooLarge(bytes as u64)));
        }
        Ok(self.with(&connection, |c| c.run_batch(&text, &rows)))
    }

    fn query(
        &mut self,
        transaction: Resource<Transaction>,
        statement: Resource<Statement>,
        args: Vec<Value>,
        limits: Limits,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let (connection, text) = (self.transaction(&transaction)?, self.text(&statement)?);
        Ok(self.with(&connection, |c| c.query(&text, &args, limits)))
    }

    fn commit(
        &mut self,
        transaction: Resource<Transaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let mut transaction = self.0.table.delete(transaction)?;
        let open = transaction
            .0
            .downcast_mut::<Open>()
            .and_then(|open| open.0.take());
        let connection = open.ok_or_else(|| wasmtime::Error::msg("not an open transaction"))?;
        Ok(self.with(&connection, |c| c.commit()))
    }

    fn drop(&mut self, transaction: Resource<Transaction>) -> wasmtime::Result<()> {
        let mut transaction = self.0.table.delete(transaction)?;
        let open = transaction
            .0
            .downcast_mut::<Open>()
            .and_then(|open| open.0.take());
        if let Some(connection) = open {
            self.with(&connection, |c| c.rollback());
        }
        Ok(())
    }
}
