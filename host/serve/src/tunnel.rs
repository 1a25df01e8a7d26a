//! A byte stream inside a WebSocket: how `kubectl port-forward` crosses proxies that know no SPDY
//! (KEP-4006). The client speaks [`PROTOCOL`]; the server behind is asked for SPDY itself.

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::body::{self, Body};
use crate::connect;
use crate::error::ServeError;
use crate::io::{BoxIo, Io};
use crate::upgrade::lists;
use crate::websocket::{self, Message, MessageBytes, Socket};

/// SPDY frames as binary messages.
pub const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
/// What [`PROTOCOL`] is made of: the protocol upgraded to, and the one spoken on top of it.
const UPGRADE_TO: HeaderValue = HeaderValue::from_static("SPDY/3.1");
const ON_TOP: HeaderValue = HeaderValue::from_static("portforward.k8s.io");
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
/// Bytes read from the server behind before they are sent as one message.
const BUFFER_BYTES: usize = 32 * 1024;

/// True when a client asks for a tunnel.
#[must_use]
pub fn is_request(headers: &HeaderMap) -> bool {
    websocket::is_request(headers) && lists(headers, SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
}

/// Asks the server at `io` for SPDY with `outbound`; when it agrees, accepts the WebSocket of
/// `inbound` and copies bytes between the two until one ends. Any other answer is passed on.
///
/// # Errors
/// For a malformed handshake, and where the server cannot be talked to.
pub async fn proxy<B>(
    inbound: &mut Request<B>,
    mut outbound: Request<Body>,
    io: BoxIo,
    tasks: &Tasks,
) -> Result<Response<Body>, ServeError> {
    let (accepted, client) = websocket::accept(inbound, &[PROTOCOL])?;
    ask_for_spdy(outbound.headers_mut());
    let mut answer = connect::send(io, outbound, tasks).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer.map(body::boxed));
    }
    let server = hyper::upgrade::on(&mut answer);
    let group = tasks.clone();
    tasks.spawn("tunnel", async move {
        match (client.socket().await, server.await) {
            (Ok(client), Ok(server)) => copy(client, TokioIo::new(server), &group).await,
            (Err(error), _) => tracing::debug!(error = %chain(&error), "the tunnel failed"),
            (_, Err(error)) => tracing::debug!(error = %chain(&error), "the tunnel failed"),
        }
    });
    Ok(accepted)
}

fn ask_for_spdy(headers: &mut HeaderMap) {
    let websocket: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("sec-websocket-"))
        .cloned()
        .collect();
    for name in websocket {
        headers.remove(name);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, UPGRADE_TO);
    headers.insert(STREAM_PROTOCOL, ON_TOP);
}

async fn copy(socket: Socket, io: impl Io, tasks: &Tasks) {
    let (mut sink, mut source) = socket.split();
    let (mut read, mut write) = tokio::io::split(io);
    let stopping = tasks.stopping();
    let inward = async {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(data) if write.write_all(&data).await.is_ok() => {}
                Message::Ping(_) | Message::Pong(_) => {}
                _ => return,
            }
        }
    };
    let outward = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(count) = read.read(&mut buffer).await {
            let Some(data) = buffer.get(..count).filter(|data| !data.is_empty()) else {
                return;
            };
            if sink
                .send(Message::Binary(MessageBytes::copy_from_slice(data)))
                .await
                .is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
        () = stopping.cancelled() => {}
    }
    // A peer that has left already cannot be notified.
    let (_client, _server) = (sink.close().await, write.shutdown().await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tunnel_protocol_asks_for_a_tunnel() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static("v4.channel.k8s.io"),
        );
        assert!(!is_request(&headers));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        assert!(is_request(&headers));
        ask_for_spdy(&mut headers);
        assert!(!headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
        assert_eq!(
            (&headers[UPGRADE], &headers[STREAM_PROTOCOL]),
            (&UPGRADE_TO, &ON_TOP)
        );
    }
}
