//! From a component and a path to a backend.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_plugin_host::{Host, Limits, LoadError, Loaded, Plugin, PluginSpec, Policy, Source};
use k3s_wit_bindings::datastore::Datastore;
use k3s_wit_bindings::datastore::exports::k3s::common::plugin::ConfigError;
use thiserror::Error;

use super::backend::Instance;
use super::capability::{self, Grant};
use super::connection::{self, Spec};
use super::{CONTRACT, READERS, WasmBackend};

/// The name under which a datastore finds its database.
const GRANT: &str = "datastore";

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
}

/// Loads `source` (see [`crate::bundled::datastore_sqlite`]) and binds it to the database. Blocks;
/// an existing database is not touched.
///
/// # Errors
/// When the component is refused, or the file cannot be made or opened.
pub fn open_sqlite(host: &Host, source: Source<'_>, options: &SqliteOptions) -> Result<WasmBackend, OpenError> {
    let loaded = host.load(source, &CONTRACT)?;
    prepare_file(&options.path)?;
    let writer = instance(host, &loaded, options, true)?;
    let readers = (0..READERS).map(|_| instance(host, &loaded, options, false)).collect::<Result<_, _>>()?;
    Ok(WasmBackend::new(options.path.clone(), writer, readers))
}

/// Makes an absent database, readable by this user alone.
fn prepare_file(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    if file.and_then(|f| f.metadata()).map_err(failed)?.len() > 0 {
        return Ok(());
    }
    connection::initialise(path).map_err(|source| OpenError::New { path: path.to_owned(), source })
}

fn instance(host: &Host, loaded: &Loaded, options: &SqliteOptions, writable: bool) -> Result<Instance, LoadError> {
    let mut linker = host.linker::<Grant>()?;
    capability::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
    let spec = Spec { path: options.path.clone(), writable };
    let config = options.config.clone();
    let plugin = PluginSpec {
        limits: limits(),
        policy: options.policy,
        clock: options.clock.clone(),
        random: options.random.clone(),
        state: Box::new(move || Grant::new(GRANT, spec.clone())),
        bind: Box::new(move |store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            let bindings = Datastore::new(&mut *store, &instance)?;
            match bindings.k3s_common_plugin().call_configure(&mut *store, &config)? {
                Ok(()) => Ok(bindings),
                Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => {
                    Err(wasmtime::Error::msg(format!("it refuses its configuration: {why}")))
                }
            }
        }),
    };
    Plugin::new(host, loaded, &linker, plugin)
}

/// A datastore handles batches of some MiB; its own work per call is milliseconds.
fn limits() -> Limits {
    Limits { memory_bytes: 256 << 20, call: Duration::from_secs(5), ..Limits::default() }
}
