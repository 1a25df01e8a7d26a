//! Objects that are only created and never stored: reviews of tokens and of access, and bindings.

mod access;
mod rules;
mod selectors;
mod token;
mod whoami;

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_base::clock::rfc3339;
use k3s_meta::{UserInfo, tree};
use k3s_registry::{Resource, Result};
use k3s_serve::Body;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::handlers::namespace;
use crate::request::options::WriteOptions;
use crate::request::{Accept, Shape, body};
use crate::{respond, subresources};

/// Kinds answered here.
const KINDS: [&str; 7] = [
    "Binding",
    "LocalSubjectAccessReview",
    "SelfSubjectAccessReview",
    "SelfSubjectReview",
    "SelfSubjectRulesReview",
    "SubjectAccessReview",
    "TokenReview",
];

pub(crate) fn serves(resource: &Resource) -> bool {
    KINDS.contains(&resource.kind.kind)
}

/// Answers a question.
pub(crate) async fn dispatch(
    context: Arc<Context>,
    resource: Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    if context.info.is_named {
        return respond::route::unknown(&context.info.group);
    }
    if context.info.verb != "create" {
        return Err(respond::route::without(&resource, context.info.verb));
    }
    if resource.kind.kind == "Binding" {
        let pods = context.registry().resource("", "v1", "pods")?.clone();
        return subresources::create_binding(&context, &pods, request).await;
    }
    if context.accept.shape == Shape::Table {
        Accept::without_table(&context.headers)?;
    }
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let bytes = body::read(request.into_body()).await?;
    let mut review = body::object(
        &context.headers,
        &bytes,
        &resource,
        options.validation,
        &context.warnings,
    )
    .await?;
    k3s_registry::receive(&resource, namespace(&context, &resource), &mut review)?;
    let status = match resource.kind.kind {
        "TokenReview" => token::review(&context, &review).await?,
        "SelfSubjectReview" => whoami::review(&context),
        "SelfSubjectRulesReview" => rules::review(&context, &review)?,
        _ => access::review(&context, &resource, &review)?,
    };
    // What is about the asker alone repeats nothing of what was sent.
    match resource.kind.kind {
        "SelfSubjectReview" => {
            let now = rfc3339(context.registry().clock().now());
            tree::set(&mut review, "metadata", json!({"creationTimestamp": now}));
        }
        "SelfSubjectRulesReview" => {
            tree::set(&mut review, "metadata", json!({}));
            tree::set(&mut review, "spec", json!({}));
        }
        _ => {}
    }
    tree::set(&mut review, "status", status);
    respond::object::virtual_object(&context, StatusCode::CREATED, &review)
}

/// A user as `authentication.k8s.io/v1` UserInfo.
fn user_value(user: &UserInfo) -> Value {
    let mut map = Map::new();
    map.insert("username".to_owned(), user.name.as_str().into());
    if !user.uid.is_empty() {
        map.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        map.insert("groups".to_owned(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        map.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(map)
}
