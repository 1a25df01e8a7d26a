//! `pods/NAME/eviction`: a deletion that disruption budgets may forbid.

use std::sync::Arc;

use http::{Request, Response};
use k3s_meta::{Status, object};
use k3s_registry::{Admission, Operation, Resource, Result};
use k3s_resources::core::pod::eviction::evict;
use k3s_serve::Body;

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
    let named = object::name(&eviction);
    if !named.is_empty() && named != info.name {
        let text = format!("name in URL does not match name in Eviction object: {named}");
        return Err(Status::bad_request(text).into());
    }
    let given = eviction
        .get("deleteOptions")
        .filter(|options| !options.is_null());
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
