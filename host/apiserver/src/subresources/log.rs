//! `pods/NAME/log`: streamed from the kubelet, to browsers also in a WebSocket.

use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use k3s_base::error::chain;
use k3s_meta::{GroupKind, Path, Reason, Status, field, strconv};
use k3s_registry::Result;
use k3s_serve::{Body, body, connect, one_way, websocket};

use super::target::PodTarget;
use crate::context::Context;
use crate::request::query::Query;

/// Options that the kubelet reads under the same names.
const OPTIONS: [&str; 8] = [
    "follow",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "timestamps",
    "tailLines",
    "limitBytes",
    "stream",
];
/// What a kubelet's refusal may say.
const REFUSAL_BYTES: usize = 8 * 1024;

pub(super) async fn get(context: &Context, mut request: Request<Body>) -> Result<Response<Body>> {
    let log = stream(context).await?;
    if log.status() != StatusCode::OK || !websocket::is_request(&context.headers) {
        return Ok(log);
    }
    // The handshake is read from the request, whose headers the chain took out.
    request.headers_mut().clone_from(&context.headers);
    one_way::answer(&mut request, log.into_body(), &context.core.tasks)
        .map_err(|error| Status::bad_request(chain(&error)).into())
}

async fn stream(context: &Context) -> Result<Response<Body>> {
    validate(&context.query, &context.info.name)?;
    let Some(target) = PodTarget::find_bound(context, context.query.get("container"))? else {
        let mut nothing = Response::new(body::empty());
        *nothing.status_mut() = StatusCode::NO_CONTENT;
        return Ok(nothing);
    };
    let (io, authority) = context.core.kubelets.open(&target.node).await?;
    let path = format!(
        "/containerLogs/{}/{}/{}{}",
        target.namespace,
        target.name,
        target.container,
        query(&context.query)
    );
    let request = Request::builder()
        .uri(path)
        .header(HOST, authority)
        .body(body::empty());
    let request = request.map_err(|error| Status::internal(&error.to_string()))?;
    let answer = connect::send(io, request, &context.core.tasks).await;
    let answer = answer.map_err(|error| {
        Status::internal(&format!("error trying to reach the kubelet: {error}"))
    })?;
    let code = answer.status();
    if code != StatusCode::OK {
        let text = body::read(answer.into_body(), REFUSAL_BYTES)
            .await
            .unwrap_or_default();
        return Err(refusal(code, String::from_utf8_lossy(&text).trim()).into());
    }
    let mut response = Response::new(body::boxed(answer.into_body()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn query(asked: &Query) -> String {
    let mut out = String::new();
    for name in OPTIONS {
        if let Some(value) = asked.get(name) {
            out.push(if out.is_empty() { '?' } else { '&' });
            out.push_str(name);
            out.push('=');
            push_escaped(&mut out, value);
        }
    }
    out
}

/// Appends `text` so that it stays one query value.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn validate(query: &Query, name: &str) -> Result<()> {
    let mut errors = k3s_meta::ErrorList::new();
    let minimum = [("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)];
    for (option, least) in minimum {
        let Some(text) = query.get(option) else {
            continue;
        };
        match strconv::parse_int(text) {
            Ok(number) if number >= least => {}
            Ok(number) => {
                let detail = format!(
                    "must be greater than {}",
                    if least == 0 { "or equal to 0" } else { "0" }
                );
                errors.push(field::invalid(&Path::new(option), number, detail));
            }
            Err(why) => return Err(Status::bad_request(why).into()),
        }
    }
    if query.get("sinceSeconds").is_some() && query.get("sinceTime").is_some() {
        errors.push(field::forbidden(
            &Path::new("sinceSeconds"),
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(&GroupKind::new("", "PodLogOptions"), name, &errors).into())
    }
}

/// A kubelet's refusal as a status, in the words the kubelet found.
pub(super) fn refusal(code: StatusCode, text: &str) -> Status {
    let mut status = match code {
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        StatusCode::SERVICE_UNAVAILABLE => Status::service_unavailable(text),
        _ => Status::internal(text),
    };
    if code == StatusCode::NOT_FOUND {
        status = Status::bad_request(text);
        status.reason = Reason::NotFound;
        status.code = code.as_u16();
    }
    status
}
