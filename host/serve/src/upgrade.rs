//! Passing an upgrade request (WebSocket or SPDY) on to another server, byte for byte.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;

use crate::body::{self, Body};
use crate::error::ServeError;
use crate::io::BoxIo;
use crate::{connect, pipe};

/// True when the client asks to leave HTTP on this connection.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) && lists(headers, CONNECTION, "upgrade")
}

/// The verb that a request asks a kubelet for, which `verb` is by its method: what runs over a connection that
/// leaves HTTP (exec, attach, port-forward) can change anything, so it is a `create`, also where a WebSocket's
/// handshake makes it a GET.
#[must_use]
pub fn verb(headers: &HeaderMap, verb: &'static str) -> &'static str {
    if is_upgrade(headers) { "create" } else { verb }
}

/// True when a comma separated header holds `token`, whatever its case.
#[must_use]
pub fn lists(headers: &HeaderMap, name: http::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Sends `outbound` over `io`; when the server agrees to the upgrade, answers `inbound` with the
/// same 101 and copies bytes between the two connections until one ends. Any other answer is passed
/// on with its body.
///
/// # Errors
/// Where the server cannot be talked to; the client then has had no answer yet.
pub async fn proxy<B>(
    inbound: &mut Request<B>,
    outbound: Request<Body>,
    io: BoxIo,
    tasks: &Tasks,
) -> Result<Response<Body>, ServeError> {
    let client = hyper::upgrade::on(inbound);
    let mut answer = connect::send(io, outbound, tasks).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer.map(body::boxed));
    }
    let server = hyper::upgrade::on(&mut answer);
    let group = tasks.clone();
    tasks.spawn("upgraded pipe", async move {
        match (client.await, server.await) {
            (Ok(client), Ok(server)) => {
                pipe::run(TokioIo::new(client), TokioIo::new(server), &group).await;
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(error = %chain(&error), "the upgrade failed");
            }
        }
    });
    Ok(answer.map(|_| body::empty()))
}
