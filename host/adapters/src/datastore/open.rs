//! From a component and a place to a backend.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_config::datastore::{DatabaseKind, DatabaseServer};
use k3s_plugin_host::{Host, Limits, LoadError, Loaded, Plugin, PluginSpec, Policy, Source};
use k3s_wit_bindings::datastore::Datastore;
use k3s_wit_bindings::datastore::exports::k3s::common::plugin::ConfigError;
use thiserror::Error;
use tokio::runtime::Handle;

use super::backend::{Instance, Place};
use super::capability::{self, Grant};
use super::link::Connect;
use super::server::{self, Driver, MySqlDriver, PostgresDriver};
use super::sqlite;
use super::{CONTRACT, READERS, WasmBackend};

/// The name under which a datastore finds its database.
const GRANT: &str = "datastore";

/// How long a server that is not there at the start is waited for.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Where and how to run a datastore on SQLite.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The database file, `<data-dir>/server/db/state.db`. Made, with its directory, if it is absent.
    pub path: PathBuf,
    /// The plugin's own configuration, JSON; empty means defaults.
    pub config: Vec<u8>,
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl SqliteOptions {
    /// Defaults for `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            config: Vec::new(),
            policy: Policy::default(),
            clock: Clock::system(),
            random: Random::from_os(),
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
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl ServerOptions {
    /// Defaults for `server`.
    #[must_use]
    pub fn new(server: DatabaseServer) -> Self {
        Self {
            server,
            config: Vec::new(),
            policy: Policy::default(),
            clock: Clock::system(),
            random: Random::from_os(),
        }
    }
}

/// Why a datastore did not come up. The data themselves are looked at by `Backend::open`.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The component is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file or its directory cannot be used.
    #[error("the database {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A new database could not be set up.
    #[error("the new database {path}")]
    New {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The server cannot be used.
    #[error("the datastore {server}: {reason}")]
    Server {
        /// Which, without password.
        server: String,
        /// Why.
        reason: String,
    },
}

/// Loads `source` (see [`crate::bundled::datastore_sqlite`]) and binds it to the database. Blocks;
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
    let common = Common {
        config: &options.config,
        policy: options.policy,
        clock: &options.clock,
        random: &options.random,
    };
    backend(
        host,
        &loaded,
        Place::File(options.path.clone()),
        &common,
        &connect,
    )
}

/// Connects to the server, creates the database if there is none, loads `source` (see
/// [`crate::bundled::datastore_postgres`]) and binds it. Loading blocks. The backend must be used,
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
    let refused = |fault: server::Fault| OpenError::Server {
        server: options.server.to_string(),
        reason: fault.reason(),
    };
    server::prepare(&driver, START_PATIENCE)
        .await
        .map_err(refused)?;
    let loaded = host.load(source, &CONTRACT)?;
    let (driver, handle) = (Arc::new(driver), Handle::current());
    let connect = |writable| {
        Arc::new(server::Spec {
            driver: driver.clone(),
            handle: handle.clone(),
            writable,
        }) as Arc<dyn Connect>
    };
    let common = Common {
        config: &options.config,
        policy: options.policy,
        clock: &options.clock,
        random: &options.random,
    };
    backend(host, &loaded, Place::Server, &common, &connect)
}

/// What instances have in common, wherever the data are.
struct Common<'a> {
    config: &'a [u8],
    policy: Policy,
    clock: &'a Clock,
    random: &'a Random,
}

fn backend(
    host: &Host,
    loaded: &Loaded,
    place: Place,
    common: &Common<'_>,
    connect: &dyn Fn(bool) -> Arc<dyn Connect>,
) -> Result<WasmBackend, OpenError> {
    let writer = instance(host, loaded, common, connect(true))?;
    let readers = (0..READERS)
        .map(|_| instance(host, loaded, common, connect(false)))
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

fn instance(
    host: &Host,
    loaded: &Loaded,
    common: &Common<'_>,
    connect: Arc<dyn Connect>,
) -> Result<Instance, LoadError> {
    let mut linker = host.linker::<Grant>()?;
    capability::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
    let config = common.config.to_vec();
    let plugin = PluginSpec {
        limits: limits(),
        policy: common.policy,
        clock: common.clock.clone(),
        random: common.random.clone(),
        state: Box::new(move || Grant::new(GRANT, connect.clone())),
        bind: Box::new(move |store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            let bindings = Datastore::new(&mut *store, &instance)?;
            match bindings
                .k3s_common_plugin()
                .call_configure(&mut *store, &config)?
            {
                Ok(()) => Ok(bindings),
                Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => Err(
                    wasmtime::Error::msg(format!("it refuses its configuration: {why}")),
                ),
            }
        }),
    };
    Plugin::new(host, loaded, &linker, plugin)
}

/// A datastore handles batches of some MiB; its own work per call is milliseconds.
fn limits() -> Limits {
    Limits {
        memory_bytes: 256 << 20,
        call: Duration::from_secs(5),
        ..Limits::default()
    }
}
