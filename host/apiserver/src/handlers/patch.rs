//! PATCH of an object: JSON patch, merge patch and strategic merge patch.
//!
//! Server-side apply will be one more way to make the new object from the current one; until it exists it is
//! refused.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_api::fields::{self, Complaints};
use k3s_meta::json_syntax::{self, type_name};
use k3s_meta::{GroupKind, PatchError, Path, Status, field, patch};
use k3s_registry::{Error, Resource, Result, Scope, Update, check_namespace};
use k3s_serve::Body;
use serde_json::{Map, Value};

use super::{check_name, namespace};
use crate::context::Context;
use crate::request::options::{PATCH_OPTIONS, WriteOptions};
use crate::request::{body, typing};
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
    // That there is no such object is told before what is wrong with the patch.
    let change = Change::parse(kind, &bytes);
    let update = Update {
        resource,
        namespace: namespace(context, resource),
        name: &context.info.name,
        scope,
        create_missing: false,
    };
    let call = context.call(options.dry_run);
    let make = |current: Option<&Value>| {
        let current =
            current.ok_or_else(|| Status::not_found(&resource.stored_gr(), update.name))?;
        let change = change.as_ref().map_err(Error::clone)?;
        let mut object = change.made_of(current, resource)?;
        let found = change.decode(&mut object, current, resource)?;
        body::complain(found, options.validation, &context.warnings, |found| {
            let why = format!("strict decoding error: {}", found.join(", "));
            change.invalid(current, resource, &why)
        })?;
        check_namespace(resource, update.namespace, &mut object)?;
        check_name(update.name, &object)?;
        context.check_grants(resource, &object, Some(current))?;
        Ok(object)
    };
    let updated = context.registry().patch(&update, &call, make).await?;
    respond::object::response(context, StatusCode::OK, &updated.object)
}

