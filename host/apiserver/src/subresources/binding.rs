//! `pods/NAME/binding` and `bindings`: how the scheduler assigns a pod.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_meta::{Status, object, tree};
use k3s_registry::{Resource, Result, check_namespace};
use k3s_resources::core::pod::binding::bind;
use k3s_serve::Body;

use crate::context::Context;
use crate::request::body::{self, BodyKind};
use crate::request::options::WriteOptions;
use crate::respond;

const BINDING: BodyKind = BodyKind {
    definition: "io.k8s.api.core.v1.Binding",
    group: "",
    version: "v1",
    kind: "Binding",
};

/// Binds the pod that the path names or, for `bindings`, the body.
pub(crate) async fn create(
    context: &Context,
    pods: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let options = WriteOptions::read(&context.query, "CreateOptions")?;
    let bytes = body::read(request.into_body()).await?;
    let mut binding = body::decode(context, &bytes, &BINDING, options.validation).await?;
    let namespace = &context.info.namespace;
    check_namespace(pods, namespace, &mut binding)?;
    if context.info.subresource.is_empty() {
        // What a client says of a new object's identity counts for nothing.
        tree::remove(&mut binding, "metadata.uid");
    }
    let name = object::name(&binding);
    if !context.info.subresource.is_empty() && name != context.info.name {
        let text = "name in URL does not match name in Binding object";
        return Err(Status::bad_request(text).into());
    }
    let call = context.call(options.dry_run);
    bind(context.registry(), pods, namespace, name, &binding, &call).await?;
    success(context)
}

/// 201 and a plain success.
pub(super) fn success(context: &Context) -> Result<Response<Body>> {
    let mut status = Status::success(None);
    status.code = StatusCode::CREATED.as_u16();
    respond::tree(context, StatusCode::CREATED, &status.to_value())
}
