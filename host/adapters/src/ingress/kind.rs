//! What is special about ingress plugins: they are given objects through masks, answer with what
//! changed, and the first answer of an instance covers everything.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k3s_battery::feed::{View, batches, covers, is_same_kind};
use k3s_battery::{Component, Kind, Stage, SwapError};
use k3s_ingress::model::{Change, Interest, Object, ObjectKey};
use k3s_ingress::{Batch, Compiled};
use k3s_plugin_host::{CallError, Contract, Limits, PluginState, Refused};
use k3s_wit_bindings::common::exports::k3s::common::plugin::ConfigError;
use k3s_wit_bindings::ingress::Ingress;
use parking_lot::Mutex;
use wasmtime::Store;
use wasmtime::component::{InstancePre, Linker};

use crate::feed::accepted;

/// Changes per call of the guest's `compile`; the answer stays below 4 MiB.
const CHANGES: u32 = 500;
/// The contract allows 4 MiB of objects a call.
const CALL_BYTES: usize = 4 << 20;

/// The ingress controller of a node.
#[derive(Default)]
pub struct RoutingKind {
    /// What components are given, shared with the informers.
    pub(super) desired: Mutex<BTreeMap<ObjectKey, k3s_client::Object>>,
    /// What the data plane follows: the first component's interests.
    pub(super) followed: OnceLock<Vec<Interest>>,
}

/// What the host remembers of a component.
#[derive(Default)]
pub struct RoutingSession {
    /// What the instance has seen.
    pub(super) view: Mutex<View<ObjectKey>>,
    /// What the component asked for.
    interests: OnceLock<Vec<Interest>>,
    /// The instance has not answered yet: its next answer covers everything.
    is_fresh: AtomicBool,
}

/// A component decides on objects that its predecessor did not ask for.
#[derive(Debug, thiserror::Error)]
#[error(
    "it asks for {0}, which the one that runs does not: it can take over at a restart of the server"
)]
struct NotFollowed(String);

impl RoutingKind {
    /// Adds a batch to what components are given.
    pub(super) fn apply(&self, batch: &Batch) {
        let mut desired = self.desired.lock();
        for (key, object) in &batch.upserts {
            desired.insert(key.clone(), object.clone());
        }
        for key in &batch.removals {
            desired.remove(key);
        }
    }

    /// One call: everything new goes in, everything that follows comes out.
    pub(super) fn decide(
        &self,
        component: &Component<Self>,
        batch: Batch,
    ) -> Result<Compiled, CallError> {
        let session = component.session();
        let mut all = component.call("compile", |bindings, store| {
            let documents = session.documents(&batch.upserts);
            upsert(bindings, &mut *store, documents)?;
            remove(bindings, &mut *store, &session.forget(&batch.removals))?;
            changes(bindings, store, CHANGES)
        })?;
        // Each portion has the deadline for itself. An instance that always has more is not waited for.
        let most = 2 * (self.desired.lock().len() + batch.removals.len()) + CHANGES as usize;
        let mut last = all.len();
        while last > 0 {
            let count = all.len();
            let more = component.call("compile", |bindings, store| {
                if count > most {
                    return Err(wasmtime::Error::msg("it decides without end"));
                }
                changes(bindings, store, CHANGES)
            })?;
            last = more.len();
            all.extend(more);
        }
        let complete = session.is_fresh.swap(false, Ordering::SeqCst);
        self.drop_unknown(&mut all);
        Ok(Compiled {
            complete,
            changes: all,
        })
    }

    fn drop_unknown(&self, changes: &mut Vec<Change>) {
        let desired = self.desired.lock();
        let before = changes.len();
        changes.retain(|change| match change {
            Change::Put(outcome) => desired.contains_key(&outcome.key),
            Change::Gone(_) => true,
        });
        let count = before - changes.len();
        if count > 0 {
            tracing::warn!(
                count,
                "the ingress plugin decided on objects that do not exist"
            );
        }
    }

    /// The data plane follows what the first component asked for, so a successor may ask for no more.
    fn check_followed(&self, component: &Component<Self>) -> Result<(), NotFollowed> {
        let asked = component.session().interests.get();
        let (Some(asked), Some(followed)) = (asked, self.followed.get()) else {
            return Ok(());
        };
        for wanted in asked {
            let known = followed.iter().find(|known| is_same_kind(known, wanted));
            let Some(known) = known else {
                return Err(NotFollowed(wanted.plural.clone()));
            };
            if let Some(field) = wanted.fields.iter().find(|field| !covers(known, field)) {
                return Err(NotFollowed(format!("{field} of {}", wanted.plural)));
            }
        }
        Ok(())
    }
}

