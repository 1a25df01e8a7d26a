//! The bundled datastore: kine's table in SQLite. The logic is in `k3s-datastore-kine`; here are
//! SQLite's statements, and the tests of both against SQLite itself.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod dialect;
#[cfg(test)]
mod testdb;
#[cfg(test)]
mod tests;

use k3s_datastore_kine::{Dialect, HasDialect, Kine};
use k3s_plugin_sdk::export_datastore;

/// Names the dialect of SQLite.
#[derive(Debug)]
pub struct Sqlite;

impl HasDialect for Sqlite {
    const DIALECT: &'static Dialect = &dialect::SQLITE;
}

export_datastore!(Kine<Sqlite>);
