//! Bringing the objects of one file into the cluster, and taking out what left the file.

use std::collections::BTreeSet;

use k3s_client::{
    Client, DeleteParams, Error as ApiError, ListParams, Obj, Patch, Resource, uid_is,
};
use k3s_meta::{object, patch, tree};
use serde_json::Value;
use tracing::{debug, info};

use crate::lookup::{Lookup, wait_established};
use crate::{Error, objectset, plan};

/// A conflict means that somebody else wrote in between; the patch is made anew from what they left.
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
        kept.insert(one(client, &mut lookup, addon, wanted).await?);
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

async fn one(
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
        .map_err(|error| of_object(&place, error))?;
    if place.0 == "customresourcedefinitions.apiextensions.k8s.io" {
        wait_established(client, &place.2).await?;
        lookup.forget();
    }
    Ok(place)
}

fn of_object((resource, namespace, name): &Place, error: Error) -> Error {
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
    let namespace = Some(object::namespace(wanted)).filter(|namespace| !namespace.is_empty());
    let mut last = None;
    for _ in 0..TRIES {
        let done = match client.get(resource, namespace, object::name(wanted)).await {
            Ok(live) => {
                let wanted = objectset::keep_choices(live.value(), wanted.clone());
                let Some(patch) = difference(resource, &live, &wanted)? else {
                    return Ok(());
                };
                client
                    .patch(resource, namespace, object::name(&wanted), &patch)
                    .await
            }
            Err(error) if error.is_not_found() => {
                match client.create(resource, namespace, wanted).await {
                    // Somebody was faster: with an address that is theirs now, that reads otherwise than a conflict.
                    Err(error)
                        if client
                            .get(resource, namespace, object::name(wanted))
                            .await
                            .is_ok() =>
                    {
                        last = Some(error);
                        continue;
                    }
                    done => done,
                }
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(_) => return Ok(()),
            Err(error) if error.is_conflict() || error.is_already_exists() => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last.map_or_else(|| Error::Parse("no try was made".to_owned()), Error::from))
}

/// The patch from the live object to the wanted one; `None` when there is nothing to change.
fn difference(resource: &Resource, live: &Obj, wanted: &Value) -> Result<Option<Patch>, Error> {
    let original = objectset::applied(live.value());
    let cannot = |error: patch::PatchError| Error::Parse(format!("cannot make a patch: {error}"));
    let built_in = k3s_api::by_kind(&resource.group, &resource.version, &resource.kind);
    let patch = match built_in {
        Some(kind) => {
            let patch =
                patch::three_way_strategic(&original, wanted, live.value(), kind.object_type());
            Patch::Strategic(patch.map_err(cannot)?)
        }
        None => {
            Patch::Merge(patch::three_way_json(&original, wanted, live.value()).map_err(cannot)?)
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
            // Where the kind is gone, so are its objects.
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
                    .map_err(|error| of_object(&place, error.into()))?;
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
