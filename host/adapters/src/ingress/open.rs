//! From a component to a compiler of routes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use k3s_base::{Clock, Random};
use k3s_ingress::model::{Interest, Object, ObjectId, ObjectKey};
use k3s_plugin_host::{Host, Limits, LoadError, Plugin, PluginSpec, PluginState, Policy, Source};
use k3s_wit_bindings::common::exports::k3s::common::plugin::ConfigError;
use k3s_wit_bindings::feed::exports::k3s::common::feed::Error as FeedError;
use k3s_wit_bindings::ingress::Ingress;
use parking_lot::Mutex;
use wasmtime::Store;

use super::CONTRACT;
use super::compiler::WasmCompiler;

/// How to run an ingress component.
#[derive(Clone)]
pub struct IngressOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For traefik:
    /// `allowExternalNameServices`, `allowCrossNamespace`.
    pub config: Vec<u8>,
    /// Restarts after failures.
    pub policy: Policy,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

/// What the component was given, for instances to come.
pub(super) type Objects = Arc<Mutex<BTreeMap<ObjectId, Vec<u8>>>>;

/// A component and whether its instance has answered yet.
pub(super) struct Live {
    pub(super) plugin: Plugin<(), Ingress>,
    /// What the component asks for, once it has run: it is given nothing else.
    pub(super) interests: Arc<OnceLock<Vec<Interest>>>,
    /// The instance is new: its next answer covers everything.
    pub(super) fresh: Arc<AtomicBool>,
}

/// The contract allows 4 MiB a call.
const REPLAY_BYTES: usize = 4 << 20;

/// Loads `source` (see [`crate::bundled::ingress_traefik`]).
///
/// # Errors
/// When the component is refused.
pub fn open_ingress(
    host: &Host,
    source: Source<'_>,
    options: IngressOptions,
) -> Result<WasmCompiler, LoadError> {
    let objects = Objects::default();
    let live = load(host, source, options, objects.clone())?;
    Ok(WasmCompiler::new(live, objects))
}

pub(super) fn load(
    host: &Host,
    source: Source<'_>,
    options: IngressOptions,
    objects: Objects,
) -> Result<Live, LoadError> {
    let loaded = host.load(source, &CONTRACT)?;
    let linker = host.linker::<()>()?;
    let fresh = Arc::new(AtomicBool::new(false));
    let interests: Arc<OnceLock<Vec<Interest>>> = Arc::default();
    let (flag, asked, config) = (fresh.clone(), interests.clone(), options.config);
    let spec = PluginSpec {
        limits: limits(),
        policy: options.policy,
        clock: options.clock,
        random: options.random,
        state: Box::new(|| ()),
        bind: Box::new(move |store, pre| {
            let instance = pre.instantiate(&mut *store)?;
            let bindings = Ingress::new(&mut *store, &instance)?;
            match bindings.call_configure(&mut *store, &config)? {
                Ok(()) => {}
                Err(ConfigError::Invalid(why) | ConfigError::Other(why)) => {
                    return Err(wasmtime::Error::msg(format!(
                        "it refuses its configuration: {why}"
                    )));
                }
            }
            let wanted = bindings.call_interests(&mut *store)?;
            let wanted = asked.get_or_init(|| wanted);
            let known = objects.lock().clone();
            let all = known
                .iter()
                .filter(|(id, _)| is_wanted(wanted, &id.group, &id.kind));
            upsert(
                &bindings,
                store,
                all.map(|(id, json)| object(id, json)).collect(),
            )?;
            flag.store(true, Ordering::SeqCst);
            Ok(bindings)
        }),
    };
    Ok(Live {
        plugin: Plugin::new(host, &loaded, &linker, spec)?,
        interests,
        fresh,
    })
}

/// Whether a component asks for objects of a kind.
pub(super) fn is_wanted(interests: &[Interest], group: &str, kind: &str) -> bool {
    interests
        .iter()
        .any(|interest| interest.group == group && interest.kind == kind)
}

fn object(id: &ObjectId, json: &[u8]) -> Object {
    Object {
        key: ObjectKey::from(id),
        json: json.to_vec(),
    }
}

/// Gives objects in portions.
pub(super) fn upsert(
    bindings: &Ingress,
    store: &mut Store<PluginState<()>>,
    objects: Vec<Object>,
) -> wasmtime::Result<()> {
    let mut portion = Vec::new();
    let mut bytes = 0;
    for object in objects {
        if bytes + object.json.len() > REPLAY_BYTES && !portion.is_empty() {
            give(bindings, store, &std::mem::take(&mut portion))?;
            bytes = 0;
        }
        bytes += object.json.len();
        portion.push(object);
    }
    give(bindings, store, &portion)
}

fn give(
    bindings: &Ingress,
    store: &mut Store<PluginState<()>>,
    objects: &[Object],
) -> wasmtime::Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    match bindings.call_upsert(store, objects)? {
        Ok(()) => Ok(()),
        // The others of the batch were accepted.
        Err(FeedError::Invalid(why)) => {
            tracing::warn!(why, "the ingress plugin cannot read an object");
            Ok(())
        }
        Err(FeedError::Other(why)) => Err(wasmtime::Error::msg(format!(
            "it does not accept objects: {why}"
        ))),
    }
}

/// Ten thousand Ingresses with their Services are some 20 MiB in the guest, and about as much when all
/// their routes are handed over after a restart; deciding on them takes a second. An instance of that
/// size is kept: a fresh one would only grow to it again.
fn limits() -> Limits {
    Limits {
        memory_bytes: 256 << 20,
        recycle_bytes: 256 << 20,
        hostcall_bytes: 64 << 20,
        call: Duration::from_secs(15),
        ..Limits::default()
    }
}
