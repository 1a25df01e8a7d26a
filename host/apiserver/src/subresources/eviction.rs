//! `pods/NAME/eviction`: a deletion that disruption budgets may forbid.

use std::sync::Arc;

use http::{Request, Response};
use k3s_meta::{GroupKind, Path, Status, field, object, tree};
use k3s_registry::{Admission, Operation, Resource, Result, check_namespace};
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
    let mut eviction = body::decode(context, &bytes, &EVICTION, write.validation).await?;
    let info = &context.info;
    check_namespace(pods, &info.namespace, &mut eviction)?;
    if object::name(&eviction) != info.name {
        let text = "name in URL does not match name in Eviction object";
        return Err(Status::bad_request(text).into());
    }
    let given = eviction
        .get("deleteOptions")
        .filter(|options| !options.is_null());
    check_read_errors(&info.name, given)?;
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

/// An eviction has a pod to judge, so it deletes none that cannot be read.
fn check_read_errors(name: &str, given: Option<&Value>) -> Result<()> {
    let option = "ignoreStoreReadErrorWithClusterBreakingPotential";
    if !given.is_some_and(|given| tree::flag(given, option)) {
        return Ok(());
    }
    let path = Path::new("deleteOptions").child(option);
    let detail = "can not be set for pod eviction, try after removing the option";
    let error = field::invalid(&path, true, detail);
    let kind = GroupKind::new(EVICTION.group, EVICTION.kind);
    Err(Status::invalid(&kind, name, &error.into()).into())
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
