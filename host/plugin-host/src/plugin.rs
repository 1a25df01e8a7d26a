//! One supervised component: an instance while it is well, a fresh one after it failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_observe::prometheus_client::metrics::gauge::Gauge;
use parking_lot::Mutex;
use tracing::warn;
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Store, UpdateDeadline};

use crate::engine::{Host, Loaded};
use crate::error::{CallError, ComponentError, LoadError, Refused};
use crate::limits::Limits;
use crate::metrics::FunctionMetrics;
use crate::state::PluginState;
use crate::supervise::{Health, Policy, Supervision};
use crate::table::{PluginEntry, PluginStatus};
use crate::{cause, wasi};

/// Makes an instance's data.
type MakeState<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Instantiates and configures; an error (also a refused configuration) counts as a failed start.
type Bind<T, B> = Box<
    dyn Fn(&mut Store<PluginState<T>>, &InstancePre<PluginState<T>>) -> wasmtime::Result<B>
        + Send
        + Sync,
>;

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
    entry: Arc<PluginEntry>,
    pre: InstancePre<PluginState<T>>,
    spec: PluginSpec<T, B>,
    /// None before the first call and after a failure. Locked for the length of a call.
    instance: Mutex<Option<Instance<T, B>>>,
    /// Counters by function, looked up once.
    functions: Mutex<HashMap<&'static str, FunctionMetrics>>,
    memory: Gauge,
}

