//! Deletes the objects of a definition that is being deleted, then removes its finalizer.
//! Upstream: `apiextensions-apiserver/pkg/controller/finalizer/crd_finalizer.go`.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_base::error::chain;
use k3s_meta::{Status, object, tree};
use k3s_registry::mirror::{Reflector, Update};
use k3s_registry::{Call, DeleteOptions, NoAdmission, Registry, Resource, Result, Scope, Warnings};
use k3s_resources::apiextensions;
use k3s_store::Entry;
use serde_json::{Value, json};

use super::{GROUP, PLURAL, apiserver, update_definition};

const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Between attempts, while the store cannot be written.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};

/// Whether a definition waits until its objects are deleted.
pub(super) fn is_due(definition: &Value) -> bool {
    object::deletion_timestamp(definition).is_some()
        && object::finalizers(definition)
            .iter()
            .any(|f| f == FINALIZER)
}

/// Tries until the definition is deleted, or no longer waits.
pub(super) async fn run(registry: Registry, name: String) {
    let mut backoff = RETRY.start();
    while let Err(error) = clean_up(&registry, &name).await {
        tracing::warn!(
            error = chain(&error),
            definition = name,
            "cannot delete the objects of a definition yet"
        );
        tokio::time::sleep(backoff.next_delay(registry.random())).await;
    }
}

async fn clean_up(registry: &Registry, name: &str) -> Result<()> {
    let definitions = registry.resource(GROUP, "v1", PLURAL)?;
    let definition = match registry.get(definitions, "", name) {
        Ok(definition) => definition.to_value()?,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_due(&definition) {
        return Ok(());
    }
    set_terminating(registry, name, &IN_PROGRESS).await?;
    if let Some(resource) = stored_resource(&definition)? {
        delete_all(registry, &resource).await?;
    }
    set_terminating(registry, name, &COMPLETED).await?;
    remove_finalizer(registry, name).await
}

/// The resource in its stored version, whether that is served or not. `None` where no object can be.
fn stored_resource(definition: &Value) -> Result<Option<Arc<Resource>>> {
    let names = tree::get(definition, "status.acceptedNames")
        .cloned()
        .unwrap_or_default();
    let versions = tree::list(definition, "spec.versions");
    let storage = versions
        .iter()
        .find(|version| tree::flag(version, "storage"));
    if tree::text(&names, "plural").is_empty() {
        // It never had a name under which an object could have been created.
        return Ok(None);
    }
    let Some(version) = storage else {
        return Ok(None);
    };
    let made = apiextensions::resource(definition, &names, version, u64::MAX);
    made.map(Some)
        .map_err(|error| Status::internal(&error.to_string()).into())
}

/// Deletes every object and waits until none is left, which takes as long as finalizers do.
async fn delete_all(registry: &Registry, resource: &Arc<Resource>) -> Result<()> {
    // From before the first deletion on, so that none is missed.
    let (mut entries, mut reflector) = Reflector::start(registry, resource)?;
    loop {
        for entry in &entries {
            delete(registry, resource, entry).await?;
        }
        entries = loop {
            if registry.store().count(&resource.prefix) == 0 {
                return Ok(());
            }
            match reflector.next().await {
                Some(Update::Changed(_)) => {}
                // Some may have been created since: they are deleted like the first.
                Some(Update::Replaced(present)) => break present,
                None => {
                    return Err(Status::service_unavailable("the server is shutting down").into());
                }
            }
        };
    }
}

async fn delete(registry: &Registry, resource: &Arc<Resource>, entry: &Entry) -> Result<()> {
    let (user, warnings) = (apiserver(), Warnings::default());
    let call = Call {
        user: &user,
        dry_run: false,
        admission: &NoAdmission,
        warnings: &warnings,
    };
    let (namespace, name) = resource.name_in_key(&entry.key);
    let options = DeleteOptions::default();
    match registry
        .delete(resource, namespace, name, &options, &call)
        .await
    {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// A state of the condition `Terminating`.
struct Terminating {
    status: &'static str,
    reason: &'static str,
    message: &'static str,
}

const IN_PROGRESS: Terminating = Terminating {
    status: "True",
    reason: "InstanceDeletionInProgress",
    message: "CustomResource deletion is in progress",
};
const COMPLETED: Terminating = Terminating {
    status: "False",
    reason: "InstanceDeletionCompleted",
    message: "removed all instances",
};

async fn set_terminating(registry: &Registry, name: &str, state: &Terminating) -> Result<()> {
    let now = k3s_base::clock::rfc3339(registry.clock().now());
    let edit = |definition: &mut Value| {
        let mut conditions = tree::list(definition, "status.conditions").to_vec();
        conditions.retain(|condition| tree::text(condition, "type") != "Terminating");
        conditions.push(json!({
            "type": "Terminating",
            "status": state.status,
            "reason": state.reason,
            "message": state.message,
            "lastTransitionTime": now,
        }));
        tree::set(definition, "status.conditions", conditions);
    };
    update_definition(registry, name, Scope::Status, edit).await
}

async fn remove_finalizer(registry: &Registry, name: &str) -> Result<()> {
    let edit = |definition: &mut Value| {
        let mut finalizers = object::finalizers(definition);
        finalizers.retain(|finalizer| finalizer != FINALIZER);
        tree::set(definition, "metadata.finalizers", finalizers);
    };
    update_definition(registry, name, Scope::Main, edit).await
}
