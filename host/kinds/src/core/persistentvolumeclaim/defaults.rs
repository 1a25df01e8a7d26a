//! Defaults of persistent volume claims.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::quantity;

/// A claim is pending until it is bound.
pub(crate) fn default(claim: &mut Value) {
    tree::set_zero(claim, "status.phase", "Pending");
    quantity::canonical_list(claim, "status.capacity");
    quantity::canonical_list(claim, "status.allocatedResources");
    if let Some(spec) = tree::get_mut(claim, "spec") {
        default_spec(spec);
    }
}

/// Defaults of a claim's spec, also of one in a template.
pub(crate) fn default_spec(spec: &mut Value) {
    tree::set_missing(spec, "volumeMode", "Filesystem");
    tree::set_missing(spec, "resources", json!({}));
    quantity::canonical_requirements(spec, "resources");
    data_source(spec);
}

/// `dataSource` and `dataSourceRef` mirror one another as long as neither names a namespace
/// (`NormalizeDataSources`).
fn data_source(spec: &mut Value) {
    let (source, reference) = (
        tree::get(spec, "dataSource").cloned(),
        tree::get(spec, "dataSourceRef").cloned(),
    );
    match (source, reference) {
        (Some(source), None) => tree::set(spec, "dataSourceRef", source),
        (None, Some(reference)) if !tree::has(&reference, "namespace") => {
            tree::set(spec, "dataSource", reference)
        }
        _ => {}
    }
}
