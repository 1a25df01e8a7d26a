//! The engine, and the way of a component from bytes to something that can be instantiated.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::debug;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel};

use crate::cache::Cache;
use crate::contract::Contract;
use crate::describe::{Description, describe};
use crate::digest::Digest;
use crate::error::{ComponentError, LoadError};
use crate::grants::Grants;
use crate::metrics::PluginMetrics;
use crate::state::PluginState;
use crate::table::{PluginStatus, PluginTable};
use crate::ticker::Ticker;
use crate::{format, hostfns, precompiled};

/// Settings of a [`Host`].
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Where to keep compiled code; none compiles at each start.
    pub cache_dir: Option<PathBuf>,
    /// Counters of all plugins.
    pub metrics: PluginMetrics,
}

/// Engine, cache and ticker; one per process. Cheap to clone; a clone may carry grants, which hold for
/// what is loaded through it.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
    grants: Grants,
    candidate: bool,
}

struct Inner {
    engine: Engine,
    cache: Option<Cache>,
    ticker: Ticker,
    metrics: PluginMetrics,
    plugins: PluginTable,
}

/// Where a component comes from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// For messages and metrics.
    pub name: &'a str,
    /// The component, or a core module with component metadata.
    pub bytes: &'a [u8],
    /// The digest that the operator pinned.
    pub digest: Option<Digest>,
    /// Code compiled from exactly these bytes when this executable was built.
    pub compiled: Option<&'static [u8]>,
}

/// A checked and compiled component.
#[derive(Clone)]
pub struct Loaded {
    /// From [`Source::name`].
    pub name: String,
    /// Of the bytes given.
    pub digest: Digest,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// What it says of itself.
    pub description: Description,
    /// The kind it was loaded as.
    pub kind: &'static str,
    pub(crate) grants: Grants,
    pub(crate) component: Component,
}

/// What a file is, found out without running it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Of the bytes given.
    pub digest: Digest,
    /// The component's size, encoded if the bytes were a core module.
    pub size_bytes: usize,
    /// Interfaces that it imports.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
}

impl Source<'_> {
    /// Files larger than this are refused; the largest known guests, with a JavaScript engine in
    /// them, have about 12 MiB.
    pub const LIMIT_BYTES: usize = 64 << 20;
}

