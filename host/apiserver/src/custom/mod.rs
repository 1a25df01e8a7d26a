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

use k3s_base::error::chain;
use k3s_kinds::definition_schema_errors;
use k3s_lifecycle::Tasks;
use k3s_meta::{Path, UserInfo, field, object, tree};
use k3s_registry::mirror::{self, Reflector};
use k3s_registry::{Call, NoAdmission, Registry, Resource, Result, Scope, Update, Warnings};
use k3s_resources::apiextensions::CustomSet;
use k3s_store::{Entry, Event, EventKind};
use serde_json::Value;
use tokio::sync::watch;

use known::Known;

pub(super) const GROUP: &str = "apiextensions.k8s.io";
pub(super) const PLURAL: &str = "customresourcedefinitions";

/// Reads the stored definitions, serves what they define, and follows them from then on. The receiver tells of
/// changes of what is served.
pub(crate) fn start(registry: &Registry, tasks: &Tasks) -> Result<watch::Receiver<()>> {
    let resource = registry.resource(GROUP, "v1", PLURAL)?.clone();
    let (entries, reflector) = Reflector::start(registry, &resource)?;
    let (served, changes) = watch::channel(());
    let mut controller = DefinitionController {
        registry: registry.clone(),
        tasks: tasks.clone(),
        known: Known::default(),
        resource,
        served,
    };
    controller.serve_all(&entries);
    tasks.spawn_until_stopped("custom resources", controller.run(entries, reflector));
    Ok(changes)
}

/// Who writes a definition's status.
pub(super) fn apiserver() -> UserInfo {
    UserInfo::new(
        "system:apiserver",
        ["system:masters", "system:authenticated"],
    )
}

/// Turns definitions into served resources, one change after the other.
struct DefinitionController {
    registry: Registry,
    tasks: Tasks,
    known: Known,
    resource: Arc<Resource>,
    served: watch::Sender<()>,
}

impl DefinitionController {
    /// Serves what the stored definitions define, before the first request can ask for it.
    fn serve_all(&mut self, entries: &[Arc<Entry>]) {
        let definitions: Vec<Value> = entries.iter().filter_map(|e| self.decode(e)).collect();
        // Names that were accepted are taken before any other definition can ask for them.
        for definition in &definitions {
            self.known.claim(definition);
        }
        for definition in &definitions {
            self.serve(definition);
        }
        self.install();
    }

    async fn run(mut self, entries: Vec<Arc<Entry>>, mut reflector: Reflector) {
        // What an earlier process left undone.
        self.sync_all(entries).await;
        while let Some(update) = reflector.next().await {
            match update {
                mirror::Update::Changed(events) => self.sync_changed(&events).await,
                mirror::Update::Replaced(entries) => {
                    let names = entries.iter().map(|entry| self.name_of(entry));
                    let names: Vec<String> = names.map(str::to_owned).collect();
                    self.known.retain(&names);
                    self.sync_all(entries).await;
                }
            }
        }
    }

    async fn sync_all(&mut self, entries: Vec<Arc<Entry>>) {
        for entry in entries {
            self.sync(&entry).await;
        }
        self.install();
    }

    async fn sync_changed(&mut self, events: &[Arc<Event>]) {
        for event in events {
            match event.kind {
                EventKind::Put { .. } => self.sync(&event.entry).await,
                EventKind::Delete => self.remove(&event.entry).await,
            }
        }
    }

    fn name_of<'e>(&self, entry: &'e Entry) -> &'e str {
        let (_, name) = self.resource.name_in_key(&entry.key);
        name
    }

    fn decode(&self, entry: &Entry) -> Option<Value> {
        match self.resource.decode(entry) {
            Ok(definition) => Some(definition),
            Err(error) => {
                tracing::error!(error = chain(&error), key = %entry.key, "a stored definition cannot be decoded; it is not served");
                None
            }
        }
    }

    /// Serves a definition as it is now, writes its status, and starts its clean-up when it is
    /// being deleted.
    async fn sync(&mut self, entry: &Entry) {
        // Of several changes in a batch only the last counts.
        let newest = self.registry.store().get(&entry.key);
        let Some(definition) = newest.and_then(|entry| self.decode(&entry)) else {
            return;
        };
        if self.serve(&definition) {
            self.install();
        }
        let name = object::name(&definition);
        if let Err(error) = self.write_status(&definition).await {
            tracing::warn!(
                error = chain(&error),
                definition = name,
                "cannot write the status of a definition"
            );
        }
        if cleanup::is_due(&definition) && self.known.begin_cleanup(&definition) {
            let cleanup = cleanup::run(self.registry.clone(), name.to_owned());
            self.tasks
                .spawn_until_stopped("custom resource cleanup", cleanup);
        }
    }

    /// A definition was deleted: so are its resources, and others may have its names.
    async fn remove(&mut self, entry: &Entry) {
        let Some(group) = self.known.remove(self.name_of(entry)) else {
            return;
        };
        self.install();
        for name in self.known.of_group(&group) {
            let key = self.resource.key("", &name);
            if let Some(entry) = self.registry.store().get(&key) {
                self.sync(&entry).await;
            }
        }
    }

    /// Checks a definition and makes its resources. True when what is served has changed.
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
                tracing::error!(
                    error = chain(&error),
                    definition = object::name(definition),
                    "a definition cannot be served"
                );
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
        CustomSet::install(self.registry.resources(), self.known.resources());
        self.served.send_replace(());
    }

    async fn write_status(&self, definition: &Value) -> Result<()> {
        if definition.get("status") == Some(&self.status(definition)) {
            return Ok(());
        }
        let change = |current: &mut Value| {
            let status = self.status(current);
            tree::set(current, "status", status);
        };
        let name = object::name(definition);
        update_definition(&self.registry, name, Scope::Status, change).await
    }
}

/// Changes a stored definition as the API server itself; one that was deleted meanwhile stays so.
async fn update_definition(
    registry: &Registry,
    name: &str,
    scope: Scope,
    edit: impl Fn(&mut Value) + Send + Sync,
) -> Result<()> {
    let (user, warnings) = (apiserver(), Warnings::default());
    let call = Call {
        user: &user,
        dry_run: false,
        admission: &NoAdmission,
        warnings: &warnings,
    };
    let update = Update {
        resource: registry.resource(GROUP, "v1", PLURAL)?,
        namespace: "",
        name,
        scope,
        create_missing: false,
    };
    let edited = |current: Option<&Value>| {
        let mut definition = current.cloned().unwrap_or_default();
        edit(&mut definition);
        Ok(definition)
    };
    match registry.update(&update, &call, edited).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
