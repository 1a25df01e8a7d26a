//! SIGHUP: the configuration is read again, and batteries that it now chooses differently are
//! replaced while everything runs. One that fails never takes over.

use std::sync::Arc;

use anyhow::Result;
use k3s_base::error::chain;
use k3s_config::{ConfigError, ServerSettings};
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;
use tokio::signal::unix::Signal;
use tracing::{error, info, warn};

use super::replace::Running;
use super::status::PluginEvents;
use super::{Component, Fingerprint, component};

/// Reads the settings again: command line, file, environment.
pub(crate) type Reread = Box<dyn Fn() -> Result<ServerSettings, ConfigError> + Send + Sync>;

/// The batteries that run, and how to replace them. Parts of the server enter what they started.
#[derive(Clone, Default)]
pub(crate) struct Swaps(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone)]
struct Entry {
    kind: &'static str,
    runs: Fingerprint,
    reference: String,
    /// None where only a restart changes it.
    running: Option<Arc<Running>>,
}

impl Swaps {
    /// `component` runs, and can be replaced.
    pub(crate) fn add(&self, component: &Component, running: Running) {
        self.enter(component, Some(Arc::new(running)));
    }

    /// `component` runs until the server stops.
    pub(crate) fn add_fixed(&self, component: &Component) {
        self.enter(component, None);
    }

    fn enter(&self, component: &Component, running: Option<Arc<Running>>) {
        let (runs, reference) = (component.fingerprint(), component.reference.clone());
        self.0.lock().push(Entry {
            kind: component.kind,
            runs,
            reference,
            running,
        });
    }

    /// Where a battery that runs came from.
    pub(crate) fn reference_of(&self, kind: &str) -> Option<String> {
        self.0
            .lock()
            .iter()
            .find(|e| e.kind == kind)
            .map(|e| e.reference.clone())
    }

    fn replaced(&self, kind: &str, runs: Fingerprint, reference: &str) {
        if let Some(entry) = self.0.lock().iter_mut().find(|e| e.kind == kind) {
            entry.runs = runs;
            reference.clone_into(&mut entry.reference);
        }
    }
}

/// Acts on every SIGHUP that `hangup` gives.
pub(crate) fn start(
    mut hangup: Signal,
    reread: Reread,
    swaps: Swaps,
    events: PluginEvents,
    tasks: &Tasks,
) {
    tasks.spawn_until_stopped("reload", async move {
        while hangup.recv().await.is_some() {
            info!(
                "SIGHUP: reading the plugins' configuration again; other settings need a restart"
            );
            match reread() {
                Ok(settings) => all(&settings, &swaps, &events).await,
                Err(error) => error!(
                    error = chain(&error),
                    "the configuration is refused; everything stays as it is"
                ),
            }
        }
    });
}

async fn all(settings: &ServerSettings, swaps: &Swaps, events: &PluginEvents) {
    let entries: Vec<Entry> = swaps.0.lock().clone();
    for entry in entries {
        match one(&entry, settings, swaps).await {
            Ok(None) => {}
            Ok(Some(new)) => {
                info!(kind = entry.kind, plugin = new, "a plugin was replaced");
                events.swapped(
                    entry.kind,
                    &format!("{} was replaced by {new}", entry.reference),
                );
            }
            Err(why) => {
                let why = format!("{why:#}");
                error!(
                    kind = entry.kind,
                    why, "plugin replacement failed; {} is still active", entry.reference
                );
                let message = format!("{} is still active: {why}", entry.reference);
                events.refused(entry.kind, &message);
            }
        }
    }
}

/// Replaces one battery if another is asked for; returns the reference of the new one.
async fn one(entry: &Entry, settings: &ServerSettings, swaps: &Swaps) -> Result<Option<String>> {
    let new = component(entry.kind, settings).await?;
    let (fingerprint, reference) = (new.fingerprint(), new.reference.clone());
    if fingerprint == entry.runs {
        return Ok(None);
    }
    let Some(running) = &entry.running else {
        warn!(
            kind = entry.kind,
            "this plugin is changed by a restart of the server only"
        );
        anyhow::bail!(
            "restart needed: a {} is not replaced while the server runs",
            entry.kind
        );
    };
    running.replace(&new).await?;
    swaps.replaced(entry.kind, fingerprint, &reference);
    Ok(Some(reference))
}
