//! The bundled datastore for PostgreSQL: kine's table. What it does is `k3s-datastore-kine`; here are
//! PostgreSQL's words for it. They are tested by the store's contract suite on a real server, in
//! `host/adapters/tests`.

pub mod dialect;

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use k3s_datastore_kine::Dialect;
    use k3s_datastore_kine::guest::{Datastore, Speaks};

    struct Postgres;

    impl Speaks for Postgres {
        const DIALECT: &'static Dialect = &crate::dialect::POSTGRES;
    }

    type Component = Datastore<Postgres>;

    k3s_datastore_kine::bindings::export!(Component);
}
