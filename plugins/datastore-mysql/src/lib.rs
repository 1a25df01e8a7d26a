//! The bundled datastore for MySQL: kine's table. The logic is in `k3s-datastore-kine`; here are
//! MySQL's statements. They are tested by the store's contract suite on a real server, in
//! `host/adapters/tests`.

pub mod dialect;

use k3s_datastore_kine::{Dialect, HasDialect, Kine};
use k3s_plugin_sdk::export_datastore;

/// Names the dialect of MySQL and MariaDB.
#[derive(Debug)]
pub struct Mysql;

impl HasDialect for Mysql {
    const DIALECT: &'static Dialect = &dialect::MYSQL;
}

export_datastore!(Kine<Mysql>);
