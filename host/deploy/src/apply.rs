//! Applies the objects of one file, and deletes those that are no longer in it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use k3s_base::BackoffPolicy;
use k3s_client::{
    Client, DeleteParams, Error as ApiError, ListParams, Obj, Patch, Resource, uid_is,
};
use k3s_meta::{object, patch, tree};
use serde_json::Value;
use tracing::{debug, info};

use crate::error::Error;
use crate::lookup::{Lookup, wait_established};
use crate::{objectset, plan};

/// A conflict means that another client wrote in between; the next patch starts from what it wrote.
const RETRIES: u32 = 5;
/// Between the attempts.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(10),
    factor: 2.0,
    cap: Duration::from_secs(1),
    jitter: 0.0,
};
/// The namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// The identity of an object of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ObjectRef {
    /// `deployments.apps`
    resource: String,
    /// Empty for objects of the cluster.
    namespace: String,
    name: String,
}

impl ObjectRef {
    /// Whether it defines another kind.
    fn is_definition(&self) -> bool {
        self.resource == "customresourcedefinitions.apiextensions.k8s.io"
    }
}

impl fmt::Display for ObjectRef {
    /// `deployments.apps kube-system/coredns`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        write!(
            f,
            "{} {}{slash}{}",
            self.resource, self.namespace, self.name
        )
    }
}

/// Applies all objects, then deletes those of the set that are not among them. `before` are the kinds
/// that were applied last time.
///
/// # Errors
/// On the first object that cannot be applied; what came before it stays, and nothing is deleted.
pub(crate) async fn apply(
    client: &Client,
    addon: &str,
    objects: Vec<Value>,
    before: &[String],
) -> Result<(), Error> {
    let mut lookup = Lookup::new(client);
    let mut kinds = plan::gvks(&objects);
    let mut kept = BTreeSet::new();
    for wanted in plan::in_order(objects) {
        let applied = apply_one(client, &mut lookup, addon, wanted).await?;
        kept.insert(applied);
    }
    let kinds_before = before.iter().cloned();
    kinds.extend(kinds_before);
    prune(client, &mut lookup, addon, &kinds, &kept).await
}

/// Deletes every object of the set.
///
/// # Errors
/// When the API refuses.
pub(crate) async fn remove(
    client: &Client,
    addon: &str,
    kinds: &BTreeSet<String>,
) -> Result<(), Error> {
    let mut lookup = Lookup::new(client);
    prune(client, &mut lookup, addon, kinds, &BTreeSet::new()).await
}

/// Applies one object as a member of the set.
async fn apply_one(
    client: &Client,
    lookup: &mut Lookup<'_>,
    addon: &str,
    mut wanted: Value,
) -> Result<ObjectRef, Error> {
    let api_version = object::api_version(&wanted);
    let kind = object::kind(&wanted);
    let resource = lookup.find(api_version, kind).await?;
    place(&mut wanted, &resource);
    let wanted = objectset::marked(wanted, addon);
    let applied = ObjectRef {
        resource: resource.to_string(),
        namespace: object::namespace(&wanted).to_owned(),
        name: object::name(&wanted).to_owned(),
    };
    let written = put(client, &resource, &wanted).await;
    written.map_err(|error| about_object(&applied, error))?;
    if applied.is_definition() {
        wait_established(client, &applied.name).await?;
        lookup.forget();
    }
    Ok(applied)
}

/// Gives an object the namespace that it lacks, or takes away one that its kind does not have.
fn place(object: &mut Value, resource: &Resource) {
    const FIELD: &str = "metadata.namespace";
    if !resource.namespaced {
        tree::remove(object, FIELD);
        return;
    }
    if object::namespace(object).is_empty() {
        tree::set(object, FIELD, DEFAULT_NAMESPACE);
    }
}

/// Names the object in an error of the API.
fn about_object(object: &ObjectRef, error: Error) -> Error {
    match error {
        Error::Api(source) => Error::Object {
            object: object.to_string(),
            source,
        },
        other => other,
    }
}

/// Creates the object, or changes the live one where it differs.
async fn put(client: &Client, resource: &Resource, wanted: &Value) -> Result<(), Error> {
    let mut attempt = 0;
    loop {
        let Err(error) = put_once(client, resource, wanted).await else {
            return Ok(());
        };
        match error {
            AttemptError::Conflict(_) if attempt < RETRIES => {}
            AttemptError::Conflict(error) => return Err(error.into()),
            AttemptError::Failed(error) => return Err(error),
        }
        // The other write may take a moment until it shows.
        tokio::time::sleep(RETRY.delay(attempt)).await;
        attempt += 1;
    }
}