impl RoutingSession {
    /// What the instance has not seen of these objects.
    pub(super) fn documents(&self, objects: &[(ObjectKey, k3s_client::Object)]) -> Vec<Object> {
        let mut view = self.view.lock();
        let document = |(key, object): &(ObjectKey, k3s_client::Object)| {
            let json = view.difference((&key.group, &key.kind), key, object)?;
            let key = key.clone();
            Some(Object { key, json })
        };
        objects.iter().filter_map(document).collect()
    }

    /// The keys of those that the instance had seen.
    pub(super) fn forget(&self, keys: &[ObjectKey]) -> Vec<ObjectKey> {
        let mut view = self.view.lock();
        let known = keys.iter().filter(|key| view.forget(key));
        known.cloned().collect()
    }
}

/// Gives objects, as many at a time as the contract allows.
pub(super) fn upsert(
    bindings: &Ingress,
    store: &mut Store<PluginState<()>>,
    objects: Vec<Object>,
) -> wasmtime::Result<()> {
    for batch in batches(objects, |object| object.json.len(), CALL_BYTES) {
        accepted(bindings.call_upsert(&mut *store, &batch)?)?;
    }
    Ok(())
}

pub(super) fn remove(
    bindings: &Ingress,
    store: &mut Store<PluginState<()>>,
    keys: &[ObjectKey],
) -> wasmtime::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    accepted(bindings.call_remove(store, keys)?)
}

/// One portion.
pub(super) fn changes(
    bindings: &Ingress,
    store: &mut Store<PluginState<()>>,
    limit: u32,
) -> wasmtime::Result<Vec<Change>> {
    let result = bindings.call_compile(store, limit)?;
    result.map_err(|error| wasmtime::Error::msg(format!("it does not decide: {error:?}")))
}

impl Kind for RoutingKind {
    const CONTRACT: Contract = super::CONTRACT;

    type Grant = ();
    type Bindings = Ingress;
    type Session = RoutingSession;
    /// What the component decided when it took over; covers everything.
    type Handover = Compiled;

    /// Ten thousand Ingresses with their Services are some 20 MiB in the guest, and about as much when
    /// all their routes are handed over after a restart; deciding on them takes a second. An instance
    /// of that size is kept: a fresh one would only grow to it again.
    fn limits(&self) -> Limits {
        Limits {
            memory_bytes: 256 << 20,
            recycle_bytes: 256 << 20,
            hostcall_bytes: 64 << 20,
            call: Duration::from_secs(15),
            ..Limits::default()
        }
    }

    fn add_to_linker(&self, _linker: &mut Linker<PluginState<()>>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn session(&self, _stage: &Stage) -> RoutingSession {
        RoutingSession::default()
    }

    fn grant(&self, _session: &RoutingSession) {}

    fn instantiate(
        &self,
        store: &mut Store<PluginState<()>>,
        pre: &InstancePre<PluginState<()>>,
    ) -> wasmtime::Result<Ingress> {
        let instance = pre.instantiate(&mut *store)?;
        Ingress::new(&mut *store, &instance)
    }

    fn configure(
        &self,
        bindings: &Ingress,
        store: &mut Store<PluginState<()>>,
        config: &[u8],
    ) -> wasmtime::Result<Result<(), Refused>> {
        let result = bindings.call_configure(store, config)?;
        Ok(result.map_err(|(ConfigError::Invalid(why) | ConfigError::Other(why))| Refused(why)))
    }

    fn replay(
        &self,
        bindings: &Ingress,
        store: &mut Store<PluginState<()>>,
        session: &RoutingSession,
        _stage: &Stage,
    ) -> wasmtime::Result<()> {
        let asked = bindings.call_interests(&mut *store)?;
        // An instance that asked for more than the first one would get it nowhere.
        let asked = session.interests.get_or_init(|| asked);
        *session.view.lock() = View::new(asked.clone());
        let desired = self.desired.lock().clone();
        let all: Vec<_> = desired.into_iter().collect();
        upsert(bindings, store, session.documents(&all))?;
        session.is_fresh.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn take_over(&self, candidate: &Component<Self>) -> Result<Option<Compiled>, SwapError> {
        let mut compiled = self.decide(candidate, Batch::default())?;
        self.check_followed(candidate)
            .map_err(|error| SwapError::Unfit(error.into()))?;
        compiled.complete = true;
        Ok(Some(compiled))
    }
}
