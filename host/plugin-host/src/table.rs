//! The table of all plugins of the process, for status objects: plugins enter themselves when they are
//! made and leave when they are dropped.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use k3s_base::Clock;
use parking_lot::Mutex;

use crate::describe::Description;
use crate::digest::Digest;
use crate::supervise::{Health, Supervision};

/// How a plugin is.
#[derive(Clone, Debug)]
pub struct PluginStatus {
    /// Its kind.
    pub kind: &'static str,
    /// Where it came from: the bundled name or the file.
    pub name: String,
    /// What it says of itself.
    pub description: Description,
    /// Of its bytes.
    pub digest: Digest,
    /// Whether it may be called.
    pub health: Health,
    /// Failures since the start of the process; after each a fresh instance was made.
    pub failures: u64,
    /// The last one, or empty.
    pub last_error: String,
    /// Memory of the live instance.
    pub memory_bytes: usize,
    /// False for one that is being tried out and does not serve yet.
    pub in_use: bool,
}

/// One plugin's entry, shared between the plugin and the table.
#[derive(Debug)]
pub(crate) struct PluginEntry {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) description: Description,
    pub(crate) digest: Digest,
    pub(crate) clock: Clock,
    pub(crate) supervision: Mutex<Supervision>,
    pub(crate) memory_bytes: AtomicUsize,
    pub(crate) in_use: AtomicBool,
}

impl PluginEntry {
    pub(crate) fn status(&self) -> PluginStatus {
        let supervision = self.supervision.lock();
        PluginStatus {
            kind: self.kind,
            name: self.name.clone(),
            description: self.description.clone(),
            digest: self.digest,
            health: supervision.health(self.clock.elapsed()),
            failures: supervision.total,
            last_error: supervision.last_error.clone(),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            in_use: self.in_use.load(Ordering::Relaxed),
        }
    }
}

/// Called after something in a status changed; must not block.
type Listener = Box<dyn Fn() + Send + Sync>;

/// All plugins.
#[derive(Default)]
pub(crate) struct PluginTable {
    entries: Mutex<Vec<Weak<PluginEntry>>>,
    listener: OnceLock<Listener>,
}

impl PluginTable {
    pub(crate) fn enter(&self, entry: &Arc<PluginEntry>) {
        let mut entries = self.entries.lock();
        entries.retain(|entry| entry.strong_count() > 0);
        entries.push(Arc::downgrade(entry));
        drop(entries);
        self.changed();
    }

    /// In the order in which they were made.
    pub(crate) fn all(&self) -> Vec<PluginStatus> {
        let live: Vec<Arc<PluginEntry>> = self
            .entries
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        live.iter().map(|entry| entry.status()).collect()
    }

    pub(crate) fn listen(&self, listener: Listener) {
        let _ = self.listener.set(listener);
    }

    pub(crate) fn changed(&self) {
        if let Some(listener) = self.listener.get() {
            listener();
        }
    }
}
