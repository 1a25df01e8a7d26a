//! Turns and replacement.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use k3s_plugin_host::{CallError, Host, LoadError, PluginStatus, Source};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::component::{Component, Environment};
use crate::error::{Error, SwapError};
use crate::kind::Kind;

/// How to run a battery.
#[derive(Clone, Debug)]
pub struct BatteryOptions {
    /// The plugin's own configuration, JSON; empty means defaults.
    pub config: Vec<u8>,
    /// Callers that may wait for their turn; the next one gets [`Error::Busy`].
    pub max_waiting: usize,
    /// What instances are run with.
    pub environment: Environment,
}

/// The plugin of a kind: one active component, one call at a time. Cheap to clone.
pub struct Battery<K: Kind>(Arc<Shared<K>>);

struct Shared<K: Kind> {
    kind: Arc<K>,
    active: ArcSwap<Component<K>>,
    environment: Environment,
    turns: Turns,
    /// What the active component answered when it took over, until a call fetches it.
    handover: Mutex<Option<K::Handover>>,
    replaced: Notify,
}

/// The line in front of the instance. Waiting callers hold no threads.
struct Turns {
    waiting: Semaphore,
    turn: Arc<Semaphore>,
    max_waiting: usize,
}

impl Turns {
    fn new(max_waiting: usize) -> Self {
        Self {
            waiting: Semaphore::new(max_waiting),
            turn: Arc::new(Semaphore::new(1)),
            max_waiting,
        }
    }

    async fn next(&self, kind: &'static str) -> Result<OwnedSemaphorePermit, Error> {
        let busy = |_| Error::Busy {
            kind,
            limit: self.max_waiting,
        };
        let _waiting = self.waiting.try_acquire().map_err(busy)?;
        let turn = self.turn.clone().acquire_owned().await;
        turn.map_err(|_closed| Error::CutOff)
    }

    /// A replacement waits however many wait before it.
    async fn next_unbounded(&self) -> Result<OwnedSemaphorePermit, SwapError> {
        let turn = self.turn.clone().acquire_owned().await;
        turn.map_err(|_closed| SwapError::CutOff)
    }
}

impl<K: Kind> Clone for Battery<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Kind> Battery<K> {
    /// Loads the first component, which is started by the first call or [`Battery::start`]. Blocks.
    ///
    /// # Errors
    /// When the component is refused.
    pub fn load(
        kind: K,
        host: &Host,
        source: Source<'_>,
        options: BatteryOptions,
    ) -> Result<Self, LoadError> {
        let (kind, environment) = (Arc::new(kind), options.environment);
        let component = Component::load(kind.clone(), host, source, options.config, &environment)?;
        Ok(Self(Arc::new(Shared {
            kind,
            active: ArcSwap::from_pointee(component),
            environment,
            turns: Turns::new(options.max_waiting),
            handover: Mutex::default(),
            replaced: Notify::new(),
        })))
    }

    /// Starts the active component. Blocks.
    ///
    /// # Errors
    /// When it fails or refuses its configuration.
    pub fn start(&self) -> Result<(), CallError> {
        self.0.active.load().start()
    }

    /// What the components of this battery share.
    #[must_use]
    pub fn kind(&self) -> &Arc<K> {
        &self.0.kind
    }

    /// How the active component is.
    #[must_use]
    pub fn status(&self) -> PluginStatus {
        self.0.active.load().status()
    }

    /// Drops the instance, as a failure would; the next call makes a fresh one.
    pub fn recycle(&self) {
        self.0.active.load().recycle();
    }

    /// Works with the active component, when it is this caller's turn, on a thread that may block.
    /// Once begun, the work ends even if this future is dropped, and the turn with it.
    ///
    /// # Errors
    /// When the plugin has no answer.
    pub async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Component<K>) -> Result<R, CallError> + Send + 'static,
    ) -> Result<R, Error> {
        self.run_with_handover(move |component, _| work(component))
            .await
    }

    /// [`Battery::run`], with what the active component answered when it took over, if no call has
    /// fetched that yet.
    ///
    /// # Errors
    /// When the plugin has no answer.
    pub async fn run_with_handover<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Component<K>, &mut Option<K::Handover>) -> Result<R, CallError>
        + Send
        + 'static,
    ) -> Result<R, Error> {
        let turn = self.0.turns.next(K::CONTRACT.kind).await?;
        let shared = self.0.clone();
        let on_thread = move || {
            let _turn = turn;
            // Read with the turn, so that a call never meets a component that was replaced.
            let component = shared.active.load_full();
            let mut handover = shared.handover.lock();
            work(&component, &mut handover)
        };
        let result = tokio::task::spawn_blocking(on_thread).await;
        Ok(result.map_err(|_lost| Error::CutOff)??)
    }

    /// Gives the active component another configuration, now and for instances to come.
    ///
    /// # Errors
    /// [`CallError::Refused`] within: the one before stays in force.
    pub async fn configure(&self, config: Vec<u8>) -> Result<(), Error> {
        self.run(move |component| component.configure(config)).await
    }

    /// Puts another component in place of the active one: it is loaded and rehearsed beside it, and
    /// takes over between two calls. If that fails, the active one is restored and continues to serve.
    ///
    /// # Errors
    /// Why it did not take over.
    pub async fn swap(
        &self,
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
    ) -> Result<(), SwapError> {
        let (kind, environment) = (self.0.kind.clone(), &self.0.environment);
        // Compiling a component takes a while; the active one is called meanwhile.
        let load = || Component::load(kind, &host.candidate(), source, config, environment);
        let candidate = Arc::new(tokio::task::block_in_place(load)?);
        self.rehearse(&candidate).await?;
        let turn = self.0.turns.next_unbounded().await?;
        let shared = self.0.clone();
        let take_over = move || {
            let _turn = turn;
            shared.take_over(candidate)
        };
        let result = tokio::task::spawn_blocking(take_over).await;
        result.map_err(|_lost| SwapError::CutOff)?
    }

    async fn rehearse(&self, candidate: &Arc<Component<K>>) -> Result<(), SwapError> {
        let (kind, candidate) = (self.0.kind.clone(), candidate.clone());
        let result = tokio::task::spawn_blocking(move || kind.rehearse(&candidate)).await;
        result.map_err(|_lost| SwapError::CutOff)?
    }

    /// Waits until another component took over.
    pub async fn replaced(&self) {
        self.0.replaced.notified().await;
    }
}

impl<K: Kind> Shared<K> {
    /// Called with the turn. Blocks.
    fn take_over(&self, candidate: Arc<Component<K>>) -> Result<(), SwapError> {
        candidate.stage.activate();
        match self.kind.take_over(&candidate) {
            Ok(handover) => {
                candidate.adopt();
                self.active.store(candidate);
                *self.handover.lock() = handover;
                self.replaced.notify_one();
                Ok(())
            }
            Err(error) => {
                self.kind.restore(&self.active.load());
                Err(error)
            }
        }
    }
}

/// A battery of whatever kind, as something whose component can be replaced.
#[async_trait]
pub trait Replaceable: Send + Sync {
    /// See [`Battery::swap`].
    ///
    /// # Errors
    /// Why the component did not take over.
    async fn replace(
        &self,
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
    ) -> Result<(), SwapError>;
}

#[async_trait]
impl<K: Kind> Replaceable for Battery<K> {
    async fn replace(
        &self,
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
    ) -> Result<(), SwapError> {
        self.swap(host, source, config).await
    }
}
