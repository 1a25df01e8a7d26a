//! The bundled datastore for PostgreSQL: kine's table. The logic is in `k3s-datastore-kine`; here are
//! PostgreSQL's statements. They are tested by the store's contract suite on a real server, in
//! `host/adapters/tests`.

pub mod dialect;

use k3s_datastore_kine::{Dialect, HasDialect, Kine};
use k3s_plugin_sdk::export_datastore;

/// Names the dialect of PostgreSQL.
#[derive(Debug)]
pub struct Postgres;

impl HasDialect for Postgres {
    const DIALECT: &'static Dialect = &dialect::POSTGRES;
}

export_datastore!(Kine<Postgres>);
