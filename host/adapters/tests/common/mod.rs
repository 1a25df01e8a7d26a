//! What the datastore's test targets share: a directory each, and a backend in it.
#![allow(dead_code, unreachable_pub, reason = "each target uses its part")]

use std::path::Path;
use std::sync::Arc;

use k3s_adapters::bundled;
use k3s_adapters::datastore::{
    ServerOptions, SqliteOptions, WasmBackend, open_server, open_sqlite,
};
use k3s_base::Clock;
use k3s_config::datastore::{DatabaseKind, Endpoint, TlsFiles};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::{Host, HostOptions};
use k3s_store::{OpenError, Store, StoreOptions};

pub fn host() -> Host {
    Host::new(HostOptions::default()).expect("the engine starts")
}

pub fn sqlite(host: &Host, dir: &Path) -> WasmBackend {
    let options = SqliteOptions::new(dir.join("db/state.db"));
    open_sqlite(
        host,
        bundled::find("datastore", "sqlite").unwrap().source(),
        &options,
    )
    .expect("the bundled datastore loads")
}

pub async fn store(host: &Host, dir: &Path, tasks: &Tasks) -> Result<Store, OpenError> {
    let options = StoreOptions {
        compact_interval: None,
        ..StoreOptions::default()
    };
    Store::open(Arc::new(sqlite(host, dir)), options, Clock::system(), tasks).await
}

/// The bundled datastore on the server of a `--datastore-endpoint`.
pub async fn on_server(
    host: &Host,
    endpoint: &str,
) -> Result<WasmBackend, k3s_adapters::datastore::OpenError> {
    on(
        host,
        Endpoint::parse("datastore-endpoint", endpoint, &TlsFiles::default()).expect("an endpoint"),
    )
    .await
}

/// The same with an endpoint that is read already.
pub async fn on(
    host: &Host,
    endpoint: Endpoint,
) -> Result<WasmBackend, k3s_adapters::datastore::OpenError> {
    let Endpoint::Server(server) = endpoint else {
        panic!("{endpoint:?} is no server's")
    };
    let bundled = match server.kind {
        DatabaseKind::Postgres => bundled::find("datastore", "postgres").unwrap(),
        DatabaseKind::Mysql => bundled::find("datastore", "mysql").unwrap(),
    };
    open_server(host, bundled.source(), &ServerOptions::new(*server)).await
}
