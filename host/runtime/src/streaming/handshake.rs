//! The HTTP side of a session: checks the URL and agrees on the protocol.

use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use k3s_base::error::chain;
use k3s_serve::websocket::{self, Pending};
use k3s_serve::{Body, body, upgrade};

use super::channel::{Protocol, Version};
use super::{Offer, PORT_FORWARD, Shared, forward, session};

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static(k3s_spdy::PROTOCOL_HEADER);
const ACCEPTED_PROTOCOLS: HeaderName =
    HeaderName::from_static("x-accepted-stream-protocol-versions");
const FORWARD_PROTOCOL: &str = "portforward.k8s.io";

/// A connection that leaves HTTP as soon as the answer is sent.
pub(super) enum Connection {
    WebSocket(Pending, Protocol),
    Spdy(OnUpgrade),
    Forward(ForwardConnection),
}

/// A connection for port-forward.
pub(super) enum ForwardConnection {
    Spdy(OnUpgrade),
    WebSocket(Pending),
}

/// Answers the request; a session that was agreed on runs as a task.
pub(super) fn answer(mut request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let (response, connection) = match negotiate(&mut request) {
        Ok(agreed) => agreed,
        Err(refusal) => return *refusal,
    };
    let Ok(permit) = shared.permits.clone().try_acquire_owned() else {
        return text(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many streaming sessions",
        );
    };
    let Some(offer) = shared.sessions.redeem(request.uri().path()) else {
        return text(
            StatusCode::NOT_FOUND,
            "no such streaming session, or it was used already",
        );
    };
    let own = shared.clone();
    shared.tasks.spawn_until_stopped("stream", async move {
        let _permit = permit;
        let ended = match (connection, offer) {
            (Connection::Forward(connection), Offer::PortForward(target)) => {
                forward::run(connection, target, &own.tasks).await
            }
            (connection, offer) => session::run(connection, offer, &own).await,
        };
        if let Err(error) = ended {
            tracing::debug!(error = chain(&error), "streaming session ended");
        }
    });
    response
}

fn negotiate(
    request: &mut Request<Incoming>,
) -> Result<(Response<Body>, Connection), Box<Response<Body>>> {
    let forwards = request
        .uri()
        .path()
        .trim_start_matches('/')
        .starts_with(PORT_FORWARD);
    if websocket::is_request(request.headers()) {
        let commands = Protocol::names();
        let supported: &[&str] = if forwards {
            &[websocket::V4]
        } else {
            &commands
        };
        let refuse = |why: String| Box::new(text(StatusCode::BAD_REQUEST, &why));
        let (response, pending) =
            websocket::accept(request, supported).map_err(|error| refuse(error.to_string()))?;
        if forwards {
            // Without a protocol the messages are those of v4 (upstream `portforward/websocket.go`).
            let connection = Connection::Forward(ForwardConnection::WebSocket(pending));
            return Ok((response, connection));
        }
        let protocol = Protocol::agreed(pending.protocol);
        return Ok((response, Connection::WebSocket(pending, protocol)));
    }
    if upgrade::is_upgrade(request.headers())
        && upgrade::lists(request.headers(), UPGRADE, k3s_spdy::UPGRADE)
    {
        return spdy(request, forwards);
    }
    Err(Box::new(text(
        StatusCode::BAD_REQUEST,
        "unable to upgrade: WebSocket or SPDY/3.1 is needed",
    )))
}

/// Agrees on the client's first protocol that is supported (upstream `httpstream.Handshake`).
fn spdy(
    request: &mut Request<Incoming>,
    forwards: bool,
) -> Result<(Response<Body>, Connection), Box<Response<Body>>> {
    let supported = if forwards {
        vec![FORWARD_PROTOCOL]
    } else {
        vec![Version::V5.name(), Version::V4.name()]
    };
    let offered = offered(request.headers());
    let Some(name) = offered
        .iter()
        .find_map(|name| supported.iter().find(|known| *known == name))
        .copied()
    else {
        let message = format!(
            "unable to negotiate protocol: client supports {offered:?}, server accepts {supported:?}"
        );
        let mut refusal = text(StatusCode::FORBIDDEN, &message);
        for name in supported {
            refusal
                .headers_mut()
                .append(ACCEPTED_PROTOCOLS, HeaderValue::from_static(name));
        }
        return Err(Box::new(refusal));
    };
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(k3s_spdy::UPGRADE));
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(name));
    let upgraded = hyper::upgrade::on(request);
    let connection = if forwards {
        Connection::Forward(ForwardConnection::Spdy(upgraded))
    } else {
        Connection::Spdy(upgraded)
    };
    Ok((response, connection))
}

fn offered(headers: &HeaderMap) -> Vec<String> {
    let lines = headers
        .get_all(STREAM_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_owned())
        .collect()
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(body::full(message.to_owned()));
    *response.status_mut() = status;
    response
}
