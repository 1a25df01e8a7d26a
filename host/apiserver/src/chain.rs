//! The handler chain: what happens to every request, in order.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use k3s_meta::user::AssertedUser;
use k3s_meta::{Status, UserInfo};
use k3s_registry::{Result, Warnings};
use k3s_serve::{Body, body, upgrade};

use crate::authz::{Attributes, Decision};
use crate::context::Context;
use crate::core::Core;
use crate::inflight::{BodyRoom, Flow, Place};
use crate::metrics::Counted;
use crate::request::body as received;
use crate::request::{Accept, Query, RequestInfo};
use crate::{authn, handlers, nonresource, respond};

/// `--request-timeout`: for everything but long-running requests.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Answers one request; never fails, since every failure is an answer.
pub(crate) async fn handle(
    core: Arc<Core>,
    request: Request<Body>,
) -> std::result::Result<Response<Body>, Infallible> {
    let started = core.registry.clock().elapsed();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let info = RequestInfo::parse(request.method(), request.uri().path(), &query);
    let is_long_running = info.is_long_running();
    let is_head = *request.method() == Method::HEAD;
    let answering = answer(core.clone(), request, info.clone(), query);
    let work = AssertUnwindSafe(answering).catch_unwind();
    let done = if is_long_running {
        Ok(work.await)
    } else {
        tokio::time::timeout(REQUEST_TIMEOUT, work).await
    };
    let mut response = match done {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(error))) => respond::status::response(error.status()),
        Ok(Err(_panic)) => {
            tracing::error!(verb = info.verb, path = %info.path, "a handler panicked");
            let text = "This request caused apiserver to panic. Look in the logs for details.";
            respond::text(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        Err(_elapsed) => {
            let text = "request did not complete within the allotted timeout";
            respond::status::response(&Status::timeout(text))
        }
    };
    record(&core, &info, started, &response);
    if is_head {
        // HTTP/2 resets a stream on which a body follows.
        *response.body_mut() = body::empty();
    }
    Ok(response)
}

/// The steps of the chain that may refuse, up to the handler's answer.
async fn answer(
    core: Arc<Core>,
    mut request: Request<Body>,
    info: RequestInfo,
    query: Query,
) -> Result<Response<Body>> {
    let user = core.authenticator.authenticate(&request, &info).await?;
    let in_process = request.extensions().get::<AssertedUser>().is_some();
    core.metrics
        .record_client(&user, in_process, &info, is_known(&core, &info));
    let flow = Flow::new(&user, in_process);
    let user = authn::impersonation::apply(&core.authorizer, user, request.headers_mut())?;
    authorize(&core, &user, &info, request.headers())?;
    let _running = if info.is_long_running() {
        None
    } else {
        Some(begin(&core, &flow, &info, &mut request).await?)
    };
    tracing::trace!(user = %user.name, verb = info.verb, path = %info.path, "request");
    let headers = std::mem::take(request.headers_mut());
    let accept = negotiate(&info, &headers)?;
    let context = Arc::new(Context {
        core,
        info,
        query,
        headers,
        user,
        accept,
        warnings: Warnings::default(),
    });
    let answered = if context.info.is_resource {
        handlers::dispatch(context.clone(), request).await
    } else {
        nonresource::dispatch(context.clone(), request).await
    };
    let mut response = answered.unwrap_or_else(|error| respond::status::response(error.status()));
    respond::warn(&mut response, context.warnings.take());
    Ok(response)
}

/// The form of answer that the client takes.
fn negotiate(info: &RequestInfo, headers: &HeaderMap) -> Result<Accept> {
    match Accept::negotiate(headers) {
        Ok(accept) => Ok(accept),
        // The backend negotiates what is passed through.
        Err(_) if info.is_long_running() && info.verb != "watch" => {
            Accept::negotiate(&HeaderMap::new())
        }
        Err(_) if !info.is_resource => Ok(nonresource::DEFAULT_FORM),
        Err(error) => Err(error),
    }
}

/// What a request holds while it runs, given back when it ends.
struct Running {
    _body: Option<BodyRoom>,
    _place: Option<Place>,
    _counted: Counted,
}

/// Reads the body of a write, then waits for a place among the running requests: a client that is slow
/// with its body must not hold one.
async fn begin(
    core: &Core,
    flow: &Flow,
    info: &RequestInfo,
    request: &mut Request<Body>,
) -> Result<Running> {
    let mut room = None;
    if info.is_mutating() {
        room = core.inflight.body(flow)?;
        let body = std::mem::replace(request.body_mut(), body::empty());
        let bytes = received::receive(body, room.as_mut()).await?;
        *request.body_mut() = body::full(bytes);
    }
    Ok(Running {
        _body: room,
        _place: core.inflight.enter(flow, info.is_mutating()).await?,
        _counted: core.metrics.request(),
    })
}

fn authorize(core: &Core, user: &UserInfo, info: &RequestInfo, headers: &HeaderMap) -> Result<()> {
    let attributes = Attributes::of_request(user, info);
    match core.authorizer.authorize(&attributes) {
        Decision::Allow => {}
        Decision::Deny(reason) => return Err(attributes.forbidden(&reason).into()),
    }
    let asks = match (info.resource.as_str(), info.subresource.as_str()) {
        // A WebSocket handshake is a GET, but what it does to a container is a POST.
        ("pods", "exec" | "attach" | "portforward") => "create",
        // The kubelet itself cannot tell who is behind this server.
        ("nodes", "proxy") => upgrade::verb(headers, info.verb),
        _ => info.verb,
    };
    if asks != info.verb {
        let create = Attributes {
            verb: asks,
            ..attributes
        };
        if let Decision::Deny(reason) = core.authorizer.authorize(&create) {
            return Err(create.forbidden(&reason).into());
        }
    }
    Ok(())
}

/// Whether the request names a resource that there is.
fn is_known(core: &Core, info: &RequestInfo) -> bool {
    let resources = core.registry.resources();
    let (group, version, resource) = (&info.group, &info.version, &info.resource);
    info.is_resource && resources.find(group, version, resource).is_some()
}

/// Counts the finished request.
fn record(core: &Core, info: &RequestInfo, started: Duration, response: &Response<Body>) {
    let known = is_known(core, info);
    let elapsed = core.registry.clock().elapsed().saturating_sub(started);
    core.metrics
        .record(info, known, response.status().as_u16(), elapsed);
}
