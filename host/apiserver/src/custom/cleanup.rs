//! Deleting the objects of a definition that is being deleted, then letting the definition go.
//! Upstream: `apiextensions-apiserver/pkg/controller/finalizer/crd_finalizer.go`.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_meta::{Status, object};
use k3s_registry::{
    Call, DeleteOptions, NoAdmission, Registry, Resource, Scope, Update, Warnings, custom,
};
use serde_json::{Value, json};

use super::{GROUP, PLURAL, apiserver};
use crate::Result;

const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Between tries, when the store cannot be written.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};

/// Whether a definition waits for its objects to go.
pub(super) fn is_due(definition: &Value) -> bool {
    object::deletion_timestamp(definition).is_some()
        && object::finalizers(definition)
            .iter()
            .any(|f| f == FINALIZER)
}

/// Works until the definition is gone, or no longer waits.
pub(super) async fn run(registry: Registry, name: String) {
    let mut backoff = RETRY.start();
    while let Err(error) = once(&registry, &name).await {
        tracing::warn!(%error, definition = name, "cannot delete the objects of a definition yet");
        tokio::time::sleep(backoff.next_delay(registry.random())).await;
    }
}

async fn once(registry: &Registry, name: &str) -> Result<()> {
    let definitions = registry.resource(GROUP, "v1", PLURAL)?.clone();
    let definition = match registry.get(&definitions, "", name) {
        Ok(definition) => definition.to_value()?,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_due(&definition) {
        return Ok(());
    }
    let text = "CustomResource deletion is in progress";
    set_condition(
        registry,
        &definitions,
        name,
        Scope::Status,
        ("True", "InstanceDeletionInProgress", text),
    )
    .await?;
    if let Some(resource) = stored(&definition)? {
        empty(registry, &resource).await?;
    }
    let text = "removed all instances";
    set_condition(
        registry,
        &definitions,
        name,
        Scope::Status,
        ("False", "InstanceDeletionCompleted", text),
    )
    .await?;
    release(registry, &definitions, name).await
}

/// The resource in its stored version, whether that is served or not. `None` where no object can be.
fn stored(definition: &Value) -> Result<Option<Arc<Resource>>> {
    let names = object::at(definition, &["status", "acceptedNames"])
        .cloned()
        .unwrap_or_default();
    let versions = object::at_list(definition, &["spec", "versions"]);
    let storage = versions
        .iter()
        .find(|version| object::at_bool(version, &["storage"]));
    if object::at_str(&names, &["plural"]).is_empty() {
        // It never had a name under which an object could have been made.
        return Ok(None);
    }
    let Some(version) = storage else {
        return Ok(None);
    };
    let made = custom::resource(definition, &names, version, u64::MAX);
    made.map(Some)
        .map_err(|error| Status::internal(&error.to_string()).into())
}

/// Deletes every object and waits until the last one is gone; what has finalizers takes its time.
async fn empty(registry: &Registry, resource: &Arc<Resource>) -> Result<()> {
    let (user, warnings) = (apiserver(), Warnings::default());
    let call = Call {
        user: &user,
        dry_run: false,
        admission: &NoAdmission,
        warnings: &warnings,
    };
    loop {
        let snapshot = registry.store().snapshot();
        // From before the first deletion on, so that none is missed.
        let mut watcher = registry
            .store()
            .watch(&resource.prefix, snapshot.revision())?;
        for entry in snapshot.range(&resource.prefix, None) {
            let (namespace, name) = resource.name_in_key(&entry.key);
            match registry
                .delete(resource, namespace, name, &DeleteOptions::default(), &call)
                .await
            {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        while registry.store().count(&resource.prefix) > 0 {
            if watcher.next_batch().await.is_err() {
                break;
            }
        }
        if registry.store().count(&resource.prefix) == 0 {
            return Ok(());
        }
    }
}

async fn set_condition(
    registry: &Registry,
    definitions: &Arc<Resource>,
    name: &str,
    scope: Scope,
    (status, reason, message): (&str, &str, &str),
) -> Result<()> {
    let now = k3s_base::clock::rfc3339(registry.clock().now());
    change(registry, definitions, name, scope, |definition| {
        let mut conditions = object::at_list(definition, &["status", "conditions"]).to_vec();
        conditions.retain(|condition| object::at_str(condition, &["type"]) != "Terminating");
        conditions.push(
            json!({"type": "Terminating", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": now}),
        );
        object::set(definition, &["status", "conditions"], conditions.into());
    })
    .await
}

async fn release(registry: &Registry, definitions: &Arc<Resource>, name: &str) -> Result<()> {
    change(registry, definitions, name, Scope::Main, |definition| {
        let finalizers = object::finalizers(definition);
        let kept: Vec<Value> = finalizers
            .into_iter()
            .filter(|f| f != FINALIZER)
            .map(Value::from)
            .collect();
        object::set(definition, &["metadata", "finalizers"], kept.into());
    })
    .await
}

async fn change(
    registry: &Registry,
    definitions: &Arc<Resource>,
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
        resource: definitions,
        namespace: "",
        name,
        scope,
        create_missing: false,
    };
    let make = |current: Option<&Value>| {
        let mut definition = current.cloned().unwrap_or_default();
        edit(&mut definition);
        Ok(definition)
    };
    match registry.update(&update, &call, make).await {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
