//! Where objects are kept, and the component that keeps them there.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use k3s_adapters::datastore::{
    ServerOptions, SqliteOptions, WasmBackend, open_server, open_sqlite,
};
use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_config::datastore::{DatabaseKind, DatabaseServer, Endpoint};
use k3s_plugin_host::{Host, Policy};
use serde_json::Map;

use crate::plugins::{Component, find_bundled};

/// A resolved `--datastore-endpoint`. Its `Display` has no password.
pub(crate) enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A database on a server.
    Server(Box<DatabaseServer>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(server) => write!(f, "{server}"),
        }
    }
}

impl Place {
    pub(crate) fn of(endpoint: &Endpoint, data_dir: &Path) -> Self {
        match endpoint {
            Endpoint::Sqlite(Some(path)) => Self::File(path.clone()),
            Endpoint::Sqlite(None) => Self::File(data_dir.join("server/db/state.db")),
            Endpoint::Server(server) => Self::Server(server.clone()),
        }
    }

    /// The name of the bundled component that speaks its dialect.
    pub(crate) fn dialect(&self) -> &'static str {
        match self {
            Self::File(_) => "sqlite",
            Self::Server(server) => match server.kind {
                DatabaseKind::Postgres => "postgres",
                DatabaseKind::Mysql => "mysql",
            },
        }
    }

    /// The bundled component for it.
    pub(crate) fn bundled(&self) -> Result<Component> {
        let bundled = find_bundled("datastore", self.dialect())?;
        Ok(Component::bundled(bundled))
    }

    /// Opens it with `component`.
    pub(crate) async fn open(
        &self,
        host: &Host,
        component: &Component,
        clock: &Clock,
        random: &Random,
    ) -> Result<WasmBackend> {
        let (host, config) = (component.host(host), component.config(Map::new()));
        let environment = Environment {
            policy: Policy::default(),
            clock: clock.clone(),
            random: random.clone(),
        };
        match self {
            Self::File(path) => {
                let options = SqliteOptions {
                    config,
                    environment,
                    ..SqliteOptions::new(path)
                };
                // Loading a component and opening a database block.
                Ok(tokio::task::block_in_place(|| {
                    open_sqlite(&host, component.source(), &options)
                })?)
            }
            Self::Server(server) => {
                let options = ServerOptions {
                    config,
                    environment,
                    ..ServerOptions::new((**server).clone())
                };
                Ok(open_server(&host, component.source(), &options).await?)
            }
        }
    }
}
