//! The fake's state: objects by table and key, and the log of changes that watches read.

use std::collections::BTreeMap;

use k3s_base::Clock;
use k3s_meta::object::uid;
use k3s_meta::tree;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;

use super::path::Target;

/// One change. `before` is the object's state until then.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) table: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// What a watch hears.
#[derive(Clone, Debug)]
pub(super) enum Signal {
    Change(Change),
    /// The log was compacted under the watch.
    Expired,
}

pub(super) struct Store {
    pub(super) clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<String, BTreeMap<String, Value>>,
    log: Vec<Change>,
    revision: u64,
    compacted: u64,
    /// Unbounded: a test's watches are few and read all the time.
    watches: Vec<mpsc::UnboundedSender<Signal>>,
}

impl Store {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    pub(super) fn get(&self, target: &Target) -> Option<Value> {
        self.state
            .lock()
            .tables
            .get(&target.table())?
            .get(&target.key())
            .cloned()
    }

    pub(super) fn all(&self, target: &Target) -> Vec<Value> {
        self.snapshot(target).0
    }

    /// The objects of a table (of one namespace where the target names it) and the version.
    pub(super) fn snapshot(&self, target: &Target) -> (Vec<Value>, u64) {
        let state = self.state.lock();
        let prefix = if target.namespace.is_empty() {
            String::new()
        } else {
            format!("{}/", target.namespace)
        };
        let objects = state
            .tables
            .get(&target.table())
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, object)| object.clone())
            .collect();
        (objects, state.revision)
    }

    pub(super) fn revision(&self) -> u64 {
        self.state.lock().revision
    }

    /// Forgets the log; live watches have to list again.
    pub(super) fn compact(&self) {
        let mut state = self.state.lock();
        state.compacted = state.revision;
        state.log.clear();
        state
            .watches
            .drain(..)
            .for_each(|watch| drop(watch.send(Signal::Expired)));
    }

    /// The changes after a version and those to come; `None` where they are forgotten.
    pub(super) fn watch(&self, after: u64) -> Option<mpsc::UnboundedReceiver<Signal>> {
        let mut state = self.state.lock();
        if after < state.compacted {
            return None;
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        for change in state.log.iter().filter(|change| change.revision > after) {
            drop(sender.send(Signal::Change(change.clone())));
        }
        state.watches.push(sender);
        Some(receiver)
    }

    pub(super) fn seed(&self, target: &Target, mut object: Value) -> Value {
        self.identify(&mut object);
        self.replace(target, object)
    }

    /// Fills in what every stored object has.
    pub(super) fn identify(&self, object: &mut Value) {
        if uid(object).is_empty() {
            tree::set(object, "metadata.uid", uuid::Uuid::new_v4().to_string());
        }
        if tree::get(object, "metadata.creationTimestamp").is_none() {
            tree::set(
                object,
                "metadata.creationTimestamp",
                self.clock.now_rfc3339(),
            );
        }
    }

    /// Stores a new state under a new version.
    pub(super) fn replace(&self, target: &Target, mut object: Value) -> Value {
        let mut state = self.state.lock();
        let revision = state.next();
        tree::set(
            &mut object,
            "metadata.resourceVersion",
            revision.to_string(),
        );
        let before = state
            .tables
            .entry(target.table())
            .or_default()
            .insert(target.key(), object.clone());
        state.publish(Change {
            revision,
            table: target.table(),
            before,
            after: Some(object.clone()),
        });
        object
    }

    pub(super) fn remove(&self, target: &Target) -> Option<Value> {
        let mut state = self.state.lock();
        let mut before = state
            .tables
            .get_mut(&target.table())?
            .remove(&target.key())?;
        let revision = state.next();
        tree::set(
            &mut before,
            "metadata.resourceVersion",
            revision.to_string(),
        );
        state.publish(Change {
            revision,
            table: target.table(),
            before: Some(before.clone()),
            after: None,
        });
        Some(before)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    fn publish(&mut self, change: Change) {
        self.watches
            .retain(|watch| watch.send(Signal::Change(change.clone())).is_ok());
        self.log.push(change);
    }
}
