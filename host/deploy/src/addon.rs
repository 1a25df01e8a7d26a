//! AddOn objects: the server's record of each file, and the subject of its events.

use k3s_client::{Client, Error as ApiError, Obj, Object, Patch, Resource};
use k3s_meta::{object, tree};
use serde_json::{Value, json};

use crate::lookup::wait_established;

/// Where all AddOns live.
pub(crate) const NAMESPACE: &str = "kube-system";
/// As owner marks name the kind.
pub(crate) const GVK: &str = "k3s.cattle.io/v1, Kind=Addon";
/// The kinds of the objects that were applied, so that what left the file is found again.
const GVKS: &str = "addon.k3s.cattle.io/gvks";

pub(crate) const ADDONS: Resource = Resource::new("k3s.cattle.io", "v1", "addons", "Addon", true);
const DEFINITIONS: Resource = k3s_client::resources::CUSTOM_RESOURCE_DEFINITIONS;

/// K3s' definition of the kind.
fn definition() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "addons.k3s.cattle.io"},
        "spec": {
            "group": "k3s.cattle.io",
            "names": {
                "kind": "Addon",
                "listKind": "AddonList",
                "plural": "addons",
                "singular": "addon",
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "additionalPrinterColumns": [
                    {"name": "Source", "type": "string", "jsonPath": ".spec.source"},
                    {"name": "Checksum", "type": "string", "jsonPath": ".spec.checksum"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "Addon is used to track application of a manifest file on disk.",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "description": "Spec provides information about the on-disk manifest backing this resource.",
                            "properties": {
                                "source": text("Source is the Path on disk to the manifest file that this Addon tracks."),
                                "checksum": text("Checksum is the SHA256 checksum of the most recently successfully applied manifest file."),
                            },
                        },
                    },
                }},
            }],
        },
    })
}

/// Ensures that the kind is served. An existing definition, such as K3s' own, is left alone.
pub(crate) async fn define(client: &Client) -> Result<(), ApiError> {
    match client.create(&DEFINITIONS, None, &definition()).await {
        Err(error) if !error.is_already_exists() => return Err(error),
        _ => {}
    }
    wait_established(client, "addons.k3s.cattle.io").await
}

/// The AddOn of a name; it is created if it is missing.
pub(crate) async fn ensure(client: &Client, name: &str, source: &str) -> Result<Object, ApiError> {
    match client.get(&ADDONS, Some(NAMESPACE), name).await {
        Err(error) if error.is_not_found() => {}
        found => return found,
    }
    let addon = json!({
        "apiVersion": "k3s.cattle.io/v1",
        "kind": "Addon",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
        },
        "spec": {
            "source": source,
            "checksum": "",
        },
    });
    client.create(&ADDONS, Some(NAMESPACE), &addon).await
}

/// The AddOn of a name, if there is one.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<Object>, ApiError> {
    match client.get(&ADDONS, Some(NAMESPACE), name).await {
        Ok(addon) => Ok(Some(addon)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The kinds that were applied last.
pub(crate) fn gvks(addon: &Obj) -> Vec<String> {
    let text = object::annotation(addon.value(), GVKS).unwrap_or_default();
    text.split(';')
        .filter(|gvk| !gvk.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Records what was applied of a file, where it differs.
pub(crate) async fn record_applied(
    client: &Client,
    addon: &Obj,
    source: &str,
    checksum: &str,
    gvks: &str,
) -> Result<(), ApiError> {
    let spec = tree::get(addon.value(), "spec");
    let is_same = |key: &str, want: &str| {
        let present = spec.map(|spec| tree::text(spec, key));
        present == Some(want)
    };
    let gvks_before = addon.annotation(GVKS).unwrap_or_default();
    if is_same("source", source) && is_same("checksum", checksum) && gvks_before == gvks {
        return Ok(());
    }
    let patch = Patch::Merge(json!({
        "metadata": {
            "annotations": {GVKS: gvks},
        },
        "spec": {
            "source": source,
            "checksum": checksum,
        },
    }));
    client
        .patch(&ADDONS, Some(NAMESPACE), addon.name(), &patch)
        .await?;
    Ok(())
}
