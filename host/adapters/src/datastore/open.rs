//! From a component and a place to a backend.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k3s_battery::{Component, Environment};
use k3s_config::datastore::{DatabaseKind, DatabaseServer};
use k3s_plugin_host::{Host, LoadError, Loaded, Source};
use thiserror::Error;
use tokio::runtime::Handle;

use super::backend::Place;
use super::kind::DatastoreKind;
use super::link::Connect;
use super::server::{self, Driver, Fault, MySqlDriver, PostgresDriver};
use super::sqlite;
use super::{CONTRACT, READERS, WasmBackend};

/// How long a server that is not there at the start is waited for.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Where and how to run a datastore on SQLite.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The database file, `<data-dir>/server/db/state.db`. Made, with its directory, if it is absent.
    pub path: PathBuf,
    /// The plugin's own configuration, JSON; empty means defaults.
    pub config: Vec<u8>,
    /// What instances are run with.
    pub environment: Environment,
}

impl SqliteOptions {
    /// Defaults for `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            config: Vec::new(),
            environment: Environment::system(),
        }
    }
}

/// How to run a datastore on a database server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where it is.
    pub server: DatabaseServer,
    /// The plugin's own configuration, JSON; empty means defaults.
    pub config: Vec<u8>,
    /// What instances are run with.
    pub environment: Environment,
}

impl ServerOptions {
    /// Defaults for `server`.
    #[must_use]
    pub fn new(server: DatabaseServer) -> Self {
        Self {
            server,
            config: Vec::new(),
            environment: Environment::system(),
        }
    }
}

/// Why a datastore did not come up. The data themselves are checked by `Backend::open`.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The component is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file or its directory cannot be used.
    #[error("cannot make or open the database {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A new database could not be set up.
    #[error("cannot set up the new database {}", path.display())]
    New {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The server cannot be used.
    #[error("cannot use the datastore {server}")]
    Server {
        /// Which, without password.
        server: String,
        /// Why.
        #[source]
        source: Fault,
    },
}

/// Loads `source` (see [`crate::bundled`]) and binds it to the database. Blocks;
/// an existing database is not touched.
///
/// # Errors
/// When the component is refused, or the file cannot be made or opened.
pub fn open_sqlite(
    host: &Host,
    source: Source<'_>,
    options: &SqliteOptions,
) -> Result<WasmBackend, OpenError> {
    let loaded = host.load(source, &CONTRACT)?;
    prepare_file(&options.path)?;
    let connect = |writable| {
        Arc::new(sqlite::Spec {
            path: options.path.clone(),
            writable,
        }) as Arc<dyn Connect>
    };
    backend(
        host,
        &loaded,
        Place::File(options.path.clone()),
        &options.config,
        &options.environment,
        &connect,
    )
}

/// Connects to the server, creates the database if there is none, loads `source` (see
/// [`crate::bundled`]) and binds it. Loading blocks. The backend must be used,
/// and dropped, while the runtime lives.
///
/// # Errors
/// When the server cannot be reached within ten seconds or does not let us in, or the component is
/// refused.
pub async fn open_server(
    host: &Host,
    source: Source<'_>,
    options: &ServerOptions,
) -> Result<WasmBackend, OpenError> {
    match options.server.kind {
        DatabaseKind::Postgres => {
            with_driver(host, source, options, PostgresDriver::new(&options.server)).await
        }
        DatabaseKind::Mysql => {
            with_driver(host, source, options, MySqlDriver::new(&options.server)).await
        }
    }
}

async fn with_driver<D: Driver>(
    host: &Host,
    source: Source<'_>,
    options: &ServerOptions,
    driver: D,
) -> Result<WasmBackend, OpenError> {
    let prepared = server::prepare(&driver, START_PATIENCE).await;
    prepared.map_err(|source| OpenError::Server {
        server: options.server.to_string(),
        source,
    })?;
    let loaded = host.load(source, &CONTRACT)?;
    let (driver, handle) = (Arc::new(driver), Handle::current());
    let connect = |writable| {
        Arc::new(server::Spec {
            driver: driver.clone(),
            handle: handle.clone(),
            writable,
        }) as Arc<dyn Connect>
    };
    backend(
        host,
        &loaded,
        Place::Server,
        &options.config,
        &options.environment,
        &connect,
    )
}

fn backend(
    host: &Host,
    loaded: &Loaded,
    place: Place,
    config: &[u8],
    environment: &Environment,
    connect: &dyn Fn(bool) -> Arc<dyn Connect>,
) -> Result<WasmBackend, OpenError> {
    let component = |writable| {
        let kind = Arc::new(DatastoreKind::new(connect(writable)));
        Component::of(kind, host, loaded, config.to_vec(), environment)
    };
    let writer = component(true)?;
    let readers = (0..READERS)
        .map(|_| component(false))
        .collect::<Result<_, _>>()?;
    Ok(WasmBackend::new(place, writer, readers))
}

/// Makes an absent database, readable by this user alone.
fn prepare_file(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::File {
        path: path.to_owned(),
        source,
    };
    if let Some(dir) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    if file.and_then(|f| f.metadata()).map_err(failed)?.len() > 0 {
        return Ok(());
    }
    sqlite::initialise(path).map_err(|source| OpenError::New {
        path: path.to_owned(),
        source,
    })
}
