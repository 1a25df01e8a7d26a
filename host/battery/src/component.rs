//! A component as the engine runs it: one instance at a time, configured and brought to the desired
//! state whenever it is fresh.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k3s_base::{Clock, Random};
use k3s_plugin_host::{
    CallError, Host, LoadError, Loaded, Plugin, PluginSpec, PluginState, PluginStatus, Policy,
    Refused, Source,
};
use parking_lot::Mutex;
use wasmtime::Store;

use crate::kind::Kind;

/// What instances of every kind are run with.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl Environment {
    /// The machine's clock and randomness, and the usual restarts.
    #[must_use]
    pub fn system() -> Self {
        Self {
            policy: Policy::default(),
            clock: Clock::system(),
            random: Random::from_os(),
        }
    }
}

/// Whether a component serves, or is being tried out. Cheap to clone; clones are the same stage.
#[derive(Clone, Debug)]
pub struct Stage(Arc<AtomicBool>);

impl Stage {
    fn new(active: bool) -> Self {
        Self(Arc::new(AtomicBool::new(active)))
    }

    /// True for the component that serves, and for one that is about to take over.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same as a flag, for capabilities that have no effect before it is set.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    pub(crate) fn activate(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One loaded component and what the host remembers of it.
pub struct Component<K: Kind> {
    kind: Arc<K>,
    plugin: Plugin<K::Grant, K::Bindings>,
    session: Arc<K::Session>,
    config: Arc<Mutex<Arc<[u8]>>>,
    pub(crate) stage: Stage,
}

impl<K: Kind> Component<K> {
    /// Loads a component that serves at once. Blocks.
    ///
    /// # Errors
    /// When it is refused.
    pub fn load(
        kind: Arc<K>,
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
        environment: &Environment,
    ) -> Result<Self, LoadError> {
        let loaded = host.load(source, &K::CONTRACT)?;
        Self::of(kind, host, &loaded, config, environment)
    }

    /// The same of a component that is loaded already: several of one share its code.
    ///
    /// # Errors
    /// When an import's type is not what the host offers under that name.
    pub fn of(
        kind: Arc<K>,
        host: &Host,
        loaded: &Loaded,
        config: Vec<u8>,
        environment: &Environment,
    ) -> Result<Self, LoadError> {
        let stage = Stage::new(!host.is_candidate());
        let session = Arc::new(kind.session(&stage));
        let config = Arc::new(Mutex::new(Arc::from(config)));
        let mut linker = host.linker::<K::Grant>()?;
        kind.add_to_linker(&mut linker)
            .map_err(|error| LoadError::Engine(error.into()))?;
        let spec = spec(&kind, &session, &config, &stage, environment);
        let plugin = Plugin::new(host, loaded, &linker, spec)?;
        Ok(Self {
            kind,
            plugin,
            session,
            config,
            stage,
        })
    }

    /// What the host remembers of it.
    #[must_use]
    pub fn session(&self) -> &K::Session {
        &self.session
    }

    /// How the instance is. Does not wait for a call that is under way.
    #[must_use]
    pub fn status(&self) -> PluginStatus {
        self.plugin.status()
    }

    /// Drops the instance, as a failure would; the next call makes a fresh one.
    pub fn recycle(&self) {
        self.plugin.recycle();
    }

    /// Makes an instance if there is none. Blocks.
    ///
    /// # Errors
    /// [`CallError::Refused`] when it refuses its configuration, others when it fails.
    pub fn start(&self) -> Result<(), CallError> {
        self.plugin.call("configure", |_, _| Ok(()))
    }

    /// [`Plugin::call`]: calls the guest. Blocks.
    ///
    /// # Errors
    /// Those of [`Plugin::call`].
    pub fn call<R>(
        &self,
        function: &'static str,
        call: impl FnOnce(&K::Bindings, &mut Store<PluginState<K::Grant>>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        self.plugin.call(function, call)
    }

    /// [`Plugin::try_call`]: the same of a function whose answer is a result, about an `input` to
    /// blame for failures (empty for none). Blocks.
    ///
    /// # Errors
    /// Those of [`Plugin::try_call`].
    pub fn try_call<R, E>(
        &self,
        function: &'static str,
        input: &str,
        call: impl FnOnce(
            &K::Bindings,
            &mut Store<PluginState<K::Grant>>,
        ) -> wasmtime::Result<Result<R, E>>,
    ) -> Result<Result<R, E>, CallError> {
        self.plugin.try_call(function, input, call)
    }

    /// Gives the instance another configuration, and instances to come. Blocks.
    ///
    /// # Errors
    /// [`CallError::Refused`]: the one before stays in force.
    pub fn configure(&self, config: Vec<u8>) -> Result<(), CallError> {
        if **self.config.lock() == *config {
            return Ok(());
        }
        let configure = |bindings: &K::Bindings, store: &mut Store<PluginState<K::Grant>>| {
            self.kind.configure(bindings, store, &config)
        };
        match self.plugin.call("configure", configure)? {
            Ok(()) => {
                *self.config.lock() = Arc::from(config);
                Ok(())
            }
            Err(Refused(reason)) => {
                // What the refused attempt left behind is dropped with the instance.
                self.plugin.recycle();
                let plugin = self.plugin.status().name;
                Err(CallError::Refused { plugin, reason })
            }
        }
    }

    /// From here on it is shown as the plugin of its kind.
    pub(crate) fn adopt(&self) {
        self.plugin.adopt();
    }
}

/// How the plugin host makes instances.
fn spec<K: Kind>(
    kind: &Arc<K>,
    session: &Arc<K::Session>,
    config: &Arc<Mutex<Arc<[u8]>>>,
    stage: &Stage,
    environment: &Environment,
) -> PluginSpec<K::Grant, K::Bindings> {
    let Environment {
        policy,
        clock,
        random,
    } = environment.clone();
    let (granting, granted) = (kind.clone(), session.clone());
    let (kind, session) = (kind.clone(), session.clone());
    let (config, stage) = (config.clone(), stage.clone());
    PluginSpec {
        limits: kind.limits(),
        policy,
        clock,
        random,
        state: Box::new(move || granting.grant(&granted)),
        bind: Box::new(move |store, pre| {
            let bindings = kind.instantiate(store, pre)?;
            let config = config.lock().clone();
            kind.configure(&bindings, store, &config)??;
            kind.replay(&bindings, store, &session, &stage)?;
            Ok(bindings)
        }),
    }
}
