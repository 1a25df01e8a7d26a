//! The plugin: the SDK's trait on a dialect.

use std::marker::PhantomData;

use k3s_plugin_sdk::datastore::{
    AppendRow, Changes, Database, Datastore, Entries, Error, Limits, Outcome, Position,
};
use k3s_plugin_sdk::{NoSettings, Sentence};

use crate::dialect::Dialect;
use crate::{append, compact, open, read};

/// The dialect of a component.
pub trait HasDialect: 'static {
    /// The statements of one database.
    const DIALECT: &'static Dialect;
}

/// A datastore that keeps kine's table.
#[derive(Debug)]
pub struct Kine<D>(PhantomData<D>);

impl<D: HasDialect> Datastore for Kine<D> {
    type Config = NoSettings;

    const NAME: &'static str = D::DIALECT.name;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(NoSettings: NoSettings) -> Result<Self, Sentence> {
        Ok(Self(PhantomData))
    }

    fn open(&mut self, db: &dyn Database) -> Result<Position, Error> {
        open::open(db, D::DIALECT)
    }

    fn append(
        &mut self,
        db: &dyn Database,
        head: u64,
        rows: Vec<AppendRow>,
    ) -> Result<Vec<Outcome>, Error> {
        append::append(db, D::DIALECT, head, rows)
    }

    fn after(
        &mut self,
        db: &dyn Database,
        after: u64,
        through: u64,
        prefix: &str,
        limits: Limits,
    ) -> Result<Changes, Error> {
        read::after(db, D::DIALECT, after, through, prefix, limits)
    }

    fn range(
        &mut self,
        db: &dyn Database,
        at: u64,
        prefix: &str,
        start_after: Option<&str>,
        limits: Limits,
    ) -> Result<Entries, Error> {
        read::range(db, D::DIALECT, at, prefix, start_after, limits)
    }

    fn compact(&mut self, db: &dyn Database, to: u64) -> Result<u64, Error> {
        compact::compact(db, D::DIALECT, to)
    }

    fn maintain(&mut self, db: &dyn Database) -> Result<(), Error> {
        compact::maintain(db, D::DIALECT)
    }

    fn size(&mut self, db: &dyn Database) -> Result<u64, Error> {
        read::size(db, D::DIALECT)
    }

    fn health(&mut self, db: &dyn Database) -> Result<(), Error> {
        read::health(db, D::DIALECT)
    }
}
