//! Bytes of the server in a WebSocket, for clients such as browsers that cannot read a stream over HTTP alone
//! (`streaming/pkg/httpstream/wsstream/stream.go`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::body::Body;
use crate::error::ServeError;
use crate::websocket::{self, BINARY, BINARY_BASE64, Message, Pending, Socket};

/// Answers the handshake in `request`. What `source` yields is sent as it comes, after an empty message that
/// tells the client that the session is established; then the WebSocket closes. What the client sends is
/// ignored, and its leaving ends the session.
///
/// # Errors
/// Those of [`websocket::accept`].
pub fn answer<B>(
    request: &mut Request<B>,
    source: Body,
    tasks: &Tasks,
) -> Result<Response<Body>, ServeError> {
    let (response, pending) = websocket::accept(request, &[BINARY, BINARY_BASE64])?;
    tasks.spawn_until_stopped("one-way WebSocket", async move {
        if let Err(error) = run(pending, source).await {
            tracing::debug!(error = %chain(&error), "a one-way WebSocket ended");
        }
    });
    Ok(response)
}

async fn run(pending: Pending, source: Body) -> Result<(), ServeError> {
    let encoded = pending.protocol == Some(BINARY_BASE64);
    let (mut sink, mut incoming) = pending.socket().await?.split();
    let left = async { while let Some(Ok(_ignored)) = incoming.next().await {} };
    let sent = async {
        let sent = send(&mut sink, source, encoded).await;
        // To clients, a close without a status (1005) is a broken connection.
        let code = match &sent {
            Ok(()) => CloseCode::Normal,
            Err(_) => CloseCode::Error,
        };
        let close = CloseFrame {
            code,
            reason: "".into(),
        };
        sink.send(Message::Close(Some(close))).await?;
        sink.close().await?;
        sent
    };
    tokio::select! {
        sent = sent => sent,
        () = left => Ok(()),
    }
}

async fn send(
    sink: &mut futures_util::stream::SplitSink<Socket, Message>,
    mut source: Body,
    encoded: bool,
) -> Result<(), ServeError> {
    sink.send(message(Bytes::new(), encoded)).await?;
    while let Some(frame) = source.frame().await {
        let Ok(data) = frame.map_err(ServeError::Body)?.into_data() else {
            continue;
        };
        sink.send(message(data, encoded)).await?;
    }
    Ok(())
}

fn message(data: Bytes, encoded: bool) -> Message {
    if encoded {
        Message::text(STANDARD.encode(&data))
    } else {
        Message::Binary(data)
    }
}
