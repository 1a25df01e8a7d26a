//! `kubectl exec` over WebSocket, sub-protocol `v5.channel.k8s.io` (KEP-4006): the first byte of each
//! message is its channel.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use k3s_client::{empty, resources};
use k3s_meta::Status;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::pods;
use super::terminal::{RawMode, size};
use crate::Failure;
use crate::cli::Exec;
use crate::session::Session;

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(crate) async fn run(session: &Session, args: &Exec) -> Result<(), Failure> {
    let pod = pods::find(session, &args.pod).await?;
    let container = pods::container(&pod, args.container.as_deref())?;
    let mut tty = args.tty;
    if tty && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        tty = false;
    }
    let socket = connect(session, args, pod.namespace(), pod.name(), &container, tty).await?;
    let raw = if tty { RawMode::enter() } else { None };
    let outcome = stream(socket, args.stdin, tty).await;
    drop(raw);
    outcome
}

async fn connect(
    session: &Session,
    args: &Exec,
    namespace: &str,
    name: &str,
    container: &str,
    tty: bool,
) -> Result<Socket, Failure> {
    let escape = |text: &str| -> String {
        let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        text.bytes()
            .map(|b| {
                if keep(b) {
                    char::from(b).to_string()
                } else {
                    format!("%{b:02X}")
                }
            })
            .collect()
    };
    let mut path = resources::PODS.path(Some(namespace), Some(name), Some("exec"));
    path += &format!(
        "?container={}&stdout=true&stderr={}&stdin={}&tty={tty}",
        escape(container),
        !tty,
        args.stdin
    );
    for word in &args.command {
        path += &format!("&command={}", escape(word));
    }
    let request = Request::get(&path)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, generate_key())
        .header(SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(empty())
        .map_err(|e| Failure::local(e.to_string()))?;
    let response = session.open_stream(request, &path).await?;
    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::local("the server did not upgrade the connection"));
    }
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|e| Failure::local(e.to_string()))?;
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
}

async fn stream(socket: Socket, stdin: bool, tty: bool) -> Result<(), Failure> {
    let (sink, source) = socket.split();
    // The command's end ends the session, whatever the input does; input that ends does not.
    tokio::select! {
        outcome = receive(source) => outcome,
        failed = send(sink, stdin, tty) => failed,
    }
}

async fn receive(mut source: SplitStream<Socket>) -> Result<(), Failure> {
    let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
    while let Some(message) = source.next().await {
        let data = match message {
            Ok(Message::Binary(data)) => data,
            Ok(Message::Close(_)) => break,
            Ok(_) => continue,
            Err(e) => return Err(Failure::local(format!("the connection broke: {e}"))),
        };
        match data.split_first() {
            Some((&STDOUT, rest)) => {
                out.write_all(rest).await?;
                out.flush().await?;
            }
            Some((&STDERR, rest)) => err.write_all(rest).await?,
            Some((&ERROR, rest)) => return ended(rest),
            _ => {}
        }
    }
    Err(Failure::local(
        "the connection ended before the command did",
    ))
}

/// What the status on the error channel says.
fn ended(json: &[u8]) -> Result<(), Failure> {
    let status: Status = serde_json::from_slice(json)
        .map_err(|e| Failure::local(format!("malformed exit status: {e}")))?;
    if status.status == "Success" {
        return Ok(());
    }
    let causes = status
        .details
        .as_ref()
        .map(|d| d.causes.as_slice())
        .unwrap_or_default();
    let code = causes
        .iter()
        .find(|c| c.reason.0 == "ExitCode")
        .and_then(|c| c.message.parse::<u8>().ok());
    Err(code.map_or_else(|| Failure::local(status.message.clone()), Failure::Exit))
}

/// Sends input and window sizes; ends only with an error.
async fn send(mut sink: SplitSink<Socket, Message>, stdin: bool, tty: bool) -> Result<(), Failure> {
    let broken = |e: tokio_tungstenite::tungstenite::Error| {
        Failure::local(format!("the connection broke: {e}"))
    };
    let mut resized = signal(SignalKind::window_change())?;
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0_u8; 8 << 10];
    let mut open = stdin;
    if tty {
        sink.send(window()).await.map_err(broken)?;
    }
    loop {
        tokio::select! {
            read = input.read(&mut buffer), if open => {
                let message = match read? {
                    0 => {
                        open = false;
                        frame(CLOSE, &[STDIN])
                    }
                    n => frame(STDIN, buffer.get(..n).unwrap_or_default()),
                };
                sink.send(message).await.map_err(broken)?;
            }
            _ = resized.recv(), if tty => sink.send(window()).await.map_err(broken)?,
            else => std::future::pending().await,
        }
    }
}

fn frame(channel: u8, data: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(data.len() + 1);
    bytes.push(channel);
    bytes.extend_from_slice(data);
    Message::Binary(Bytes::from(bytes))
}

fn window() -> Message {
    let (width, height) = size().unwrap_or((80, 24));
    frame(
        RESIZE,
        json!({"Width": width, "Height": height})
            .to_string()
            .as_bytes(),
    )
}
