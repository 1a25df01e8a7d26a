//! One session: octets between a WebSocket and a process in a shim.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::channel::{self, ERROR, Input, STDERR, STDOUT, Version, message};
use super::handshake::{self, Accepted};
use super::{Offer, Sessions};
use crate::pod::manager::Manager;
use crate::pod::{Frame, ShimStream};
use crate::shim::protocol::{Exec, ExecExit, Kind, Request};

type Sink = SplitSink<WebSocketStream<TcpStream>, Message>;
type Source = SplitStream<WebSocketStream<TcpStream>>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long a client has to take note of the end.
const LINGER: Duration = Duration::from_secs(5);

/// What the client may see and send.
#[derive(Clone, Debug, Default)]
struct Wants {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    command: Vec<String>,
}

pub(super) async fn run(stream: TcpStream, manager: &Manager, sessions: &Sessions) -> Result<(), Failure> {
    let Accepted { socket, offer, version } = handshake::accept(stream, sessions).await?;
    let (mut sink, mut source) = socket.split();
    let (sandbox, request, wants) = request_of(offer);
    // Tells the client that the session stands (upstream `createWebSocketStreams`).
    let first = if wants.stdout {
        STDOUT
    } else if wants.stderr {
        STDERR
    } else {
        ERROR
    };
    sink.send(Message::binary(message(first, &[]))).await?;
    let status = match manager.shim(&sandbox).open(&request).await {
        Ok(shim) => pipe(shim, &mut sink, &mut source, version, &wants).await?,
        Err(error) => Some(channel::failure_status(&error.to_string())),
    };
    if let Some(status) = status {
        sink.send(Message::binary(message(ERROR, status.to_string().as_bytes()))).await?;
    }
    // Clients take a close without a status (1005) for a broken connection.
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    sink.send(Message::Close(Some(normal))).await?;
    sink.close().await?;
    // Closing a socket with input unread resets it, and the peer may lose what it has not read yet.
    let _ = tokio::time::timeout(LINGER, async { while let Some(Ok(_)) = source.next().await {} }).await;
    Ok(())
}

fn request_of(offer: Offer) -> (String, Request, Wants) {
    match offer {
        Offer::Exec { sandbox, request } => {
            let wants = Wants {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                command: request.cmd.clone(),
            };
            let exec = Exec {
                id: request.container_id,
                args: request.cmd,
                tty: request.tty,
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
            };
            (sandbox, Request::Exec(exec), wants)
        }
        Offer::Attach { sandbox, request } => {
            let wants =
                Wants { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, command: Vec::new() };
            (sandbox, Request::Attach { id: request.container_id, stdin: request.stdin }, wants)
        }
    }
}

/// Until either side ends; the status to send when the process did.
async fn pipe(
    shim: ShimStream,
    sink: &mut Sink,
    source: &mut Source,
    version: Version,
    wants: &Wants,
) -> Result<Option<serde_json::Value>, Failure> {
    let ShimStream { mut reader, writer } = shim;
    let input = forward_input(source, writer, version, wants.stdin);
    tokio::pin!(input);
    loop {
        let frame = tokio::select! {
            frame = reader.next() => frame?,
            // The client is gone; dropping the connection hangs a terminal up.
            left = &mut input => return left.map(|()| None),
        };
        match frame {
            None => return Ok(Some(channel::failure_status("the container's shim ended"))),
            Some((Kind::Exit, payload)) => {
                let exit: ExecExit = serde_json::from_slice(&payload)?;
                return Ok(Some(channel::exit_status(&wants.command, exit.code)));
            }
            Some(frame) => forward_output(sink, frame, wants).await?,
        }
    }
}

async fn forward_output(sink: &mut Sink, (kind, payload): Frame, wants: &Wants) -> Result<(), Failure> {
    let target = match kind {
        Kind::Stdout if wants.stdout => STDOUT,
        Kind::Stderr if wants.stderr => STDERR,
        _ => return Ok(()),
    };
    sink.send(Message::binary(message(target, &payload))).await?;
    Ok(())
}

/// Returns when the client left. A process that takes no more input has ended: its output and exit code
/// are still to come, so the session goes on without it.
async fn forward_input(
    source: &mut Source,
    writer: crate::pod::FrameWriter,
    version: Version,
    stdin: bool,
) -> Result<(), Failure> {
    let mut writer = Some(writer);
    while let Some(received) = source.next().await {
        let data = match received? {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return Ok(()),
            // Pings are answered by the library.
            _ => continue,
        };
        let (kind, data) = match channel::parse(version, &data) {
            Input::Data(data) if stdin => (Kind::Stdin, data),
            Input::Resize(size) => (Kind::Resize, size),
            Input::HalfClose if stdin => (Kind::StdinEof, [].as_slice()),
            _ => continue,
        };
        if let Some(open) = &mut writer
            && let Err(error) = open.send(kind, data).await
        {
            tracing::debug!(%error, "the process takes no more input");
            writer = None;
        }
    }
    Ok(())
}
