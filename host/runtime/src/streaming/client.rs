//! The client's side of exec and attach, over WebSocket channels or SPDY streams.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use k3s_serve::websocket::{Message, Socket};
use k3s_spdy::{Acceptor, Stream, StreamWriter};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::channel::{self, ERROR, Protocol, STDERR, STDOUT};
use super::error::SessionError;
use super::handshake::Connection;

/// The streams of a SPDY client have to be there by then (upstream `streamCreationTimeout`).
const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);
/// Of exec and attach: error, stdin, stdout, stderr, resize.
const MAX_STREAMS: usize = 5;

/// Which streams the client asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
    pub(super) command: Vec<String>,
}

/// What the client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Data(Bytes),
    Resize(Bytes),
    HalfClose,
}

/// To the client.
pub(super) enum Output {
    WebSocket(SplitSink<Socket, Message>, Protocol),
    Spdy {
        error: StreamWriter,
        stdout: Option<StreamWriter>,
        stderr: Option<StreamWriter>,
        /// Of streams that only the client writes to. Their end means that no more input is accepted.
        silent: Vec<StreamWriter>,
    },
}

/// From the client.
pub(super) enum Input {
    WebSocket(SplitStream<Socket>, Protocol),
    Spdy {
        stdin: Option<mpsc::Receiver<Bytes>>,
        resize: Option<mpsc::Receiver<Bytes>>,
        acceptor: Acceptor,
    },
}

/// Both directions, once the connection has left HTTP and its streams are there.
pub(super) async fn open(
    connection: Connection,
    options: &Options,
    tasks: &Tasks,
) -> Result<(Output, Input), SessionError> {
    match connection {
        Connection::WebSocket(pending, protocol) => {
            let (mut sink, source) = pending.socket().await?.split();
            // The client waits for it: the session is established (upstream `createWebSocketStreams`).
            let first = match (options.stdout, options.stderr) {
                (true, _) => STDOUT,
                (false, true) => STDERR,
                (false, false) => ERROR,
            };
            sink.send(protocol.message(first, &[])).await?;
            let output = Output::WebSocket(sink, protocol);
            Ok((output, Input::WebSocket(source, protocol)))
        }
        Connection::Spdy(upgraded) => spdy(upgraded, options, tasks).await,
        Connection::Forward(_) => Err(SessionError::Kind),
    }
}

async fn spdy(
    upgraded: OnUpgrade,
    options: &Options,
    tasks: &Tasks,
) -> Result<(Output, Input), SessionError> {
    let mut acceptor = connect(upgraded, tasks).await?;
    let count = |wanted: &[bool]| wanted.iter().filter(|wanted| **wanted).count();
    let expected = 1 + count(&[options.stdin, options.stdout, options.stderr, options.tty]);
    let streams = accept_streams(&mut acceptor, expected.min(MAX_STREAMS));
    let mut streams = tokio::time::timeout(STREAMS_TIMEOUT, streams)
        .await
        .map_err(|_| SessionError::StreamsTimeout)??;
    let mut remove = |kind: &str| -> Option<Stream> {
        let is_kind = |stream: &Stream| stream.headers().get("streamtype") == Some(kind);
        let at = streams.iter().position(is_kind)?;
        Some(streams.swap_remove(at))
    };
    let writer = |stream: Option<Stream>| stream.map(|stream| stream.split().1);
    let error = writer(remove("error")).ok_or(SessionError::NoErrorStream)?;
    let (stdout, stderr) = (writer(remove("stdout")), writer(remove("stderr")));
    let mut silent = Vec::new();
    let mut reader = |stream: Option<Stream>| {
        let (data, writer) = stream?.split();
        silent.push(writer);
        Some(data)
    };
    let (stdin, resize) = (reader(remove("stdin")), reader(remove("resize")));
    Ok((
        Output::Spdy {
            error,
            stdout,
            stderr,
            silent,
        },
        Input::Spdy {
            stdin,
            resize,
            acceptor,
        },
    ))
}

