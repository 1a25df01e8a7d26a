//! The bundled datastore for MySQL: kine's table. What it does is `k3s-datastore-kine`; here are
//! MySQL's words for it. They are tested by the store's contract suite on a real server, in
//! `host/adapters/tests`.

pub mod dialect;

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use k3s_datastore_kine::Dialect;
    use k3s_datastore_kine::guest::{Datastore, Speaks};

    struct Mysql;

    impl Speaks for Mysql {
        const DIALECT: &'static Dialect = &crate::dialect::MYSQL;
    }

    type Component = Datastore<Mysql>;

    k3s_datastore_kine::bindings::export!(Component);
}
