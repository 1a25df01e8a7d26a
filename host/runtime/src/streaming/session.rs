//! One session: octets between a WebSocket and a process in a shim.

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
    let (mut sink, source) = socket.split();
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
        Ok(shim) => pipe(shim, &mut sink, source, version, &wants).await?,
        Err(error) => Some(channel::failure_status(&error.to_string())),
    };
    if let Some(status) = status {
        sink.send(Message::binary(message(ERROR, status.to_string().as_bytes()))).await?;
    }
    // Clients take a close without a status (1005) for a broken connection.
    let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    sink.send(Message::Close(Some(normal))).await?;
    sink.close().await?;
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
    source: Source,
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

/// Returns when the client left.
async fn forward_input(
    mut source: Source,
    mut writer: crate::pod::FrameWriter,
    version: Version,
    stdin: bool,
) -> Result<(), Failure> {
    while let Some(received) = source.next().await {
        let data = match received? {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return Ok(()),
            // Pings are answered by the library.
            _ => continue,
        };
        match channel::parse(version, &data) {
            Input::Data(data) if stdin => writer.send(Kind::Stdin, data).await?,
            Input::Resize(size) => writer.send(Kind::Resize, size).await?,
            Input::HalfClose if stdin => writer.send(Kind::StdinEof, &[]).await?,
            _ => {}
        }
    }
    Ok(())
}