async fn accept_streams(
    acceptor: &mut Acceptor,
    expected: usize,
) -> Result<Vec<Stream>, SessionError> {
    let mut streams = Vec::new();
    while streams.len() < expected {
        let stream = acceptor.accept().await;
        streams.push(stream.ok_or(SessionError::NoStreams)?);
    }
    Ok(streams)
}

/// SPDY on a connection that leaves HTTP; its driver is a task.
pub(super) async fn connect(upgraded: OnUpgrade, tasks: &Tasks) -> Result<Acceptor, SessionError> {
    let (acceptor, driver) = k3s_spdy::connect(TokioIo::new(upgraded.await?));
    tasks.spawn_until_stopped("spdy", async move {
        if let Err(error) = driver.await {
            tracing::debug!(error = chain(&error), "SPDY connection ended");
        }
    });
    Ok(acceptor)
}

impl Output {
    /// Output of the process.
    pub(super) async fn data(&mut self, channel: u8, data: Vec<u8>) -> Result<(), SessionError> {
        let stream = match self {
            Self::WebSocket(sink, protocol) => {
                return Ok(sink.send(protocol.message(channel, &data)).await?);
            }
            Self::Spdy { stderr, .. } if channel == STDERR => stderr,
            Self::Spdy { stdout, .. } => stdout,
        };
        let Some(stream) = stream else { return Ok(()) };
        if stream.write(data.into()).await {
            Ok(())
        } else {
            Err(SessionError::Left)
        }
    }

    /// The end, with the status where there is one.
    pub(super) async fn end(self, status: Option<Value>) -> Result<(), SessionError> {
        match self {
            Self::WebSocket(mut sink, protocol) => {
                if let Some(message) = status.and_then(|status| protocol.status(&status)) {
                    sink.send(message).await?;
                }
                // To clients, a close without a status (1005) is a broken connection.
                let normal = CloseFrame {
                    code: CloseCode::Normal,
                    reason: "".into(),
                };
                sink.send(Message::Close(Some(normal))).await?;
                sink.close().await?;
            }
            Self::Spdy {
                mut error,
                stdout,
                stderr,
                silent,
            } => {
                for mut stream in [stdout, stderr].into_iter().flatten().chain(silent) {
                    stream.finish().await;
                }
                if let Some(status) = status {
                    error.write(status.to_string().into()).await;
                }
                error.finish().await;
            }
        }
        Ok(())
    }
}

impl Input {
    /// What comes next; none when the client left.
    pub(super) async fn next(&mut self) -> Result<Option<Received>, SessionError> {
        match self {
            Self::WebSocket(source, protocol) => receive_websocket(source, *protocol).await,
            Self::Spdy {
                stdin,
                resize,
                acceptor,
            } => loop {
                tokio::select! {
                    data = receive(stdin) => return Ok(Some(data.map_or(Received::HalfClose, Received::Data))),
                    Some(size) = receive(resize) => return Ok(Some(Received::Resize(size))),
                    // A further stream has no meaning here and is reset by its end.
                    further = acceptor.accept() => if further.is_none() { return Ok(None) },
                }
            },
        }
    }
}

/// The next data of a stream, its end once, and then nothing any more.
async fn receive(stream: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    let Some(receiver) = stream else {
        return std::future::pending().await;
    };
    let data = receiver.recv().await;
    if data.is_none() {
        *stream = None;
    }
    data
}

async fn receive_websocket(
    source: &mut SplitStream<Socket>,
    protocol: Protocol,
) -> Result<Option<Received>, SessionError> {
    while let Some(received) = source.next().await {
        let data: Bytes = match received? {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return Ok(None),
            // Pings are answered by the library.
            _ => continue,
        };
        match protocol.parse(&data)? {
            channel::Input::Data(data) => return Ok(Some(Received::Data(data))),
            channel::Input::Resize(size) => return Ok(Some(Received::Resize(size))),
            channel::Input::HalfClose => return Ok(Some(Received::HalfClose)),
            channel::Input::Nothing => {}
        }
    }
    Ok(None)
}
