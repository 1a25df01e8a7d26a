//! Applies the objects of one file, and deletes from the cluster what has left the file.

use std::collections::BTreeSet;

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
const TRIES: usize = 5;
/// Where objects go that name no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// One object of a set, where it is.
type Place = (String, String, String);

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
    let mut kinds: BTreeSet<String> = plan::gvks(&objects);
    let mut kept: BTreeSet<Place> = BTreeSet::new();
    for wanted in plan::in_order(objects) {
        kept.insert(apply_one(client, &mut lookup, addon, wanted).await?);
    }
    kinds.extend(before.iter().cloned());
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
    prune(
        client,
        &mut Lookup::new(client),
        addon,
        kinds,
        &BTreeSet::new(),
    )
    .await
}

/// Applies one object as a member of the set, and says where it is.
async fn apply_one(
    client: &Client,
    lookup: &mut Lookup<'_>,
    addon: &str,
    mut wanted: Value,
) -> Result<Place, Error> {
    let resource = lookup
        .find(object::api_version(&wanted), object::kind(&wanted))
        .await?;
    if !resource.namespaced {
        tree::remove(&mut wanted, "metadata.namespace");
    } else if object::namespace(&wanted).is_empty() {
        tree::set(&mut wanted, "metadata.namespace", DEFAULT_NAMESPACE);
    }
    let wanted = objectset::marked(wanted, addon);
    let place = (
        resource.to_string(),
        object::namespace(&wanted).to_owned(),
        object::name(&wanted).to_owned(),
    );
    put(client, &resource, &wanted)
        .await
        .map_err(|error| about_object(&place, error))?;
    if place.0 == "customresourcedefinitions.apiextensions.k8s.io" {
        wait_established(client, &place.2).await?;
        lookup.forget();
    }
    Ok(place)
}

/// Names the object in an error of the API.
fn about_object((resource, namespace, name): &Place, error: Error) -> Error {
    match error {
        Error::Api(source) => {
            let slash = if namespace.is_empty() { "" } else { "/" };
            Error::Object {
                object: format!("{resource} {namespace}{slash}{name}"),
                source,
            }
        }
        other => other,
    }
}

/// Creates the object, or changes the live one where it differs.
async fn put(client: &Client, resource: &Resource, wanted: &Value) -> Result<(), Error> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        match try_put(client, resource, wanted).await {
            Err(Attempt::Conflict(_)) if tries_left > 0 => {}
            Err(Attempt::Conflict(error)) => return Err(error.into()),
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

/// Why one attempt to write an object did not succeed.
enum Attempt {
    /// Another client wrote in between.
    Conflict(ApiError),
    Failed(Error),
}

impl From<ApiError> for Attempt {
    fn from(error: ApiError) -> Self {
        if error.is_conflict() || error.is_already_exists() {
            Self::Conflict(error)
        } else {
            Self::Failed(error.into())
        }
    }
}

async fn try_put(client: &Client, resource: &Resource, wanted: &Value) -> Result<(), Attempt> {
    let namespace = Some(object::namespace(wanted)).filter(|namespace| !namespace.is_empty());
    let name = object::name(wanted);
    let live = match client.get(resource, namespace, name).await {
        Ok(live) => live,
        Err(error) if error.is_not_found() => {
            let Err(error) = client.create(resource, namespace, wanted).await else {
                return Ok(());
            };
            // A Service that another client created first has the address that this one asks for, which
            // is refused with another error than a conflict.
            return match client.get(resource, namespace, name).await {
                Ok(_) => Err(Attempt::Conflict(error)),
                Err(_) => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    let wanted = objectset::keep_choices(live.value(), wanted.clone());
    if let Some(patch) = difference(resource, &live, &wanted).map_err(Attempt::Failed)? {
        client.patch(resource, namespace, name, &patch).await?;
    }
    Ok(())
}

/// The patch from the live object to the wanted one; `None` when there is nothing to change.
fn difference(resource: &Resource, live: &Obj, wanted: &Value) -> Result<Option<Patch>, Error> {
    let original = objectset::applied(live.value());
    let built_in = k3s_api::by_kind(&resource.group, &resource.version, &resource.kind);
    let patch = match built_in {
        Some(kind) => {
            let patch =
                patch::three_way_strategic(&original, wanted, live.value(), kind.object_type());
            Patch::Strategic(patch.map_err(Error::Patch)?)
        }
        None => {
            let patch = patch::three_way_json(&original, wanted, live.value());
            Patch::Merge(patch.map_err(Error::Patch)?)
        }
    };
    let is_empty = match &patch {
        Patch::Strategic(body) | Patch::Merge(body) => {
            body.as_object().is_some_and(serde_json::Map::is_empty)
        }
        _ => false,
    };
    Ok((!is_empty).then_some(patch))
}

async fn prune(
    client: &Client,
    lookup: &mut Lookup<'_>,
    addon: &str,
    kinds: &BTreeSet<String>,
    kept: &BTreeSet<Place>,
) -> Result<(), Error> {
    let selector = format!("{}={}", objectset::HASH, objectset::hash(addon));
    let of_set = ListParams::default().labels(&selector);
    for (api_version, kind) in kinds.iter().filter_map(|gvk| plan::parse_gvk(gvk)) {
        let resource = match lookup.find(api_version, kind).await {
            Ok(resource) => resource,
            // A kind that is no longer served has no objects.
            Err(Error::UnknownKind { .. }) => continue,
            Err(error) => return Err(error),
        };
        for found in client
            .list_all_metadata(&resource, None, &of_set)
            .await?
            .items
        {
            let place = (
                resource.to_string(),
                found.namespace().to_owned(),
                found.name().to_owned(),
            );
            if !kept.contains(&place) {
                delete(client, &resource, &found)
                    .await
                    .map_err(|error| about_object(&place, error.into()))?;
            }
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
    match client
        .delete(resource, found.ns(), found.name(), &params)
        .await
    {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => {
            info!(%resource, object = %found.key(), "deleted what is no longer in its manifest");
            Ok(())
        }
    }
}
