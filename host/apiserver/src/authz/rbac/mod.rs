//! Role-based access control, evaluated on an index in memory that a watch on the four kinds keeps.

pub(crate) mod escalation;
mod index;
pub(crate) mod rule;

use std::sync::Arc;

use k3s_lifecycle::Tasks;
use k3s_meta::UserInfo;
use k3s_registry::Registry;
use k3s_store::{Entry, Event, EventKind, Revision, Watcher};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::{Attributes, Decision};
use crate::Result;
use index::Index;
use rule::Rule;

/// The kinds that make up the policy.
const PLURALS: [&str; 4] = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"];
const GROUP: &str = "rbac.authorization.k8s.io";

/// The authorizer. Its index is as new as the last policy change it has seen, which is moments
/// behind the store.
pub(crate) struct Rbac {
    index: Arc<RwLock<Index>>,
    seen: Vec<watch::Receiver<Revision>>,
}

impl Rbac {
    pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        let index = Arc::new(RwLock::new(Index::default()));
        let mut seen = Vec::new();
        for plural in PLURALS {
            let prefix = registry.resource(GROUP, "v1", plural)?.prefix.clone();
            let snapshot = registry.store().snapshot();
            for entry in snapshot.range(&prefix, None) {
                put(&mut index.write(), plural, entry);
            }
            let watcher = registry.store().watch(&prefix, snapshot.revision())?;
            let (sender, receiver) = watch::channel(snapshot.revision());
            seen.push(receiver);
            let follow = follow(registry.clone(), plural, watcher, index.clone(), sender);
            tasks.spawn_until_stopped("rbac index", follow);
        }
        Ok(Self { index, seen })
    }

    /// Decides on one request.
    pub(crate) fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let index = self.index.read();
        let mut missing = Vec::new();
        let allowed = index.visit(attributes.user, attributes.namespace, &mut missing, |rule| rule.allows(attributes));
        if allowed {
            return Decision::Allow;
        }
        if missing.is_empty() {
            return Decision::Deny(String::new());
        }
        Decision::Deny(format!("RBAC: {}", missing.join(", ")))
    }

    /// All rules that apply to a user in a namespace (and everywhere).
    pub(crate) fn rules_for(&self, user: &UserInfo, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut missing) = (Vec::new(), Vec::new());
        self.index.read().visit(user, namespace, &mut missing, |rule| {
            rules.push(rule.clone());
            false
        });
        (rules, missing)
    }

    /// The rules of a role that a binding names.
    pub(crate) fn rules_of(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        self.index.read().role(kind, namespace, name).cloned()
    }

    /// Waits until every policy change up to `revision` is considered.
    pub(crate) async fn catch_up(&self, revision: Revision) {
        for seen in &self.seen {
            // An error means that the server stops.
            let mut seen = seen.clone();
            let _ended = seen.wait_for(|at| *at >= revision).await.is_err();
        }
    }
}

/// How often a quiet watcher says how far it is, for those who wait.
const PROGRESS: std::time::Duration = std::time::Duration::from_millis(50);

async fn follow(
    registry: Registry,
    plural: &'static str,
    mut watcher: Watcher,
    index: Arc<RwLock<Index>>,
    seen: watch::Sender<Revision>,
) {
    loop {
        let waited_for = seen.receiver_count() > 1;
        tokio::select! {
            events = watcher.next_batch() => match events {
                Ok(events) => {
                    let mut index = index.write();
                    for event in &events {
                        apply(&mut index, plural, event);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, plural, "policy watch starts anew");
                    match rebuild(&registry, plural, watcher.prefix().to_owned(), &index) {
                        Some(fresh) => watcher = fresh,
                        None => return,
                    }
                }
            },
            () = tokio::time::sleep(PROGRESS), if waited_for => {}
            () = seen.closed() => return,
        }
        seen.send_replace(watcher.progress());
    }
}

/// The log has moved on past the watcher: the present state replaces what the index had.
fn rebuild(registry: &Registry, plural: &str, prefix: String, index: &RwLock<Index>) -> Option<Watcher> {
    let snapshot = registry.store().snapshot();
    let mut index = index.write();
    index.clear(plural);
    for entry in snapshot.range(&prefix, None) {
        put(&mut index, plural, entry);
    }
    registry.store().watch(&prefix, snapshot.revision()).ok()
}

fn apply(index: &mut Index, plural: &str, event: &Event) {
    match event.kind {
        EventKind::Put { .. } => put(index, plural, &event.entry),
        EventKind::Delete => index.remove(plural, &event.entry.key),
    }
}

fn put(index: &mut Index, plural: &str, entry: &Entry) {
    match serde_json::from_slice(&entry.value) {
        Ok(object) => index.put(plural, &entry.key, &object),
        // No rule is better than a guessed one.
        Err(error) => {
            tracing::error!(%error, key = %entry.key, "stored policy cannot be decoded");
            index.remove(plural, &entry.key);
        }
    }
}
