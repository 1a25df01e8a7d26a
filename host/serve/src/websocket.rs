//! The server side of a WebSocket, with the subprotocols Kubernetes speaks on it.
//!
//! Those of remote commands put a channel number in the first byte of each binary message, or write its digit and
//! the data in base64 in a text message. Those of one-way streams carry the data alone.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
pub use tokio_tungstenite::tungstenite::{Bytes as MessageBytes, Message};

use crate::body::{self, Body};
use crate::error::ServeError;
use crate::upgrade::lists;

/// Remote command with a close signal per channel (Kubernetes 1.29 and later).
pub const V5: &str = "v5.channel.k8s.io";
/// Remote command with a structured exit status.
pub const V4: &str = "v4.channel.k8s.io";
/// The same in base64.
pub const V4_BASE64: &str = "v4.base64.channel.k8s.io";
/// Remote command that tells only of a failure, as text.
pub const CHANNEL: &str = "channel.k8s.io";
/// The same in base64.
pub const CHANNEL_BASE64: &str = "base64.channel.k8s.io";
/// Bytes from the server, such as a log.
pub const BINARY: &str = "binary.k8s.io";
/// The same in base64.
pub const BINARY_BASE64: &str = "base64.binary.k8s.io";
/// A message may be this long; a remote command sends far shorter ones.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// An established WebSocket.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A handshake that was answered; the socket exists once the 101 has been sent.
#[derive(Debug)]
pub struct Pending {
    upgrade: OnUpgrade,
    /// The subprotocol agreed on; `None` where the client offers none.
    pub protocol: Option<&'static str>,
}

/// True when the client asks for a WebSocket.
#[must_use]
pub fn is_request(headers: &HeaderMap) -> bool {
    lists(headers, UPGRADE, "websocket") && lists(headers, CONNECTION, "upgrade")
}

/// Answers a WebSocket handshake. Of the subprotocols the client offers, in its order, the first
/// that is in `supported` wins.
///
/// # Errors
/// [`ServeError::NotAnUpgrade`] for a malformed handshake, [`ServeError::Subprotocol`] where the two
/// sides have none in common.
pub fn accept<B>(
    request: &mut Request<B>,
    supported: &[&'static str],
) -> Result<(Response<Body>, Pending), ServeError> {
    let headers = request.headers();
    if !is_request(headers) {
        return Err(ServeError::NotAnUpgrade("no WebSocket handshake"));
    }
    if !lists(headers, SEC_WEBSOCKET_VERSION, "13") {
        return Err(ServeError::NotAnUpgrade("WebSocket version is not 13"));
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .ok_or(ServeError::NotAnUpgrade("no WebSocket key"))?;
    let accept = derive_accept_key(key.as_bytes());
    let protocol = negotiate(headers, supported)?;
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(body::empty())?;
    if let Some(protocol) = protocol {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok((
        response,
        Pending {
            upgrade: hyper::upgrade::on(request),
            protocol,
        },
    ))
}

impl Pending {
    /// Waits for the connection to leave HTTP.
    ///
    /// # Errors
    /// [`ServeError::Http`] where the client went away before.
    pub async fn socket(self) -> Result<Socket, ServeError> {
        Ok(WebSocketStream::from_raw_socket(
            TokioIo::new(self.upgrade.await?),
            Role::Server,
            Some(limits()),
        )
        .await)
    }
}

/// What a peer may send.
#[must_use]
pub fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
}

fn negotiate(
    headers: &HeaderMap,
    supported: &[&'static str],
) -> Result<Option<&'static str>, ServeError> {
    let offered: Vec<String> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|part| part.trim().to_owned())
        .collect();
    if offered.is_empty() {
        return Ok(None);
    }
    match offered
        .iter()
        .find_map(|want| supported.iter().find(|have| *have == want))
    {
        Some(protocol) => Ok(Some(protocol)),
        None => Err(ServeError::Subprotocol { offered }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(protocols: &str) -> Request<()> {
        Request::builder()
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "keep-alive, Upgrade")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==")
            .header(SEC_WEBSOCKET_PROTOCOL, protocols)
            .body(())
            .unwrap()
    }

    #[test]
    fn the_clients_first_known_subprotocol_wins() {
        let (response, pending) = accept(
            &mut handshake("v9.x, v4.channel.k8s.io, v5.channel.k8s.io"),
            &[V5, V4],
        )
        .unwrap();
        assert_eq!(pending.protocol, Some(V4));
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], V4);
        // The sample of RFC 6455, section 1.3.
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn nothing_in_common_is_an_error() {
        assert!(matches!(
            accept(&mut handshake("x"), &[V5]),
            Err(ServeError::Subprotocol { .. })
        ));
    }

    #[test]
    fn a_plain_request_is_no_handshake() {
        assert!(matches!(
            accept(&mut Request::new(()), &[V5]),
            Err(ServeError::NotAnUpgrade(_))
        ));
    }
}
