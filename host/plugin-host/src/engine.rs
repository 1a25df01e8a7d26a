//! The engine, and the way of a component from bytes to something that can be instantiated.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::debug;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel};

use crate::cache::Cache;
use crate::ticker::Ticker;
use crate::{Contract, Digest, LoadError, PluginMetrics, PluginState, format, hostfns, precompiled};

/// Settings of a [`Host`].
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Where to keep compiled code; none compiles at each start.
    pub cache_dir: Option<PathBuf>,
    /// Counters of all plugins.
    pub metrics: PluginMetrics,
}

/// Engine, cache and ticker; one per process. Cheap to clone.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    engine: Engine,
    cache: Option<Cache>,
    ticker: Ticker,
    metrics: PluginMetrics,
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
    pub(crate) component: Component,
}

impl Source<'_> {
    /// Files larger than this are refused; the largest known guests, with a JavaScript engine in
    /// them, have about 12 MiB.
    pub const LIMIT_BYTES: usize = 64 << 20;
}

impl Host {
    /// Interfaces that every plugin may import.
    pub const OFFERED: &'static [&'static str] =
        &["k3s:host/log@0.1.0", "k3s:host/clock@0.1.0", "k3s:host/random@0.1.0"];

    /// Sets up the engine and opens the cache.
    ///
    /// # Errors
    /// When the cache directory is open to others, or the engine cannot run here.
    pub fn new(options: HostOptions) -> Result<Self, LoadError> {
        let engine = Engine::new(&config()).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        let cache = options.cache_dir.map(|dir| Cache::open(&dir, &engine)).transpose()?;
        let ticker = Ticker::start(&engine).map_err(|e| LoadError::Engine(e.to_string()))?;
        Ok(Self(Arc::new(Inner { engine, cache, ticker, metrics: options.metrics })))
    }

    /// Checks `source` against `contract` and compiles it, or takes what was compiled before.
    ///
    /// # Errors
    /// One sentence on why it is refused; see [`LoadError`].
    pub fn load(&self, source: Source<'_>, contract: &Contract) -> Result<Loaded, LoadError> {
        let name = source.name.to_owned();
        if source.bytes.len() > Source::LIMIT_BYTES {
            let (bytes, limit_bytes) = (source.bytes.len(), Source::LIMIT_BYTES);
            return Err(LoadError::TooLarge { name, bytes, limit_bytes });
        }
        let digest = Digest::of(source.bytes);
        if let Some(wanted) = source.digest.filter(|wanted| *wanted != digest) {
            return Err(LoadError::Digest { name, wanted, found: digest });
        }
        let bytes = format::to_component(source.name, source.bytes)?;
        if let Some(component) = self.compiled_before(&source, &digest) {
            let (imports, exports) = interfaces_of(&component);
            contract.check(source.name, &imports, &exports)?;
            return Ok(Loaded { name, digest, imports, exports, component });
        }
        let (imports, exports) = format::interfaces(source.name, &bytes)?;
        contract.check(source.name, &imports, &exports)?;
        let component = Component::from_binary(&self.0.engine, &bytes)
            .map_err(|e| LoadError::Invalid { name: name.clone(), reason: format!("{e:#}") })?;
        if let Some(cache) = &self.0.cache {
            cache.put(&digest, &component);
        }
        Ok(Loaded { name, digest, imports, exports, component })
    }

    fn compiled_before(&self, source: &Source<'_>, digest: &Digest) -> Option<Component> {
        let engine = &self.0.engine;
        let built_in = source.compiled.and_then(|code| {
            precompiled::from_executable(engine, code)
                .inspect_err(|error| debug!(plugin = source.name, %error, "the built-in code does not fit"))
                .ok()
        });
        built_in.or_else(|| self.0.cache.as_ref()?.get(engine, digest))
    }

    /// A linker that offers [`Host::OFFERED`].
    ///
    /// # Errors
    /// When the bindings contradict each other, which is a fault of this program.
    pub fn linker<T: Send + 'static>(&self) -> Result<Linker<PluginState<T>>, LoadError> {
        let mut linker = Linker::new(&self.0.engine);
        hostfns::add_to_linker(&mut linker).map_err(|e| LoadError::Engine(format!("{e:#}")))?;
        Ok(linker)
    }

    /// The engine, for linkers.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }

    pub(crate) fn metrics(&self) -> &PluginMetrics {
        &self.0.metrics
    }
}

fn interfaces_of(component: &Component) -> (Vec<String>, Vec<String>) {
    let (ty, engine) = (component.component_type(), component.engine());
    let imports = ty.imports(engine).map(|(name, _)| name.to_owned()).collect();
    (imports, ty.exports(engine).map(|(name, _)| name.to_owned()).collect())
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
pub fn compile_for_baseline(component: &[u8]) -> Result<Vec<u8>, String> {
    let mut config = config();
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH)).map_err(|e| format!("{e:#}"))?;
    let engine = Engine::new(&config).map_err(|e| format!("{e:#}"))?;
    engine.precompile_component(component).map_err(|e| format!("{e:#}"))
}
