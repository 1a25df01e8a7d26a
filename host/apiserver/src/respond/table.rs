//! `meta.k8s.io/v1` Table: what `kubectl get` prints.

use k3s_meta::{Path, Status, field, tree};
use k3s_registry::{Resource, Result};
use serde_json::{Value, json};

use super::partial;
use crate::context::Context;
use crate::request::Shape;

/// `includeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    /// What a table shows of objects; other answers have no use for the option.
    pub(crate) fn read(context: &Context) -> Result<Self> {
        if context.accept.shape != Shape::Table {
            return Ok(Self::Metadata);
        }
        match context.query.get("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::Nothing),
            Some("Object") => Ok(Self::Object),
            Some(other) => {
                let why = "must be 'Metadata', 'Object', 'None', or empty";
                let error = field::invalid(&Path::new("includeObject"), other, why);
                let text = format!("Unable to convert to Table as requested: {error}");
                Err(Status::bad_request(text).into())
            }
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
