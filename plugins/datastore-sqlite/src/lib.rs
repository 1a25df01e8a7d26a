//! The bundled datastore: kine's table in SQLite, behind the `k3s:datastore` contract.
//!
//! This file only adapts the component's exports and imports to plain Rust; what it does is in
//! [`open`], [`append`], [`read`] and [`compact`], which work on [`sql::Connection`] and are tested
//! natively against SQLite itself. The instance keeps nothing but prepared statements.
//!
//! The table is kine's, column by column, so a database can go back and forth between this and kine
//! as long as its values are JSON. Values that kube-apiserver wrote as protobuf are refused: see
//! [`open`].
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "the exports that use it all exist on wasm only"))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod append;
mod compact;
mod error;
mod open;
mod read;
mod schema;
mod sql;
#[cfg(test)]
mod testdb;
mod values;

#[allow(missing_docs, unsafe_code, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications)]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/host", "../../wit/sql", "../../wit/datastore"],
        world: "k3s:datastore/datastore",
        generate_all,
    });
}

#[cfg(target_arch = "wasm32")]
mod guest;
