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
    resource.strategy.column_definitions()
}

/// One row.
pub(crate) fn row(
    context: &Context,
    resource: &Resource,
    object: &Value,
    include: Include,
) -> Value {
    let strategy = &resource.strategy;
    let cells = strategy.cells(object, context.registry().clock().now());
    let shown = match include {
        Include::Nothing => Value::Null,
        Include::Metadata => partial::of(object),
        Include::Object => object.clone(),
    };
    let mut row = json!({"cells": cells, "object": shown});
    let conditions = (strategy.rules().row_conditions)(object);
    if !conditions.is_empty() {
        tree::set(&mut row, "conditions", conditions);
    }
    row
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
