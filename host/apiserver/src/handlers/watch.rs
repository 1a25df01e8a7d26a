//! WATCH of a collection.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use k3s_meta::{Reason, Status};
use k3s_registry::{Resource, Result};
use k3s_serve::Body;
use tokio::time::Instant;

use crate::context::Context;
use crate::request::{Form, options};
use crate::respond;

/// `--min-request-timeout`: watches that ask for no time end after this and up to twice this, so
/// that they do not all come back at once.
const MIN_TIMEOUT_SECONDS: u64 = 1800;

/// A stream of YAML documents is none that upstream has.
const REFUSAL: &str = "only the following media types are accepted: application/json;stream=watch";

pub(super) async fn handle(
    context: Arc<Context>,
    resource: Arc<Resource>,
) -> Result<Response<Body>> {
    let (request, seconds) = options::watch(&context.info, &context.query, &resource)?;
    let deadline = Instant::now() + timeout(&context, seconds);
    match context.registry().watch(&resource, &request) {
        Ok(_) if context.accept.form == Form::Yaml => Err(Status::not_acceptable(REFUSAL).into()),
        Ok(watch) => respond::watch::response(context, watch, deadline),
        // Upstream's cache says so in the stream, and clients expect it there.
        Err(error) if error.status().reason == Reason::Expired => {
            Ok(respond::watch::refused(error.status()))
        }
        Err(error) => Err(error),
    }
}

fn timeout(context: &Context, asked_seconds: Option<u64>) -> Duration {
    let seconds = asked_seconds.unwrap_or_else(|| {
        MIN_TIMEOUT_SECONDS.saturating_add(context.registry().random().below(MIN_TIMEOUT_SECONDS))
    });
    // A year stands for no limit, and adding it to the clock cannot overflow.
    Duration::from_secs(seconds.min(31_536_000))
}
