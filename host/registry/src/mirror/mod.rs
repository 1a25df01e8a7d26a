//! What is stored, kept decoded in memory in the form in which it is asked for: policy by subject,
//! pods by node, namespaces and quotas for admission.
//!
//! A [`Mirror`] holds an [`Index`] over one or more resources. One task follows the store and keeps
//! the index warm. [`Mirror::read`] does not rely on that task for its truth: it first asks the
//! store whether anything was committed that the index lacks, and applies it itself. So a reader
//! sees every write that was acknowledged before it began, as a direct read of the registry would,
//! and never waits for another task. Admission needs this: a pod may be created right after its
//! namespace. [`Mirror::peek`] leaves the question out, for readers that may be moments behind.
//!
//! Each stored object is decoded once per change, by the task or by the reader that comes first. A mirror exists only in
//! sync: [`Mirror::start`] builds the whole index before it returns.
//!
//! [`Reflector`] is the layer below, for those who act on changes instead of answering questions.

mod lister;
mod reflector;

use std::sync::Arc;

use futures_util::future::select_all;
use k3s_lifecycle::Tasks;
use k3s_store::{Changes, Entry, Event, EventKind, WatchError};
use parking_lot::{RwLock, RwLockWriteGuard};

pub use lister::{Decode, Lister};
pub use reflector::{Reflector, Update};

use crate::error::Result;
use crate::registry::Registry;
use crate::resource::Resource;

/// What a mirror keeps of the stored objects. All methods run under the mirror's lock: they decode
/// and store, and do no I/O.
///
/// An object that cannot be decoded must not vanish silently: an index either answers with an error
/// where it is asked for, or logs it.
pub trait Index: Send + Sync + 'static {
    /// Forgets everything of a resource, before its whole state is put in again.
    fn clear(&mut self, resource: &Resource);

    /// An object was created or changed.
    fn upsert(&mut self, resource: &Resource, entry: &Arc<Entry>);

    /// An object was deleted; `entry` is its last state.
    fn remove(&mut self, resource: &Resource, entry: &Arc<Entry>);
}

/// An index over stored objects that follows the store. Cheap to clone; clones are the same mirror.
pub struct Mirror<I> {
    state: Arc<RwLock<State<I>>>,
}

struct State<I> {
    index: I,
    reflectors: Vec<Reflector>,
}

impl<I> Clone for Mirror<I> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
        }
    }
}

impl<I: Index> Mirror<I> {
    /// Builds the index from what is stored and follows it from then on. `task` names the one task
    /// that does.
    ///
    /// # Errors
    /// When the store has stopped.
    pub fn start(
        task: &'static str,
        registry: &Registry,
        resources: &[&Arc<Resource>],
        index: I,
        tasks: &Tasks,
    ) -> Result<Self> {
        let mut state = State {
            index,
            reflectors: Vec::with_capacity(resources.len()),
        };
        for resource in resources {
            let (entries, reflector) = Reflector::start(registry, resource)?;
            replace(&mut state.index, resource, &entries);
            state.reflectors.push(reflector);
        }
        let changes = state.reflectors.iter().map(Reflector::changes).collect();
        let mirror = Self {
            state: Arc::new(RwLock::new(state)),
        };
        tasks.spawn_until_stopped(task, follow(mirror.clone(), changes));
        Ok(mirror)
    }

    /// Asks the index, which has every write that was acknowledged before the call. Costs one
    /// lookup per resource when nothing is new.
    ///
    /// `ask` must not read the same mirror again: it runs under the mirror's lock.
    pub fn read<R>(&self, ask: impl FnOnce(&I) -> R) -> R {
        let state = self.state.read();
        if state.is_caught_up() {
            return ask(&state.index);
        }
        drop(state);
        let mut state = self.state.write();
        state.catch_up();
        let state = RwLockWriteGuard::downgrade(state);
        ask(&state.index)
    }

    /// Asks the index as it is, which may be moments behind the store.
    pub fn peek<R>(&self, ask: impl FnOnce(&I) -> R) -> R {
        ask(&self.state.read().index)
    }

    /// The bells of the mirrored resources, for those who wait until an answer changes. Take them
    /// before the first question, so that no change falls in between.
    fn changes(&self) -> Vec<Changes> {
        let state = self.state.read();
        state.reflectors.iter().map(Reflector::changes).collect()
    }
}

impl<I: Index> State<I> {
    fn is_caught_up(&self) -> bool {
        self.reflectors.iter().all(Reflector::is_caught_up)
    }

    fn catch_up(&mut self) {
        for reflector in &mut self.reflectors {
            // Bounded by the writes of a moment: an update takes all that memory holds of them.
            while let Some(update) = reflector.try_next() {
                let resource = reflector.resource();
                match update {
                    Update::Replaced(entries) => replace(&mut self.index, resource, &entries),
                    Update::Changed(events) => apply(&mut self.index, resource, &events),
                }
            }
        }
    }
}

fn replace<I: Index>(index: &mut I, resource: &Resource, entries: &[Arc<Entry>]) {
    index.clear(resource);
    for entry in entries {
        index.upsert(resource, entry);
    }
}

fn apply<I: Index>(index: &mut I, resource: &Resource, events: &[Arc<Event>]) {
    for event in events {
        match event.kind {
            EventKind::Put { .. } => index.upsert(resource, &event.entry),
            EventKind::Delete => index.remove(resource, &event.entry),
        }
    }
}

/// Keeps the index warm, so that readers find little to catch up with.
async fn follow<I: Index>(mirror: Mirror<I>, mut changes: Vec<Changes>) {
    loop {
        // First, since a write may have fallen between the snapshot and the bell.
        mirror.state.write().catch_up();
        // Only a stopped store ends this.
        if any_changed(&mut changes).await.is_err() {
            return;
        }
    }
}

/// Waits until one of the bells rings.
async fn any_changed(changes: &mut [Changes]) -> std::result::Result<(), WatchError> {
    if changes.is_empty() {
        // A mirror of nothing never changes.
        return std::future::pending().await;
    }
    let bells = changes.iter_mut().map(|bell| Box::pin(bell.changed()));
    let (rung, _, _) = select_all(bells).await;
    rung
}
