//! One supervised component: an instance while it is well, a fresh one after it failed.

use std::collections::HashMap;
use std::time::Duration;

use k3s_base::{Clock, Random};
use parking_lot::Mutex;
use tracing::warn;
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Store, UpdateDeadline};

use crate::metrics::FunctionMetrics;
use crate::supervise::Supervision;
use crate::{CallError, Digest, Health, Host, Limits, LoadError, Loaded, PluginState, Policy};

/// Makes an instance's data.
type MakeState<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Instantiates and configures; an error (also a refused configuration) counts as a failed start.
type Bind<T, B> =
    Box<dyn Fn(&mut Store<PluginState<T>>, &InstancePre<PluginState<T>>) -> wasmtime::Result<B> + Send + Sync>;

/// How to run a component: `T` is the adapter's data per instance, `B` its bindings.
pub struct PluginSpec<T: 'static, B> {
    /// Bounds of an instance.
    pub limits: Limits,
    /// Restarts.
    pub policy: Policy,
    /// Time for deadlines and for the guest.
    pub clock: Clock,
    /// Randomness for the guest.
    pub random: Random,
    /// Makes `T` for each fresh instance.
    pub state: MakeState<T>,
    /// Instantiates: `Bindings::new` or `BindingsPre`, then `configure`.
    pub bind: Bind<T, B>,
}

/// A running plugin. Calls run one at a time.
pub struct Plugin<T: 'static, B> {
    host: Host,
    name: String,
    digest: Digest,
    pre: InstancePre<PluginState<T>>,
    spec: PluginSpec<T, B>,
    slot: Mutex<Slot<T, B>>,
}

struct Slot<T: 'static, B> {
    live: Option<Live<T, B>>,
    supervision: Supervision,
    metrics: HashMap<&'static str, FunctionMetrics>,
}

struct Live<T: 'static, B> {
    store: Store<PluginState<T>>,
    bindings: B,
}

/// What to show of a plugin.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Whether it may be called.
    pub health: Health,
    /// Failures since the start of the process.
    pub failures: u64,
    /// The last one, or empty.
    pub last_error: String,
}

impl<T: Send + 'static, B> Plugin<T, B> {
    /// Links a component; the first instance is made by the first call.
    ///
    /// # Errors
    /// When an import's type is not what the host offers under that name.
    pub fn new(
        host: &Host,
        loaded: &Loaded,
        linker: &Linker<PluginState<T>>,
        spec: PluginSpec<T, B>,
    ) -> Result<Self, LoadError> {
        let pre = linker
            .instantiate_pre(&loaded.component)
            .map_err(|e| LoadError::Invalid { name: loaded.name.clone(), reason: format!("{e:#}") })?;
        let supervision = Supervision::new(spec.policy);
        Ok(Self {
            host: host.clone(),
            name: loaded.name.clone(),
            digest: loaded.digest,
            pre,
            spec,
            slot: Mutex::new(Slot { live: None, supervision, metrics: HashMap::new() }),
        })
    }

    /// Calls `function` (its name is for messages and metrics). Blocks: for the calls before it, and
    /// as long as the guest and its host functions take.
    ///
    /// # Errors
    /// [`CallError::Trapped`] when the guest failed in it; otherwise it was not called.
    pub fn call<R>(
        &self,
        function: &'static str,
        call: impl FnOnce(&B, &mut Store<PluginState<T>>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let mut slot = self.slot.lock();
        let slot = &mut *slot;
        let metrics = slot.metrics.entry(function).or_insert_with(|| self.host.metrics().of(&self.name, function));
        self.admit(&slot.supervision).inspect_err(|_| metrics.refused())?;
        let _running = self.host.ticker().running();
        let mut live = match slot.live.take().map_or_else(|| self.start(), Ok) {
            Ok(live) => live,
            Err(error) => {
                let cause = cause_of(&error);
                self.note_failure(&mut slot.supervision, "start", &cause);
                return Err(CallError::NotStarted { plugin: self.name.clone(), cause });
            }
        };
        live.store.data_mut().begin_call();
        live.store.set_epoch_deadline(1);
        let result = call(&live.bindings, &mut live.store);
        metrics.called(live.store.data().spent(), result.is_err());
        match result {
            Ok(answer) => {
                slot.supervision.succeeded(self.spec.clock.elapsed());
                if live.store.data().limiter.memory_bytes <= self.spec.limits.recycle_bytes {
                    slot.live = Some(live);
                }
                Ok(answer)
            }
            Err(error) => {
                // The instance goes before anybody can try again: what it held is released.
                drop(live);
                let cause = cause_of(&error);
                self.note_failure(&mut slot.supervision, function, &cause);
                Err(CallError::Trapped { plugin: self.name.clone(), function, cause })
            }
        }
    }

    /// Drops the instance, if there is one; the next call makes a fresh one. After work that needed
    /// much memory, which a guest never gives back.
    pub fn recycle(&self) {
        self.slot.lock().live = None;
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let slot = self.slot.lock();
        Status {
            name: self.name.clone(),
            digest: self.digest,
            health: slot.supervision.health(self.spec.clock.elapsed()),
            failures: slot.supervision.total,
            last_error: slot.supervision.last_error.clone(),
        }
    }

    fn admit(&self, supervision: &Supervision) -> Result<(), CallError> {
        let now = self.spec.clock.elapsed();
        let wait = |until: Duration| until.saturating_sub(now);
        let plugin = || self.name.clone();
        match supervision.health(now) {
            Health::Ready => Ok(()),
            Health::Restarting(until) => Err(CallError::Restarting { plugin: plugin(), retry_after: wait(until) }),
            Health::Quarantined(until) => Err(CallError::Quarantined {
                plugin: plugin(),
                cause: supervision.last_error.clone(),
                retry_after: wait(until),
            }),
        }
    }

    fn note_failure(&self, supervision: &mut Supervision, function: &str, cause: &str) {
        supervision.failed(self.spec.clock.elapsed(), cause);
        warn!(plugin = %self.name, function, cause, failures = supervision.total, "a plugin failed");
    }

    fn start(&self) -> wasmtime::Result<Live<T, B>> {
        let spec = &self.spec;
        let data = (spec.state)();
        let state = PluginState::new(&self.name, data, spec.limits, spec.clock.clone(), spec.random.clone());
        let mut store = Store::new(self.host.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(spec.limits.hostcall_bytes);
        store.set_max_component_handles(spec.limits.handles);
        store.epoch_deadline_callback(|context| {
            context.data().check_deadline()?;
            Ok(UpdateDeadline::Continue(1))
        });
        store.data_mut().begin_call();
        store.set_epoch_deadline(1);
        let bindings = (spec.bind)(&mut store, &self.pre)?;
        Ok(Live { store, bindings })
    }
}

/// The innermost reason, which names the limit or the trap; the outer ones are the guest's stack.
fn cause_of(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
