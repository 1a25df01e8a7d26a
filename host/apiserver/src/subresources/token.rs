//! `serviceaccounts/NAME/token`: a signed token for a limited time and audience, bound to an object
//! (KEP-1205).

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use k3s_base::clock::rfc3339;
use k3s_meta::quote::quote;
use k3s_meta::{ErrorList, GroupKind, GroupResource, Path, Status, field, object, tree};
use k3s_registry::{Admission, Error, Operation, Resource, Result, check_namespace};
use k3s_serve::Body;
use serde_json::{Value, json};

use crate::context::Context;
use crate::request::body::{self, BodyKind};
use crate::request::options::WriteOptions;
use crate::respond;

const TOKEN_REQUEST: BodyKind = BodyKind {
    definition: "io.k8s.api.authentication.v1.TokenRequest",
    group: "authentication.k8s.io",
    version: "v1",
    kind: "TokenRequest",
};

const MIN_SECONDS: i64 = 600;
const MAX_SECONDS: i64 = 1 << 32;
const DEFAULT_SECONDS: i64 = 3600;

pub(super) async fn create(
    context: &Context,
    accounts: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let bytes = body::read(request.into_body()).await?;
    let mut request = body::decode(context, &bytes, &TOKEN_REQUEST, options.validation).await?;
    let account = account(context, accounts, &mut request)?;
    if tree::int(&request, "spec.expirationSeconds").is_none() {
        tree::set(&mut request, "spec.expirationSeconds", DEFAULT_SECONDS);
    }
    let errors = validate(&request);
    if !errors.is_empty() {
        return Err(invalid("", &errors));
    }
    admit(context, accounts, &mut request, options.dry_run).await?;
    default_audiences(&mut request, context.core.authenticator.audiences());
    let bound = bound_object(context, &request)?;
    let now = context.registry().clock().now();
    let seconds = tree::int(&request, "spec.expirationSeconds").unwrap_or(DEFAULT_SECONDS);
    let claims = claims(context, &request, &account, bound, now, seconds);
    let token = context
        .core
        .authenticator
        .keys()
        .sign(&claims)
        .map_err(|error| Status::internal(&k3s_base::error::chain(&error)))?;
    let expiry = now
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(now);
    let status = json!({"token": token, "expirationTimestamp": rfc3339(expiry)});
    let answer = answer(request, &account, &rfc3339(now), status);
    respond::object::virtual_object(context, StatusCode::CREATED, &answer)
}

/// The account that path and request name.
fn account(context: &Context, accounts: &Arc<Resource>, request: &mut Value) -> Result<Value> {
    let info = &context.info;
    check_namespace(accounts, &info.namespace, request)?;
    let named = object::name(request);
    if !named.is_empty() && named != info.name {
        let path = Path::new("metadata").child("name");
        let detail = "must match the service account name if specified";
        let error = field::invalid(&path, named, detail);
        return Err(invalid(&info.name, &error.into()));
    }
    let found = context
        .registry()
        .get(accounts, &info.namespace, &info.name);
    let account = found?.to_value()?;
    check_uid(request, &account, &info.name)?;
    Ok(account)
}

fn invalid(name: &str, errors: &ErrorList) -> Error {
    let kind = GroupKind::new(TOKEN_REQUEST.group, TOKEN_REQUEST.kind);
    Status::invalid(&kind, name, errors).into()
}

/// A request that names the account's UID is for that account only, and for no later one of its name.
fn check_uid(request: &Value, account: &Value, name: &str) -> Result<()> {
    let (wanted, found) = (object::uid(request), object::uid(account));
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    let text = format!(
        "the UID in the token request ({wanted}) does not match the UID of the service account ({found})"
    );
    let kind = GroupResource::new(TOKEN_REQUEST.group, TOKEN_REQUEST.kind);
    Err(Status::conflict(&kind, name, &text).into())
}

/// The request as it was sent, with the account it is for and what came of it.
fn answer(mut request: Value, account: &Value, created: &str, status: Value) -> Value {
    for (path, value) in [
        ("kind", TOKEN_REQUEST.kind),
        ("apiVersion", "authentication.k8s.io/v1"),
        ("metadata.name", object::name(account)),
        ("metadata.namespace", object::namespace(account)),
        ("metadata.uid", object::uid(account)),
        ("metadata.creationTimestamp", created),
    ] {
        tree::set(&mut request, path, value);
    }
    tree::remove(&mut request, "metadata.managedFields");
    tree::set(&mut request, "status", status);
    request
}