impl Host {
    /// Interfaces that every plugin may import.
    pub const OFFERED: &'static [&'static str] = &[
        "k3s:host/log@0.1.0",
        "k3s:host/clock@0.1.0",
        "k3s:host/random@0.1.0",
    ];

    /// Sets up the engine and opens the cache.
    ///
    /// # Errors
    /// When the cache directory is open to others, or the engine cannot run here.
    pub fn new(options: HostOptions) -> Result<Self, LoadError> {
        let engine = Engine::new(&config()).map_err(|e| LoadError::Engine(e.into()))?;
        let cache = options
            .cache_dir
            .map(|dir| Cache::open(&dir, &engine))
            .transpose()?;
        let ticker = Ticker::start(&engine).map_err(|e| LoadError::Engine(e.into()))?;
        let inner = Inner {
            engine,
            cache,
            ticker,
            metrics: options.metrics,
            plugins: PluginTable::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            grants: Grants::default(),
            candidate: false,
        })
    }

    /// The same host, with grants for what is loaded through it.
    #[must_use]
    pub fn granting(&self, grants: Grants) -> Self {
        Self {
            grants,
            ..self.clone()
        }
    }

    /// The same host, for plugins that are to be tried out before they serve (see [`crate::Plugin::adopt`]).
    #[must_use]
    pub fn candidate(&self) -> Self {
        Self {
            candidate: true,
            ..self.clone()
        }
    }

    /// Every plugin of this process, in the order in which they were made.
    #[must_use]
    pub fn status(&self) -> Vec<PluginStatus> {
        self.inner.plugins.all()
    }

    /// Calls `listener` after something in [`Host::status`] changed. It must not block, and may be set
    /// once; later ones are not called.
    pub fn on_change(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.inner.plugins.listen(Box::new(listener));
    }

    /// What a file is: digest, imports and exports.
    ///
    /// # Errors
    /// When it is not a component.
    pub fn inspect(source: Source<'_>) -> Result<Inspection, LoadError> {
        let digest = admit(&source)?;
        let bytes = format::to_component(source.name, source.bytes)?;
        let (imports, exports) = format::interfaces(source.name, &bytes)?;
        Ok(Inspection {
            digest,
            size_bytes: bytes.len(),
            imports,
            exports,
        })
    }

    /// Checks `source` against `contract` and compiles it, or takes what was compiled before.
    ///
    /// # Errors
    /// One sentence on why it is refused; see [`LoadError`].
    pub fn load(&self, source: Source<'_>, contract: &Contract) -> Result<Loaded, LoadError> {
        let digest = admit(&source)?;
        let (component, imports, exports) = self.prepare(source, &digest, contract)?;
        let description = describe(source.name, &component, self.ticker(), self.grants)?;
        Ok(Loaded {
            name: source.name.to_owned(),
            digest,
            imports,
            exports,
            description,
            kind: contract.kind,
            grants: self.grants,
            component,
        })
    }

    fn prepare(
        &self,
        source: Source<'_>,
        digest: &Digest,
        contract: &Contract,
    ) -> Result<(Component, Vec<String>, Vec<String>), LoadError> {
        let bytes = format::to_component(source.name, source.bytes)?;
        if let Some(component) = self.compiled_before(&source, digest) {
            let (imports, exports) = interfaces_of(&component);
            contract.check(source.name, &imports, &exports, self.grants)?;
            return Ok((component, imports, exports));
        }
        let (imports, exports) = format::interfaces(source.name, &bytes)?;
        contract.check(source.name, &imports, &exports, self.grants)?;
        let component =
            Component::from_binary(&self.inner.engine, &bytes).map_err(|e| LoadError::Invalid {
                name: source.name.to_owned(),
                source: ComponentError::Compile(e.into()),
            })?;
        if let Some(cache) = &self.inner.cache {
            cache.put(digest, &component);
        }
        Ok((component, imports, exports))
    }

    fn compiled_before(&self, source: &Source<'_>, digest: &Digest) -> Option<Component> {
        let engine = &self.inner.engine;
        let built_in = source.compiled.and_then(|code| {
            precompiled::from_executable(engine, code)
                .inspect_err(|error| {
                    debug!(
                        plugin = source.name,
                        error = format!("{error:#}"),
                        "the built-in code does not fit"
                    )
                })
                .ok()
        });
        built_in.or_else(|| self.inner.cache.as_ref()?.get(engine, digest))
    }

    /// A linker that offers [`Host::OFFERED`].
    ///
    /// # Errors
    /// When the bindings contradict each other, which is a fault of this program.
    pub fn linker<T: Send + 'static>(&self) -> Result<Linker<PluginState<T>>, LoadError> {
        let mut linker = Linker::new(&self.inner.engine);
        hostfns::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(e.into()))?;
        Ok(linker)
    }

    /// The engine, for linkers.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.inner.ticker
    }

    pub(crate) fn metrics(&self) -> &PluginMetrics {
        &self.inner.metrics
    }

    pub(crate) fn plugins(&self) -> &PluginTable {
        &self.inner.plugins
    }

    /// Whether plugins made through it are to be tried out before they serve.
    #[must_use]
    pub fn is_candidate(&self) -> bool {
        self.candidate
    }
}

/// Size and digest are checked before anything reads the bytes.
fn admit(source: &Source<'_>) -> Result<Digest, LoadError> {
    let (name, bytes) = (source.name.to_owned(), source.bytes.len());
    if bytes > Source::LIMIT_BYTES {
        return Err(LoadError::TooLarge {
            name,
            bytes,
            limit_bytes: Source::LIMIT_BYTES,
        });
    }
    let found = Digest::of(source.bytes);
    match source.digest {
        Some(wanted) if wanted != found => Err(LoadError::Digest {
            name,
            wanted,
            found,
        }),
        _ => Ok(found),
    }
}

fn interfaces_of(component: &Component) -> (Vec<String>, Vec<String>) {
    let (ty, engine) = (component.component_type(), component.engine());
    let imports = ty.imports(engine).map(|(name, _)| name.to_owned());
    let exports = ty.exports(engine).map(|(name, _)| name.to_owned());
    (imports.collect(), exports.collect())
}

/// One configuration for run time and build time: compiled code is only good for the same one.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Async component calls cost three times a plain call and nothing here needs them.
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20))
        // A plugin's memory is reserved, not used; 4 GiB of address space each is no cost, and a
        // memory that cannot move makes guest loads cheap.
        .memory_init_cow(true)
        .parallel_compilation(true);
    config
}

/// Compiles a component ahead of time for this architecture's baseline processor rather than the
/// one at hand, for embedding in an executable that will run elsewhere.
///
/// # Errors
/// When the component is invalid.
pub fn compile_for_baseline(component: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let compile = || -> wasmtime::Result<Vec<u8>> {
        let mut config = config();
        config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
        Engine::new(&config)?.precompile_component(component)
    };
    compile().map_err(|error| ComponentError::Compile(error.into()))
}
