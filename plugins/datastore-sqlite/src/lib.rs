//! The bundled datastore: kine's table in SQLite. What it does is `k3s-datastore-kine`; here are
//! SQLite's words for it, and the tests of both against SQLite itself.
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

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use k3s_datastore_kine::Dialect;
    use k3s_datastore_kine::guest::{Datastore, Speaks};

    struct Sqlite;

    impl Speaks for Sqlite {
        const DIALECT: &'static Dialect = &crate::dialect::SQLITE;
    }

    type Component = Datastore<Sqlite>;

    k3s_datastore_kine::bindings::export!(Component);
}
