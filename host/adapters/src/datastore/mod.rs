//! The datastore port (`k3s_store::Backend`) implemented by a component over SQL.
//!
//! The plugin owns schema and queries, this module the connections: one that writes and a few that
//! read, each with a component instance of its own, called on blocking threads. Durability is set
//! here and out of the guest's reach: WAL, `synchronous=FULL`, immediate write transactions in a file
//! (`sqlite`); the write lock, time limits and isolation on a server (`server`).
//!
//! Tasks: none. Bounds: [`READERS`] instances read at a time, one writes; others wait.

mod backend;
mod capability;
mod convert;
mod kind;
mod link;
mod open;
mod server;
mod sqlite;

pub use backend::WasmBackend;
pub use open::{OpenError, ServerOptions, SqliteOptions, open_server, open_sqlite};
pub use server::Fault;

use k3s_plugin_host::Contract;

/// What a datastore component must export and may import.
pub const CONTRACT: Contract = Contract {
    kind: "datastore",
    exports: &[&["k3s:common/plugin@0.1.0", "k3s:datastore/backend@0.1.0"]],
    imports: &["k3s:sql/sql@0.1.0"],
};

/// Instances that read. Lists and watches are served from memory, so these only see history.
pub const READERS: usize = 2;
