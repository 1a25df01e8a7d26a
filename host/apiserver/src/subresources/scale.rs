//! `scale`: reading and setting the number of replicas.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use k3s_registry::{Resource, Result, Update, check_namespace};
use k3s_resources::scale;
use k3s_serve::Body;
use serde_json::Value;

use crate::context::Context;
use crate::handlers::{check_name, patch_tree};
use crate::request::body::{self, BodyKind};
use crate::request::options::WriteOptions;
use crate::respond;

const SCALE: BodyKind = BodyKind {
    definition: "io.k8s.api.autoscaling.v1.Scale",
    group: "autoscaling",
    version: "v1",
    kind: "Scale",
};

pub(super) async fn handle(
    context: &Context,
    resource: &Arc<Resource>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    let info = &context.info;
    match info.verb {
        "get" => {
            let workload = context
                .registry()
                .get(resource, &info.namespace, &info.name)?
                .to_value()?;
            respond::object::virtual_object(
                context,
                StatusCode::OK,
                &scale::of(resource, &workload)?,
            )
        }
        "update" => {
            let bytes = body::read(request.into_body()).await?;
            let options = WriteOptions::read(&context.query, "UpdateOptions")?;
            let wanted = body::decode(context, &bytes, &SCALE, options.validation).await?;
            change(context, resource, move |_| Ok(wanted.clone())).await
        }
        "patch" => {
            let patch = patch_tree(context, request).await?;
            change(context, resource, move |current| {
                let mut wanted = scale::of(resource, current)?;
                patch(&mut wanted)?;
                Ok(wanted)
            })
            .await
        }
        verb => Err(respond::route::without(resource, verb)),
    }
}

async fn change(
    context: &Context,
    resource: &Arc<Resource>,
    wanted: impl Fn(&Value) -> Result<Value> + Send + Sync,
) -> Result<Response<Body>> {
    let options = WriteOptions::read(&context.query, "UpdateOptions")?;
    let info = &context.info;
    let update = Update {
        resource,
        namespace: &info.namespace,
        name: &info.name,
        scope: scale::SCALE,
        create_missing: false,
    };
    let call = context.call(options.dry_run);
    let make = |current: Option<&Value>| {
        let mut workload = current.cloned().unwrap_or_default();
        let mut wanted = wanted(&workload)?;
        check_namespace(resource, &info.namespace, &mut wanted)?;
        check_name(&info.name, &wanted)?;
        scale::apply(resource, &mut workload, &wanted)?;
        Ok(workload)
    };
    let updated = context.registry().update(&update, &call, make).await?;
    respond::object::virtual_object(
        context,
        StatusCode::OK,
        &scale::of(resource, &updated.object.to_value()?)?,
    )
}
