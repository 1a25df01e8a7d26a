//! PATCH of an object: JSON patch, merge patch and strategic merge patch.
//!
//! Server-side apply will be one more way to make the new object from the current one, in
//! [`apply`]; until it exists it is refused.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use k3s_api::fields;
use k3s_meta::{PatchError, Status, object, patch};
use k3s_registry::{Error, Resource, Result, Scope, Update};
use k3s_serve::Body;
use serde_json::Value;

use super::namespace;
use crate::context::Context;
use crate::request::options::{PATCH_OPTIONS, WriteOptions};
use crate::request::{body, yaml};
use crate::respond;

/// Operations in one JSON patch; each may copy the object.
const MAX_OPERATIONS: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PatchType {
    Json,
    Merge,
    Strategic,
}

pub(super) async fn handle(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    patch_with(context, resource, request, Scope::Main).await
}

/// Patches the part of the object that `scope` reaches.
pub(crate) async fn patch_with(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
    scope: Scope,
) -> Result<Response<Body>> {
    let kind = patch_type(context)?;
    if kind == PatchType::Strategic && resource.dynamic.is_some() {
        // There are no types that could say how lists merge.
        return Err(unknown_format(
            "application/json-patch+json, application/merge-patch+json",
        ));
    }
    let options = WriteOptions::read(&context.query, PATCH_OPTIONS)?;
    let bytes = body::read(request.into_body()).await?;
    let change = parse(kind, &bytes).await?;
    let update = Update {
        resource,
        namespace: namespace(context, resource),
        name: &context.info.name,
        scope,
        create_missing: false,
    };
    let call = context.call(options.dry_run);
    let make = |current: Option<&Value>| {
        let mut object = current.cloned().unwrap_or_default();
        apply(kind, &mut object, &change, resource)?;
        check_identity(current, &object)?;
        body::check_type(&mut object, resource)?;
        body::check_fields(
            &mut object,
            resource,
            options.validation,
            Vec::new(),
            &context.warnings,
        )?;
        context.check_grants(resource, &object, current)?;
        Ok(object)
    };
    let updated = context.registry().update(&update, &call, make).await?;
    respond::object::response(context, StatusCode::OK, &updated.object)
}

/// Patches a tree that is no stored object, such as a Scale.
pub(crate) async fn patch_tree(
    context: &Context,
    request: Request<Body>,
) -> Result<impl Fn(&mut Value) -> Result<()> + use<>> {
    let kind = patch_type(context)?;
    if kind == PatchType::Strategic {
        // A Scale has no lists, so that both merges are the same.
        let bytes = body::read(request.into_body()).await?;
        let change = parse(PatchType::Merge, &bytes).await?;
        return Ok(merger(PatchType::Merge, change));
    }
    let change = parse(kind, &body::read(request.into_body()).await?).await?;
    Ok(merger(kind, change))
}

fn merger(kind: PatchType, change: Value) -> impl Fn(&mut Value) -> Result<()> {
    move |tree| match kind {
        PatchType::Json => patch::json_patch(tree, &change).map_err(|error| refused(&error)),
        _ => patch::merge_patch(tree, &change).map_err(|error| refused(&error)),
    }
}

fn patch_type(context: &Context) -> Result<PatchType> {
    match body::content_type(&context.headers).as_str() {
        "application/json-patch+json" => Ok(PatchType::Json),
        "application/merge-patch+json" => Ok(PatchType::Merge),
        "application/strategic-merge-patch+json" => Ok(PatchType::Strategic),
        "application/apply-patch+yaml" | "application/apply-patch+cbor" => Err(Status::unsupported_media_type(
            "server-side apply is not supported by this server yet; use client-side apply (kubectl apply --server-side=false) or another patch type",
        )
        .into()),
        _ => Err(Status::no_consumer().into()),
    }
}

fn unknown_format(accepted: &str) -> Error {
    let text = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    Status::unsupported_media_type(text).into()
}

async fn parse(kind: PatchType, bytes: &Bytes) -> Result<Value> {
    let parsed = match fields::parse(bytes) {
        Ok(parsed) => parsed.value,
        // kubectl sends patches as it was given them.
        Err(error) => yaml::read(bytes.clone())
            .await
            .map_err(|_| Status::bad_request(format!("error decoding patch: {error}")))?,
    };
    match (kind, &parsed) {
        (PatchType::Json, Value::Array(operations)) if operations.len() > MAX_OPERATIONS => {
            Err(Status::too_large(&format!(
                "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                operations.len()
            ))
            .into())
        }
        (PatchType::Json, Value::Array(_))
        | (PatchType::Merge | PatchType::Strategic, Value::Object(_)) => Ok(parsed),
        (PatchType::Json, other) => Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
            go_kind(other)
        ))
        .into()),
        _ => Err(Status::bad_request("error decoding patch: a merge patch is an object").into()),
    }
}

/// The type of a value as Go's decoder names it.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Makes the new object from the current one.
fn apply(kind: PatchType, object: &mut Value, change: &Value, resource: &Resource) -> Result<()> {
    match kind {
        PatchType::Json => patch::json_patch(object, change).map_err(|error| refused(&error)),
        PatchType::Merge => patch::merge_patch(object, change).map_err(|error| refused(&error)),
        PatchType::Strategic => patch::strategic_merge(object, change, resource.kind.object_type())
            .map_err(|error| refused(&error)),
    }
}

fn refused(error: &PatchError) -> Error {
    error.to_status().into()
}

/// A patch cannot rename or move an object.
fn check_identity(current: Option<&Value>, object: &Value) -> Result<()> {
    let Some(current) = current else {
        return Ok(());
    };
    let (was, is) = (object::name(current), object::name(object));
    if was != is {
        let text =
            format!("the name of the object ({is}) does not match the name on the URL ({was})");
        return Err(Status::bad_request(text).into());
    }
    Ok(())
}