/// After admission, which has to know what was asked for.
fn default_audiences(request: &mut Value, audiences: &[String]) {
    if tree::list(request, "spec.audiences").is_empty() {
        let own: Vec<Value> = audiences
            .iter()
            .map(|audience| audience.as_str().into())
            .collect();
        tree::set(request, "spec.audiences", own);
    }
}

fn validate(request: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec").child("expirationSeconds");
    let seconds = tree::int(request, "spec.expirationSeconds").unwrap_or(DEFAULT_SECONDS);
    if seconds < MIN_SECONDS {
        errors.push(field::invalid(
            &path,
            seconds,
            "may not specify a duration less than 10 minutes",
        ));
    }
    if seconds > MAX_SECONDS {
        errors.push(field::invalid(
            &path,
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        ));
    }
    errors
}

async fn admit(
    context: &Context,
    accounts: &Resource,
    request: &mut Value,
    dry_run: bool,
) -> Result<()> {
    let call = context.call(dry_run);
    let (namespace, name) = (&context.info.namespace, &context.info.name);
    let attributes = call.attributes(Operation::Create, accounts, "token", namespace, name);
    context
        .core
        .admission
        .mutate(&attributes, request, None)
        .await?;
    context
        .core
        .admission
        .validate(&attributes, Some(request), None)
        .await
}

/// The claim of the object the token is bound to: it must exist, and a pod must run as the account.
fn bound_object(context: &Context, request: &Value) -> Result<Vec<(&'static str, Value)>> {
    if tree::get(request, "spec.boundObjectRef").is_none() {
        return Ok(Vec::new());
    }
    let reference = |key| tree::text(request, &format!("spec.boundObjectRef.{key}"));
    let (kind, name, uid) = (reference("kind"), reference("name"), reference("uid"));
    let version = group_version(reference("apiVersion"));
    let (claim, plural, namespace) = match kind {
        "Pod" if version.starts_with('/') => ("pod", "pods", context.info.namespace.as_str()),
        "Secret" if version.starts_with('/') => {
            ("secret", "secrets", context.info.namespace.as_str())
        }
        "Node" if version.starts_with('/') => ("node", "nodes", ""),
        other => {
            let text = format!("cannot bind token to object of type {version}, Kind={other}");
            return Err(Status::bad_request(text).into());
        }
    };
    let resource = context.registry().resource("", "v1", plural)?;
    let found = context
        .registry()
        .get(resource, namespace, name)?
        .to_value()?;
    let mut claims = vec![(claim, json!({"name": name, "uid": object::uid(&found)}))];
    if kind == "Pod" {
        runs_as(&found, &context.info.name)?;
        claims.extend(node_claim(context, tree::text(&found, "spec.nodeName")));
    }
    if !uid.is_empty() && uid != object::uid(&found) {
        let text = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Status::conflict(&GroupResource::new("", kind.to_owned()), name, &text).into());
    }
    Ok(claims)
}

fn runs_as(pod: &Value, account: &str) -> Result<()> {
    if tree::text(pod, "spec.serviceAccountName") == account {
        return Ok(());
    }
    let text = format!(
        "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
        quote(account)
    );
    Err(Status::bad_request(text).into())
}

/// Group and version as Go prints them as part of a kind: `/v1`, `apps/v1`; what has more parts is neither.
fn group_version(api_version: &str) -> String {
    match api_version.matches('/').count() {
        0 => format!("/{api_version}"),
        1 => api_version.to_owned(),
        _ => "/".to_owned(),
    }
}

fn node_claim(context: &Context, name: &str) -> Option<(&'static str, Value)> {
    if name.is_empty() {
        return None;
    }
    let nodes = context.registry().resource("", "v1", "nodes").ok()?;
    let node = context
        .registry()
        .get(nodes, "", name)
        .ok()?
        .to_value()
        .ok()?;
    Some(("node", json!({"name": name, "uid": object::uid(&node)})))
}

fn claims(
    context: &Context,
    request: &Value,
    account: &Value,
    bound: Vec<(&'static str, Value)>,
    now: Timestamp,
    seconds: i64,
) -> Value {
    let (namespace, name) = (&context.info.namespace, &context.info.name);
    let mut private = json!({
        "namespace": namespace,
        "serviceaccount": {"name": name, "uid": object::uid(account)},
    });
    for (claim, value) in bound {
        tree::set(&mut private, claim, value);
    }
    let issued = now.as_second();
    let id: [u8; 16] = context.registry().random().bytes();
    json!({
        "aud": tree::list(request, "spec.audiences"),
        "exp": issued.saturating_add(seconds),
        "iat": issued,
        "nbf": issued,
        "jti": id.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io": private,
    })
}