/// Patches a tree that is no stored object, such as a Scale.
pub(crate) async fn patch_tree(
    context: &Context,
    request: Request<Body>,
) -> Result<impl Fn(&mut Value) -> Result<()> + use<>> {
    let kind = patch_type(context)?;
    let change = Change::parse(kind, &body::read(request.into_body()).await?);
    Ok(move |tree: &mut Value| {
        let change = change.as_ref().map_err(Error::clone)?;
        let patched = match kind {
            PatchType::Json => patch::json_patch(tree, &change.tree),
            // A Scale has no lists, so that both merges are the same.
            PatchType::Merge | PatchType::Strategic => patch::merge_patch(tree, &change.tree),
        };
        patched.map_err(|error| refused(&error))
    })
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

/// A patch as it came.
struct Change {
    kind: PatchType,
    tree: Value,
    /// What the patch itself has twice or does not know.
    complaints: Vec<String>,
}

impl Change {
    /// Reads a patch.
    ///
    /// # Errors
    /// 400 for one of another form than its type has, 413 for too many operations.
    fn parse(kind: PatchType, bytes: &[u8]) -> Result<Self> {
        let prefix = match kind {
            PatchType::Json | PatchType::Merge => "error decoding patch: ",
            PatchType::Strategic => "",
        };
        let malformed = |why: &str| Error::from(Status::bad_request(format!("{prefix}{why}")));
        let parsed = fields::parse(bytes).map_err(|error| {
            let mistake = json_syntax::mistake(bytes);
            malformed(&mistake.unwrap_or_else(|| error.to_string()))
        })?;
        let (mut tree, mut complaints) = (parsed.value, parsed.duplicates);
        // Go decodes null into nothing.
        if tree.is_null() {
            tree = match kind {
                PatchType::Json => Value::Array(Vec::new()),
                PatchType::Merge | PatchType::Strategic => Value::Object(Map::new()),
            };
        }
        let wanted = match kind {
            PatchType::Json => "[]handlers.jsonPatchOp",
            PatchType::Merge | PatchType::Strategic => "map[string]interface {}",
        };
        match (kind, &tree) {
            (PatchType::Json, Value::Array(operations)) => {
                complaints.extend(check_operations(operations)?);
                for text in &mut complaints {
                    text.insert_str(0, "json patch ");
                }
            }
            (PatchType::Merge | PatchType::Strategic, Value::Object(_)) => {}
            (_, other) => {
                let found = type_name(other);
                let why = format!("json: cannot unmarshal {found} into Go value of type {wanted}");
                return Err(malformed(&why));
            }
        }
        Ok(Self {
            kind,
            tree,
            complaints,
        })
    }

    /// The tree that the patch makes of an object.
    fn made_of(&self, current: &Value, resource: &Resource) -> Result<Value> {
        let mut object = current.clone();
        let made = match self.kind {
            PatchType::Json => patch::json_patch(&mut object, &self.tree),
            PatchType::Merge => patch::merge_patch(&mut object, &self.tree),
            PatchType::Strategic => {
                patch::strategic_merge(&mut object, &self.tree, resource.kind.object_type())
            }
        };
        made.map_err(|error| refused(&error))?;
        Ok(object)
    }

    /// Decodes what the patch made of `current`. Gives what the patch and the object have twice or do not know.
    ///
    /// # Errors
    /// 422 in upstream's words for what is no object of the resource.
    fn decode(
        &self,
        object: &mut Value,
        current: &Value,
        resource: &Resource,
    ) -> Result<Vec<String>> {
        let mut found = self.complaints.clone();
        if resource.dynamic.is_some() {
            body::check_custom_type(object, resource, &[])?;
            body::set_type(object, resource);
            found.extend(body::custom_fields(object, resource)?);
            return Ok(found);
        }
        let decoded = if self.kind == PatchType::Strategic {
            // Upstream converts the tree by the type that it has already, whatever the tree says.
            body::set_type(object, resource);
            fields::decode_patched(resource.kind, object)
        } else {
            typing::check(object, &body::wanted(resource), &[])
                .map_err(|error| self.invalid(current, resource, &error.to_string()))?;
            body::set_type(object, resource);
            fields::decode(resource.kind, object)
        };
        let unknown = decoded.map_err(|error| self.invalid(current, resource, &error.reason()))?;
        found.extend(unknown);
        Ok(found)
    }

    /// The refusal of what the patch makes of `current`. It shows the whole of that or, for a strategic merge patch,
    /// the patch.
    fn invalid(&self, current: &Value, resource: &Resource, why: &str) -> Error {
        let shown = match self.kind {
            PatchType::Strategic => patch::go_text(&self.tree),
            PatchType::Json | PatchType::Merge => match self.made_of(current, resource) {
                Ok(made) => made.to_string(),
                Err(error) => return error,
            },
        };
        let error = field::invalid(&Path::new("patch"), shown, why);
        Status::invalid(&GroupKind::new("", ""), "", &error.into()).into()
    }
}

/// The members of an operation.
const OPERATION: [&str; 4] = ["op", "path", "from", "value"];

/// Whether all are operations of a JSON patch. Gives the members that none has.
fn check_operations(operations: &[Value]) -> Result<Vec<String>> {
    if operations.len() > MAX_OPERATIONS {
        return Err(Status::too_large(&format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        ))
        .into());
    }
    let mut unknown = Complaints::default();
    let malformed = |found: &Value, wanted: &str| {
        let found = type_name(found);
        Error::from(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go {wanted}"
        )))
    };
    for (at, operation) in operations.iter().enumerate() {
        let members = match operation {
            Value::Object(members) => members,
            Value::Null => continue,
            other => return Err(malformed(other, "value of type handlers.jsonPatchOp")),
        };
        for (name, value) in members {
            if !OPERATION.contains(&name.as_str()) {
                unknown.note(|| format!("unknown field \"[{at}].{name}\""));
            } else if name != "value" && !value.is_string() && !value.is_null() {
                let wanted = format!("struct field jsonPatchOp.{name} of type string");
                return Err(malformed(value, &wanted));
            }
        }
    }
    Ok(unknown.into_texts())
}

fn refused(error: &PatchError) -> Error {
    error.to_status().into()
}
