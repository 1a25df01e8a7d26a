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

use super::channel::{self, ERROR, STDERR, STDOUT, Version, message};
use super::handshake::Connection;

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The streams of a SPDY client have to be there by then (upstream `streamCreationTimeout`).
const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);
/// Of exec and attach: error, stdin, stdout, stderr, resize.
const MAX_STREAMS: usize = 5;

/// What the client may see and send.
#[derive(Clone, Debug, Default)]
pub(super) struct Wants {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
    pub(super) command: Vec<String>,
}

/// What the client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Data(Bytes),
    Resize(Bytes),
    HalfClose,
}

/// To the client.
pub(super) enum Output {
    WebSocket(SplitSink<Socket, Message>),
    Spdy {
        error: StreamWriter,
        stdout: Option<StreamWriter>,
        stderr: Option<StreamWriter>,
        /// Of streams that only the client writes to. Their end tells it that no more input is taken.
        silent: Vec<StreamWriter>,
    },
}

/// From the client.
pub(super) enum Input {
    WebSocket(SplitStream<Socket>, Version),
    Spdy {
        stdin: Option<mpsc::Receiver<Bytes>>,
        resize: Option<mpsc::Receiver<Bytes>>,
        acceptor: Acceptor,
    },
}

/// Both directions, once the connection has left HTTP and its streams are there.
pub(super) async fn open(
    connection: Connection,
    wants: &Wants,
    tasks: &Tasks,
) -> Result<(Output, Input), Failure> {
    match connection {
        Connection::WebSocket(pending, version) => {
            let (mut sink, source) = pending.socket().await?.split();
            // Tells the client that the session stands (upstream `createWebSocketStreams`).
            let first = match (wants.stdout, wants.stderr) {
                (true, _) => STDOUT,
                (false, true) => STDERR,
                (false, false) => ERROR,
            };
            sink.send(Message::binary(message(first, &[]))).await?;
            Ok((Output::WebSocket(sink), Input::WebSocket(source, version)))
        }
        Connection::Spdy(upgraded) => spdy(upgraded, wants, tasks).await,
        Connection::Forward(_) => Err("a port-forward connection came to an exec URL".into()),
    }
}

async fn spdy(
    upgraded: OnUpgrade,
    wants: &Wants,
    tasks: &Tasks,
) -> Result<(Output, Input), Failure> {
    let mut acceptor = connect(upgraded, tasks).await?;
    let count = |wanted: &[bool]| wanted.iter().filter(|wanted| **wanted).count();
    let expected = 1 + count(&[wants.stdin, wants.stdout, wants.stderr, wants.tty]);
    let streams = tokio::time::timeout(STREAMS_TIMEOUT, async {
        let mut streams = Vec::new();
        while streams.len() < expected.min(MAX_STREAMS) {
            streams.push(
                acceptor
                    .accept()
                    .await
                    .ok_or("the client left before its streams were open")?,
            );
        }
        Ok::<_, Failure>(streams)
    });
    let mut streams = streams
        .await
        .map_err(|_| "timed out waiting for the client to create its streams")??;
    let mut take = |kind: &str| -> Option<Stream> {
        let at = streams
            .iter()
            .position(|stream| stream.headers().get("streamtype") == Some(kind))?;
        Some(streams.swap_remove(at))
    };
    let error = take("error")
        .ok_or("the client opened no error stream")?
        .split()
        .1;
    let writer = |stream: Option<Stream>| stream.map(|stream| stream.split().1);
    let (stdout, stderr) = (writer(take("stdout")), writer(take("stderr")));
    let mut silent = Vec::new();
    let mut reader = |stream: Option<Stream>| {
        let (data, writer) = stream?.split();
        silent.push(writer);
        Some(data)
    };
    let (stdin, resize) = (reader(take("stdin")), reader(take("resize")));
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

/// SPDY on a connection that leaves HTTP; its driver is a task.
pub(super) async fn connect(upgraded: OnUpgrade, tasks: &Tasks) -> Result<Acceptor, Failure> {
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
    pub(super) async fn data(&mut self, channel: u8, data: Vec<u8>) -> Result<(), Failure> {
        let stream = match self {
            Self::WebSocket(sink) => {
                return Ok(sink.send(Message::binary(message(channel, &data))).await?);
            }
            Self::Spdy { stderr, .. } if channel == STDERR => stderr,
            Self::Spdy { stdout, .. } => stdout,
        };
        let Some(stream) = stream else { return Ok(()) };
        if stream.write(data.into()).await {
            Ok(())
        } else {
            Err("the client left".into())
        }
    }

    /// The end, with the status where there is one.
    pub(super) async fn end(self, status: Option<Value>) -> Result<(), Failure> {
        match self {
            Self::WebSocket(mut sink) => {
                if let Some(status) = status {
                    sink.send(Message::binary(message(
                        ERROR,
                        status.to_string().as_bytes(),
                    )))
                    .await?;
                }
                // Clients take a close without a status (1005) for a broken connection.
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
    pub(super) async fn next(&mut self) -> Result<Option<Said>, Failure> {
        match self {
            Self::WebSocket(source, version) => websocket_said(source, *version).await,
            Self::Spdy {
                stdin,
                resize,
                acceptor,
            } => loop {
                tokio::select! {
                    data = receive(stdin) => return Ok(Some(data.map_or(Said::HalfClose, Said::Data))),
                    Some(size) = receive(resize) => return Ok(Some(Said::Resize(size))),
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

async fn websocket_said(
    source: &mut SplitStream<Socket>,
    version: Version,
) -> Result<Option<Said>, Failure> {
    while let Some(received) = source.next().await {
        let data: Bytes = match received? {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return Ok(None),
            // Pings are answered by the library.
            _ => continue,
        };
        match channel::parse(version, &data) {
            channel::Input::Data(_) => return Ok(Some(Said::Data(data.slice(1..)))),
            channel::Input::Resize(_) => return Ok(Some(Said::Resize(data.slice(1..)))),
            channel::Input::HalfClose => return Ok(Some(Said::HalfClose)),
            channel::Input::Nothing => {}
        }
    }
    Ok(None)
}
