//! One object as an answer.

use http::{Response, StatusCode};
use k3s_registry::{Object, Result};
use k3s_serve::Body;
use serde_json::Value;

use super::{JSON, bytes, partial, table, tree};
use crate::context::Context;
use crate::request::{Form, Shape};

/// The object in the shape and form the client takes. Stored bytes go out as they are, with the
/// version put in.
pub(crate) fn response(
    context: &Context,
    code: StatusCode,
    object: &Object,
) -> Result<Response<Body>> {
    match context.accept.shape {
        Shape::Table => {
            let value = object.to_value()?;
            let table = table::of_object(context, object.resource(), &value)?;
            tree(context, code, &table)
        }
        Shape::Partial => tree(context, code, &partial::of(&object.to_value()?)),
        Shape::Whole | Shape::Discovery
            if context.accept.form == Form::Json && !context.pretty() =>
        {
            let mut json = Vec::new();
            object.write_json(&mut json)?;
            json.push(b'\n');
            Ok(bytes(code, JSON, json))
        }
        Shape::Whole | Shape::Discovery => tree(context, code, &object.to_value()?),
    }
}

/// A tree that is no stored object, such as a Scale or a review; it has no table form.
pub(crate) fn virtual_object(
    context: &Context,
    code: StatusCode,
    value: &Value,
) -> Result<Response<Body>> {
    match context.accept.shape {
        Shape::Partial => tree(context, code, &partial::of(value)),
        _ => tree(context, code, value),
    }
}
