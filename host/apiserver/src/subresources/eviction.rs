//! `pods/NAME/eviction`: a deletion that disruption budgets may forbid.

use std::sync::Arc;

use http::{Request, Response};
use k3s_meta::{Status, object, tree};
use k3s_registry::{Admission, Operation, Resource, Result};
use k3s_resources::core::pod::eviction::evict;
use k3s_serve::Body;
use serde_json::Value;

use super::binding::success;
use crate::context::Context;
use crate::request::Query;
use crate::request::body::{self, BodyKind};
use crate::request::options::{self, WriteOptions};

const EVICTION: BodyKind = BodyKind {
    definition: "io.k8s.api.policy.v1.Eviction",
    group: "policy",
    version: "v1",
    kind: "Eviction",
};

pub(super) async fn create(
    context: &Context,
    pods: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let write = WriteOptions::read(&context.query, "CreateOptions")?;
    let bytes = body::read(request.into_body()).await?;
    let eviction = body::decode(context, &bytes, &EVICTION, write.validation).await?;
    let info = &context.info;
    if object::name(&eviction) != info.name {
        let text = "name in URL does not match name in Eviction object";
        return Err(Status::bad_request(text).into());
    }
    let given = eviction
        .get("deleteOptions")
        .filter(|options| !options.is_null());
    check_dry_run(context, given)?;
    let (options, dry_run) = options::delete(&Query::default(), given)?;
    let call = context.call(dry_run || write.dry_run);
    let (namespace, name) = (&info.namespace, &info.name);
    let attributes = call.attributes(Operation::Create, pods, "eviction", namespace, name);
    context
        .core
        .admission
        .validate(&attributes, Some(&eviction), None)
        .await?;
    let registry = context.registry();
    evict(registry, pods, &info.namespace, &info.name, &options, &call).await?;
    success(context)
}

/// A dry run that request and eviction both ask for must be the same.
fn check_dry_run(context: &Context, given: Option<&Value>) -> Result<()> {
    let asked: Vec<&str> = context.query.all("dryRun").collect();
    let given = given.map_or(&[][..], |options| tree::list(options, "dryRun"));
    let given: Vec<&str> = given.iter().filter_map(Value::as_str).collect();
    if asked.is_empty() || given.is_empty() || asked == given {
        return Ok(());
    }
    let text = format!(
        "Non-matching dry-run options in request and content: [{}] and [{}]",
        asked.join(" "),
        given.join(" ")
    );
    Err(Status::unclassified(&text).into())
}
