//! Kine's table behind the `k3s:datastore` contract, whatever database it is in.
//!
//! What the bundled datastores have in common: how a batch becomes rows, how history and keys are
//! read, what compaction forgets, when a database is refused. What differs between databases is text
//! and is in a [`Dialect`]; a plugin is a dialect and two lines that export [`guest::Datastore`].
//! Everything works on [`sql::Connection`], so that a plugin can test its dialect natively.
//!
//! The table is kine's, column by column, so a database can go back and forth between this and kine
//! as long as its values are JSON. Values that kube-apiserver wrote as protobuf are refused: see
//! [`open`]. Two things kine does not do: revisions are given inside the transaction, under the
//! database's write lock, so that the order of commits is the order of revisions and there are no
//! holes; and a row that cannot be written leaves the other rows of its batch alone.

pub mod append;
pub mod compact;
pub mod dialect;
pub mod error;
#[cfg(target_arch = "wasm32")]
pub mod guest;
pub mod open;
pub mod read;
pub mod sql;
mod values;

pub use dialect::{Dialect, Insert, Parameters};

/// Expanded from the contracts in `wit/`.
#[allow(
    missing_docs,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    unused_qualifications
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/sql", "../../wit/datastore"],
        world: "k3s:datastore/datastore",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "k3s_datastore_kine::bindings",
    });
}