/// Why one attempt to write an object did not succeed.
enum AttemptError {
    /// Another client wrote in between.
    Conflict(ApiError),
    Failed(Error),
}

impl From<ApiError> for AttemptError {
    fn from(error: ApiError) -> Self {
        if error.is_conflict() || error.is_already_exists() {
            Self::Conflict(error)
        } else {
            Self::Failed(error.into())
        }
    }
}

async fn put_once(
    client: &Client,
    resource: &Resource,
    wanted: &Value,
) -> Result<(), AttemptError> {
    let namespace = namespace_of(wanted);
    let name = object::name(wanted);
    let live = match client.get(resource, namespace, name).await {
        Ok(live) => live,
        Err(error) if error.is_not_found() => {
            return create(client, resource, wanted).await;
        }
        Err(error) => return Err(error.into()),
    };
    let wanted = objectset::keep_choices(live.value(), wanted.clone());
    let patch = difference(resource, &live, &wanted);
    let patch = patch.map_err(AttemptError::Failed)?;
    if let Some(patch) = patch {
        client.patch(resource, namespace, name, &patch).await?;
    }
    Ok(())
}

fn namespace_of(object: &Value) -> Option<&str> {
    let namespace = object::namespace(object);
    if namespace.is_empty() {
        return None;
    }
    Some(namespace)
}

async fn create(client: &Client, resource: &Resource, wanted: &Value) -> Result<(), AttemptError> {
    let namespace = namespace_of(wanted);
    client.create(resource, namespace, wanted).await?;
    Ok(())
}

/// The patch from the live object to the wanted one; `None` when there is nothing to change.
fn difference(resource: &Resource, live: &Obj, wanted: &Value) -> Result<Option<Patch>, Error> {
    let original = objectset::applied(live.value());
    let built_in = k3s_api::by_kind(&resource.group, &resource.version, &resource.kind);
    let live = live.value();
    let body = match built_in {
        Some(kind) => patch::three_way_strategic(&original, wanted, live, kind.object_type()),
        None => patch::three_way_json(&original, wanted, live),
    };
    let body = body.map_err(Error::Patch)?;
    let is_empty = body.as_object().is_some_and(serde_json::Map::is_empty);
    if is_empty {
        return Ok(None);
    }
    let patch = if built_in.is_some() {
        Patch::Strategic(body)
    } else {
        Patch::Merge(body)
    };
    Ok(Some(patch))
}

/// Deletes the objects of the set, of these kinds, that are not in `kept`.
async fn prune(
    client: &Client,
    lookup: &mut Lookup<'_>,
    addon: &str,
    kinds: &BTreeSet<String>,
    kept: &BTreeSet<ObjectRef>,
) -> Result<(), Error> {
    let hash = objectset::hash(addon);
    let selector = format!("{}={hash}", objectset::HASH);
    let of_set = ListParams::default().labels(&selector);
    for gvk in kinds {
        let Some((api_version, kind)) = plan::parse_gvk(gvk) else {
            continue;
        };
        let resource = match lookup.find(api_version, kind).await {
            Ok(resource) => resource,
            // A kind that is no longer served has no objects.
            Err(Error::UnknownKind { .. }) => continue,
            Err(error) => return Err(error),
        };
        let list = client.list_all_metadata(&resource, None, &of_set).await?;
        for found in list.items {
            let object = ObjectRef {
                resource: resource.to_string(),
                namespace: found.namespace().to_owned(),
                name: found.name().to_owned(),
            };
            if kept.contains(&object) {
                continue;
            }
            let deleted = delete(client, &resource, &found).await;
            deleted.map_err(|error| about_object(&object, error.into()))?;
        }
    }
    Ok(())
}

async fn delete(client: &Client, resource: &Resource, found: &Obj) -> Result<(), ApiError> {
    if found.is_deleting() {
        debug!(%resource, object = %found.key(), "is being deleted already");
        return Ok(());
    }
    let params = DeleteParams::background().preconditions(uid_is(found.uid()));
    let deleted = client
        .delete(resource, found.ns(), found.name(), &params)
        .await;
    match deleted {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => {
            info!(%resource, object = %found.key(), "deleted what is no longer in its manifest");
            Ok(())
        }
    }
}
