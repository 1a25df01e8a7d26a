//! Custom resources: follows CustomResourceDefinitions, keeps the set of resources that they define in
//! the registry, and writes their status.
//!
//! It is part of the API server, as in upstream: without it the API is not whole. Everything is derived
//! from the stored definitions, so a restart finds what was served before. The set is in place before
//! the `Established` condition says so.

mod cleanup;
mod known;
mod names;

use std::sync::Arc;

use k3s_kinds::definition_schema_errors;
use k3s_lifecycle::Tasks;
use k3s_meta::{Path, UserInfo, field, object};
use k3s_registry::{Call, NoAdmission, Registry, Resource, Scope, Update, Warnings};
use k3s_store::{Entry, Event, EventKind, Watcher};
use serde_json::Value;

use crate::Result;
use known::Known;

pub(super) const GROUP: &str = "apiextensions.k8s.io";
pub(super) const PLURAL: &str = "customresourcedefinitions";

/// Reads the stored definitions, serves what they define, and follows them from then on.
pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<()> {
    let resource = registry.resource(GROUP, "v1", PLURAL)?.clone();
    let snapshot = registry.store().snapshot();
    let mut state = State {
        registry: registry.clone(),
        tasks: tasks.clone(),
        known: Known::default(),
        resource: resource.clone(),
    };
    let entries: Vec<Arc<Entry>> = snapshot.range(&resource.prefix, None).cloned().collect();
    for entry in &entries {
        // Names that were accepted are taken before any other is looked at.
        if let Some(definition) = state.decode(entry) {
            state.known.claim(&definition);
        }
    }
    for entry in &entries {
        if let Some(definition) = state.decode(entry) {
            state.serve(&definition);
        }
    }
    state.install();
    let watcher = registry
        .store()
        .watch(&resource.prefix, snapshot.revision())?;
    tasks.spawn_until_stopped("custom resources", state.follow(entries, watcher));
    Ok(())
}

/// Who writes a definition's status.
pub(super) fn apiserver() -> UserInfo {
    UserInfo::new(
        "system:apiserver",
        ["system:masters", "system:authenticated"],
    )
}

struct State {
    registry: Registry,
    tasks: Tasks,
    known: Known,
    resource: Arc<Resource>,
}

impl State {
    async fn follow(mut self, entries: Vec<Arc<Entry>>, mut watcher: Watcher) {
        // What a stop in between left undone.
        self.look_at(entries).await;
        loop {
            match watcher.next_batch().await {
                Ok(events) => self.take(&events).await,
                Err(error) => {
                    tracing::warn!(%error, "the watch of custom resource definitions starts anew");
                    let snapshot = self.registry.store().snapshot();
                    let entries: Vec<Arc<Entry>> = snapshot
                        .range(&self.resource.prefix, None)
                        .cloned()
                        .collect();
                    let present: Vec<&str> = entries
                        .iter()
                        .map(|e| self.resource.name_in_key(&e.key).1)
                        .collect();
                    self.known.retain(&present);
                    match self
                        .registry
                        .store()
                        .watch(&self.resource.prefix, snapshot.revision())
                    {
                        Ok(fresh) => watcher = fresh,
                        // The server is shutting down.
                        Err(_) => return,
                    }
                    self.look_at(entries).await;
                }
            }
        }
    }

    async fn look_at(&mut self, entries: Vec<Arc<Entry>>) {
        for entry in entries {
            self.put(&entry).await;
        }
        self.install();
    }

    async fn take(&mut self, events: &[Arc<Event>]) {
        for event in events {
            match event.kind {
                EventKind::Put { .. } => self.put(&event.entry).await,
                EventKind::Delete => self.delete(&event.entry).await,
            }
        }
    }

    fn decode(&self, entry: &Entry) -> Option<Value> {
        match self.resource.decode(entry) {
            Ok(definition) => Some(definition),
            Err(error) => {
                tracing::error!(%error, key = %entry.key, "a stored definition cannot be decoded; it is not served");
                None
            }
        }
    }

    /// One definition, as it is now.
    async fn put(&mut self, entry: &Entry) {
        // Of several changes in a batch only the last counts.
        let newest = self.registry.store().get(&entry.key);
        let Some(definition) = newest.and_then(|entry| self.decode(&entry)) else {
            return;
        };
        if self.serve(&definition) {
            self.install();
        }
        if let Err(error) = self.write_status(&definition).await {
            tracing::warn!(%error, definition = object::name(&definition), "cannot write the status of a definition");
        }
        if cleanup::is_due(&definition) && self.known.begin_cleanup(&definition) {
            let name = object::name(&definition).to_owned();
            self.tasks.spawn_until_stopped(
                "custom resource cleanup",
                cleanup::run(self.registry.clone(), name),
            );
        }
    }

    /// A definition is gone: so are its resources, and others may have its names.
    async fn delete(&mut self, entry: &Entry) {
        let (_, name) = self.resource.name_in_key(&entry.key);
        let Some(group) = self.known.remove(name) else {
            return;
        };
        self.install();
        for name in self.known.of_group(&group) {
            if let Some(entry) = self.registry.store().get(&self.resource.key("", &name)) {
                Box::pin(self.put(&entry)).await;
            }
        }
    }

    /// Takes note of a definition. True when what is served has changed.
    fn serve(&mut self, definition: &Value) -> bool {
        if !self.known.has_checked(definition) {
            self.known
                .check(definition, definition_schema_errors(definition));
        }
        let status = self.status(definition);
        let revision = self.registry.store().revision().0;
        match self.known.put(definition, &status, revision) {
            Ok(changed) => changed,
            Err(error) => {
                tracing::error!(%error, definition = object::name(definition), "a definition cannot be served");
                // The status says so too.
                self.known.check(
                    definition,
                    field::internal(&Path::new("spec"), error).into(),
                );
                false
            }
        }
    }

    /// The status that the definition should have.
    fn status(&self, definition: &Value) -> Value {
        let taken = self.known.taken(definition);
        let now = k3s_base::clock::rfc3339(self.registry.clock().now());
        names::status(
            definition,
            &taken,
            self.known.schema_errors(definition),
            &now,
        )
    }

    fn install(&self) {
        self.registry.resources().install(self.known.set());
    }

    async fn write_status(&self, definition: &Value) -> Result<()> {
        if definition.get("status") == Some(&self.status(definition)) {
            return Ok(());
        }
        let (user, warnings) = (apiserver(), Warnings::default());
        let call = Call {
            user: &user,
            dry_run: false,
            admission: &NoAdmission,
            warnings: &warnings,
        };
        let name = object::name(definition);
        let update = Update {
            resource: &self.resource,
            namespace: "",
            name,
            scope: Scope::Status,
            create_missing: false,
        };
        let change = |current: Option<&Value>| {
            let mut new = current.cloned().unwrap_or_default();
            object::set(
                &mut new,
                &["status"],
                self.status(current.unwrap_or(&Value::Null)),
            );
            Ok(new)
        };
        match self.registry.update(&update, &call, change).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