/// A configured instance of the component, with its memory and the host's side of it.
struct Instance<T: 'static, B> {
    store: Store<PluginState<T>>,
    bindings: B,
    /// Memory when it was fresh: a language's own engine is not what a call left behind.
    fresh_bytes: usize,
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
        let invalid = |e: wasmtime::Error| LoadError::Invalid {
            name: loaded.name.clone(),
            source: ComponentError::Link(e.into()),
        };
        let mut linker = linker.clone();
        if loaded.grants.wasi {
            wasi::add_empty(&mut linker, &loaded.component).map_err(invalid)?;
        }
        let pre = linker.instantiate_pre(&loaded.component).map_err(invalid)?;
        let entry = Arc::new(PluginEntry {
            kind: loaded.kind,
            name: loaded.name.clone(),
            description: loaded.description.clone(),
            digest: loaded.digest,
            clock: spec.clock.clone(),
            supervision: Mutex::new(Supervision::new(spec.policy)),
            memory_bytes: AtomicUsize::new(0),
            in_use: AtomicBool::new(!host.is_candidate()),
        });
        host.plugins().enter(&entry);
        Ok(Self {
            host: host.clone(),
            entry,
            pre,
            spec,
            instance: Mutex::new(None),
            functions: Mutex::default(),
            memory: host.metrics().memory_of(&loaded.name),
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
        self.call_on(function, "", call)
    }

    /// [`Plugin::call`] of a function whose answer is a result, so that errors are counted, about an
    /// `input` that is to blame if the guest fails in it; an input that fails repeatedly is quarantined.
    ///
    /// # Errors
    /// Those of [`Plugin::call`], and [`CallError::InputQuarantined`].
    pub fn try_call<R, E>(
        &self,
        function: &'static str,
        input: &str,
        call: impl FnOnce(&B, &mut Store<PluginState<T>>) -> wasmtime::Result<Result<R, E>>,
    ) -> Result<Result<R, E>, CallError> {
        let answer = self.call_on(function, input, call)?;
        if answer.is_err() {
            self.metrics_of(function).guest_error();
        }
        Ok(answer)
    }

    fn call_on<R>(
        &self,
        function: &'static str,
        input: &str,
        call: impl FnOnce(&B, &mut Store<PluginState<T>>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let mut current = self.instance.lock();
        let metrics = self.metrics_of(function);
        self.admit(input).inspect_err(|_| metrics.refused())?;
        let _running = self.host.ticker().running();
        let mut instance = match current.take() {
            Some(instance) => instance,
            None => self.start().map_err(|error| self.not_started(error))?,
        };
        let result = instance.call(call);
        metrics.called(instance.store.data().spent(), result.is_err());
        match result {
            Ok(answer) => {
                self.note_success(input);
                *current = self.keep(instance);
                Ok(answer)
            }
            Err(error) => {
                // Dropped before the next call can start: what the instance held is released.
                drop(instance);
                Err(self.trapped(function, input, &error))
            }
        }
    }

    fn metrics_of(&self, function: &'static str) -> FunctionMetrics {
        let mut functions = self.functions.lock();
        let metrics = functions
            .entry(function)
            .or_insert_with(|| self.host.metrics().of(&self.entry.name, function));
        metrics.clone()
    }

    /// The instance for the next call, unless a call left more memory behind than the limits allow.
    fn keep(&self, instance: Instance<T, B>) -> Option<Instance<T, B>> {
        let memory_bytes = instance.store.data().limiter.memory_bytes;
        self.entry
            .memory_bytes
            .store(memory_bytes, Ordering::Relaxed);
        self.memory
            .set(i64::try_from(memory_bytes).unwrap_or(i64::MAX));
        let left_bytes = memory_bytes.saturating_sub(instance.fresh_bytes);
        (left_bytes <= self.spec.limits.recycle_bytes).then_some(instance)
    }

    /// The error of a call for which no instance could be started.
    fn not_started(&self, error: wasmtime::Error) -> CallError {
        let cause = cause::of(&error);
        self.note_failure("start", &cause, "");
        let plugin = self.entry.name.clone();
        match error.downcast::<Refused>() {
            Ok(Refused(reason)) => CallError::Refused { plugin, reason },
            Err(_) => CallError::NotStarted { plugin, cause },
        }
    }

    fn trapped(&self, function: &'static str, input: &str, error: &wasmtime::Error) -> CallError {
        let cause = cause::of(error);
        self.note_failure(function, &cause, input);
        CallError::Trapped {
            plugin: self.entry.name.clone(),
            function,
            cause,
        }
    }

    /// Drops the instance, if there is one; the next call makes a fresh one. After work that needed
    /// much memory, which a guest never gives back.
    pub fn recycle(&self) {
        *self.instance.lock() = None;
    }

    /// Its health and failures. Does not wait for a call that is under way.
    #[must_use]
    pub fn status(&self) -> PluginStatus {
        self.entry.status()
    }

    /// A candidate (see [`Host::candidate`]) takes over.
    pub fn adopt(&self) {
        self.entry.in_use.store(true, Ordering::Relaxed);
        self.host.plugins().changed();
    }

    fn admit(&self, input: &str) -> Result<(), CallError> {
        let now = self.spec.clock.elapsed();
        let wait = |until: Duration| until.saturating_sub(now);
        let plugin = self.entry.name.clone();
        let supervision = self.entry.supervision.lock();
        match supervision.health(now) {
            Health::Ready => {}
            Health::Restarting(until) => {
                return Err(CallError::Restarting {
                    plugin,
                    retry_after: wait(until),
                });
            }
            Health::Quarantined(until) => {
                let cause = supervision.last_error.clone();
                return Err(CallError::Quarantined {
                    plugin,
                    cause,
                    retry_after: wait(until),
                });
            }
        }
        match supervision.quarantine_of(now, input) {
            Some((until, cause)) => {
                let input = input.to_owned();
                Err(CallError::InputQuarantined {
                    plugin,
                    input,
                    cause,
                    retry_after: wait(until),
                })
            }
            None => Ok(()),
        }
    }

    fn note_success(&self, input: &str) {
        let mut supervision = self.entry.supervision.lock();
        supervision.clear(input);
        supervision.succeeded(self.spec.clock.elapsed());
    }

    fn note_failure(&self, function: &str, cause: &str, input: &str) {
        let failures = {
            let mut supervision = self.entry.supervision.lock();
            supervision.failed_on(
                self.spec.clock.elapsed(),
                &format!("{function}: {cause}"),
                input,
            );
            supervision.total
        };
        warn!(plugin = %self.entry.name, function, input, cause, failures, "a plugin failed");
        self.host.plugins().changed();
    }

    fn start(&self) -> wasmtime::Result<Instance<T, B>> {
        let spec = &self.spec;
        let data = (spec.state)();
        let state = PluginState::new(
            &self.entry.name,
            data,
            spec.limits,
            spec.clock.clone(),
            spec.random.clone(),
        );
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
        let fresh_bytes = store.data().limiter.memory_bytes;
        Ok(Instance {
            store,
            bindings,
            fresh_bytes,
        })
    }
}

impl<T: Send + 'static, B> Instance<T, B> {
    /// Calls the guest, within the time of a call.
    fn call<R>(
        &mut self,
        call: impl FnOnce(&B, &mut Store<PluginState<T>>) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        self.store.data_mut().begin_call();
        self.store.set_epoch_deadline(1);
        call(&self.bindings, &mut self.store)
    }
}

impl<T: 'static, B> Drop for Plugin<T, B> {
    fn drop(&mut self) {
        // Its entry leaves the table with the last reference; listeners read the table again.
        self.entry.in_use.store(false, Ordering::Relaxed);
        self.host.plugins().changed();
    }
}
