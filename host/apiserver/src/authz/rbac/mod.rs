//! Role-based access control, evaluated on an index in memory that a watch on the four kinds keeps.

pub(crate) mod escalation;
mod index;
pub(crate) mod rule;

use std::sync::Arc;

use k3s_lifecycle::Tasks;
use k3s_meta::UserInfo;
use k3s_registry::Registry;
use k3s_store::{Entry, Event, EventKind, Watcher};
use parking_lot::RwLock;

use super::{Attributes, Decision};
use crate::Result;
use index::Index;
use rule::Rule;

/// The kinds that make up the policy.
const PLURALS: [&str; 4] = [
    "clusterrolebindings",
    "clusterroles",
    "rolebindings",
    "roles",
];
const GROUP: &str = "rbac.authorization.k8s.io";

/// The authorizer. Its index is as new as the last policy change it has seen, which is moments
/// behind the store.
pub(crate) struct Rbac {
    index: Arc<RwLock<Index>>,
}

impl Rbac {
    pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<Self> {
        let index = Arc::new(RwLock::new(Index::default()));
        for plural in PLURALS {
            let prefix = registry.resource(GROUP, "v1", plural)?.prefix.clone();
            let snapshot = registry.store().snapshot();
            for entry in snapshot.range(&prefix, None) {
                put(&mut index.write(), plural, entry);
            }
            let watcher = registry.store().watch(&prefix, snapshot.revision())?;
            let follow = follow(registry.clone(), plural, watcher, index.clone());
            tasks.spawn_until_stopped("rbac index", follow);
        }
        Ok(Self { index })
    }

    /// Decides on one request.
    pub(crate) fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let index = self.index.read();
        let mut missing = Vec::new();
        let allowed = index.visit(
            attributes.user,
            attributes.namespace,
            &mut missing,
            |rule| rule.allows(attributes),
        );
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
        self.index
            .read()
            .visit(user, namespace, &mut missing, |rule| {
                rules.push(rule.clone());
                false
            });
        (rules, missing)
    }

    /// The rules of a role that a binding names.
    pub(crate) fn rules_of(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        self.index.read().role(kind, namespace, name).cloned()
    }
}

async fn follow(
    registry: Registry,
    plural: &'static str,
    mut watcher: Watcher,
    index: Arc<RwLock<Index>>,
) {
    loop {
        match watcher.next_batch().await {
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
        }
    }
}

/// The log has moved on past the watcher: the present state replaces what the index had.
fn rebuild(
    registry: &Registry,
    plural: &str,
    prefix: String,
    index: &RwLock<Index>,
) -> Option<Watcher> {
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
