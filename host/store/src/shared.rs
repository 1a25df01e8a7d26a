//! The memory that all parts share: current state, event log, leases, counters.
//!
//! Only the sequencer changes it. The lock is never held across an await and never while a watcher
//! is woken.

use std::sync::Arc;

use k3s_base::Clock;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::backend::{Backend, Opened};
use crate::keyspace::Keyspace;
use crate::lease::Leases;
use crate::log::Log;
use crate::model::{Event, EventKind, Revision};
use crate::options::StoreOptions;
use crate::stats::Counters;

pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    pub(crate) leases: Mutex<Leases>,
    /// Notified when the earliest expiry may have changed.
    pub(crate) lease_schedule_changed: Notify,
    /// Notified when the log has events that may expire.
    pub(crate) log_grew: Notify,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) options: StoreOptions,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
}

pub(crate) struct State {
    pub(crate) keys: Keyspace,
    pub(crate) log: Log,
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    pub(crate) closed: bool,
}

impl Shared {
    /// Makes committed events visible: state, log, leases, then the watchers.
    pub(crate) fn apply(&self, events: &[Arc<Event>], revision: Revision) {
        let mut touched = Vec::new();
        {
            let mut state = self.state.write();
            let state = &mut *state;
            for event in events {
                match event.kind {
                    EventKind::Put { .. } => drop(state.keys.insert(event.entry.clone())),
                    EventKind::Delete => drop(state.keys.remove(event.key())),
                }
                state.log.push(event, &mut touched);
            }
            state.revision = state.revision.max(revision);
        }
        if self.leases.lock().observe(events, self.clock.elapsed()) {
            self.lease_schedule_changed.notify_one();
        }
        self.log_grew.notify_one();
        for wake in touched {
            wake.send_replace(());
        }
    }

    /// Replaces the state by one that does not follow from it. History before it is only in the
    /// backend.
    pub(crate) fn replace(&self, keys: Keyspace, opened: Opened) {
        let mut leases = Leases::default();
        let now = self.clock.elapsed();
        for entry in keys.range("", None).filter(|e| e.lease_secs > 0) {
            leases.grant(entry, now);
        }
        *self.leases.lock() = leases;
        let watchers = {
            let mut state = self.state.write();
            state.keys = keys;
            state.revision = opened.revision;
            state.compacted = opened.compacted;
            state.log.reset(opened.revision);
            state.log.all_watchers()
        };
        self.lease_schedule_changed.notify_one();
        for wake in watchers {
            wake.send_replace(());
        }
    }

    /// Ends every watcher.
    pub(crate) fn close(&self) {
        let watchers = {
            let mut state = self.state.write();
            state.closed = true;
            state.log.all_watchers()
        };
        for wake in watchers {
            wake.send_replace(());
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.state.read().revision
    }
}
