//! `meta.k8s.io/v1` Table: what `kubectl get` prints.

use k3s_meta::{Status, tree};
use k3s_registry::{Resource, Result};
use serde_json::{Value, json};

use super::partial;
use crate::context::Context;

/// `includeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    pub(crate) fn read(context: &Context) -> Result<Self> {
        match context.query.get("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::Nothing),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "unrecognized includeObject value: {other:?}"
            ))
            .into()),
        }
    }
}

/// The column definitions of a kind.
pub(crate) fn columns(resource: &Resource) -> Value {
    resource.rules.column_definitions()
}

/// One row.
pub(crate) fn row(
    context: &Context,
    resource: &Resource,
    object: &Value,
    include: Include,
) -> Value {
    let cells = resource
        .rules
        .cells(object, context.registry().clock().now());
    match include {
        Include::Nothing => json!({"cells": cells, "object": null}),
        Include::Metadata => json!({"cells": cells, "object": partial::of(object)}),
        Include::Object => json!({"cells": cells, "object": object}),
    }
}

/// A table of one object.
pub(crate) fn of_object(context: &Context, resource: &Resource, object: &Value) -> Result<Value> {
    let include = Include::read(context)?;
    let version = tree::text(object, "metadata.resourceVersion");
    Ok(json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": columns(resource),
        "rows": [row(context, resource, object, include)],
    }))
}
