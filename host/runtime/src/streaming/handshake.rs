//! The HTTP side of a session: which URL, which sub-protocol, or why not.

use http::StatusCode;
use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::channel::Version;
use super::{Offer, Sessions};

/// A client let in.
pub(super) struct Accepted {
    pub(super) socket: WebSocketStream<TcpStream>,
    pub(super) offer: Offer,
    pub(super) version: Version,
}

pub(super) async fn accept(
    stream: TcpStream,
    sessions: &Sessions,
) -> Result<Accepted, Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let mut found = None;
    #[allow(clippy::result_large_err, reason = "the callback's type is the library's")]
    let callback = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let offered = request
            .headers()
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect::<Vec<_>>()
            .join(",");
        let Some(version) = Version::choose(&offered) else {
            return Err(refusal(
                StatusCode::BAD_REQUEST,
                format!(
                    "unable to negotiate a protocol: the client offers {offered:?}, the server speaks v5.channel.k8s.io and v4.channel.k8s.io"
                ),
            ));
        };
        let Some(offer) = sessions.redeem(request.uri().path()) else {
            return Err(refusal(StatusCode::NOT_FOUND, "no such streaming session, or it was used already".into()));
        };
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(version.name()));
        found = Some((offer, version));
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, callback).await?;
    let (offer, version) = found.ok_or("the handshake ended without a session")?;
    Ok(Accepted { socket, offer, version })
}

fn refusal(status: StatusCode, message: String) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(message));
    *response.status_mut() = status;
    response
}
