//! Port-forward: connections into a pod's network namespace, each with a stream of data and a stream for
//! an error (kubernetes `staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward`).

mod spdy;
mod websocket;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use k3s_lifecycle::Tasks;
use k3s_spdy::StreamWriter;
use k3s_sys::namespace::{self, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::error::SessionError;
use super::handshake::ForwardConnection;
use websocket::ChannelWriter;
pub(crate) use websocket::MAX_PORTS;

/// Loopback answers at once, unless the server's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 32 * 1024;

/// Where connections go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) sandbox: String,
    /// The pod's network namespace; the host's where there is none.
    pub(crate) netns: Option<PathBuf>,
    /// The ports that the kubelet asked for. Clients over SPDY name the port with each stream and need none.
    pub(crate) ports: Vec<u16>,
}

/// Serves one client until it leaves.
pub(super) async fn run(
    connection: ForwardConnection,
    target: Target,
    tasks: &Tasks,
) -> Result<(), SessionError> {
    match connection {
        ForwardConnection::Spdy(upgraded) => spdy::run(upgraded, target, tasks).await,
        ForwardConnection::WebSocket(pending) => websocket::run(pending, &target, tasks).await,
    }
}

/// One forwarded connection.
struct Forwarding {
    port: u16,
    /// From the client; ends with its half of the connection.
    incoming: mpsc::Receiver<Bytes>,
    outgoing: Writer,
    error: Writer,
}

/// To the client.
enum Writer {
    Spdy(StreamWriter),
    WebSocket(ChannelWriter),
}

impl Writer {
    /// False when the client has left.
    async fn write(&mut self, data: Bytes) -> bool {
        match self {
            Self::Spdy(stream) => stream.write(data).await,
            Self::WebSocket(channel) => channel.write(&data).await,
        }
    }

    /// Returns when the client has left.
    async fn closed(&self) {
        match self {
            Self::Spdy(stream) => stream.closed().await,
            Self::WebSocket(channel) => channel.closed().await,
        }
    }

    /// Ends the stream, where the protocol has an end of one stream.
    async fn finish(&mut self) {
        match self {
            Self::Spdy(stream) => stream.finish().await,
            Self::WebSocket(_) => {}
        }
    }
}

/// Connects to the port and copies both ways; what went wrong goes to the stream for errors.
async fn forward(target: &Target, mut forwarding: Forwarding) {
    let Forwarding { port, error, .. } = &mut forwarding;
    match dial(target, *port).await {
        Ok(connection) => {
            copy(connection, forwarding.incoming, &mut forwarding.outgoing).await;
        }
        Err(failure) => {
            let sandbox = &target.sandbox;
            let text = format!("error forwarding port {port} to pod {sandbox}, uid : {failure}");
            error.write(Bytes::from(text)).await;
        }
    }
    forwarding.outgoing.finish().await;
    forwarding.error.finish().await;
}

/// Why a port of a pod was not reached. The wording is containerd's.
#[derive(Debug, thiserror::Error)]
enum DialError {
    /// The pod does not listen there.
    #[error("connect: connection refused")]
    Refused,
    /// No answer in time.
    #[error("i/o timeout")]
    Timeout,
    /// The connection failed otherwise.
    #[error("connect: {0}")]
    Connect(io::Error),
    /// No socket could be made in the pod's namespace.
    #[error("{0}")]
    Socket(io::Error),
    /// Neither of the pod's loopback addresses answered.
    #[error(
        "failed to connect to localhost:{port} inside namespace \"{namespace}\", IPv4: dial tcp4 127.0.0.1:{port}: {v4} IPv6 dial tcp6 [::1]:{port}: {v6} "
    )]
    Both {
        port: u16,
        namespace: String,
        v4: Box<DialError>,
        v6: Box<DialError>,
    },
}

async fn dial(target: &Target, port: u16) -> Result<TcpStream, DialError> {
    let v4 = match connect(target, (Ipv4Addr::LOCALHOST, port).into()).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let v6 = match connect(target, (Ipv6Addr::LOCALHOST, port).into()).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let namespace = target.netns.as_deref().unwrap_or(Path::new("host"));
    Err(DialError::Both {
        port,
        namespace: namespace.display().to_string(),
        v4: Box::new(v4),
        v6: Box::new(v6),
    })
}

/// A socket belongs to the namespace it was made in, wherever it is connected from.
async fn connect(target: &Target, address: SocketAddr) -> Result<TcpStream, DialError> {
    let make = move || match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = match target.netns.clone() {
        None => make(),
        Some(path) => {
            tokio::task::spawn_blocking(move || namespace::inside(&path, Kind::Net, make))
                .await
                .map_err(io::Error::other)
                .and_then(|made| made?)
        }
    };
    let socket = socket.map_err(DialError::Socket)?;
    match tokio::time::timeout(CONNECT_TIMEOUT, socket.connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(DialError::Refused)
        }
        Ok(Err(error)) => Err(DialError::Connect(error)),
        Err(_) => Err(DialError::Timeout),
    }
}

/// Copies until the server closed its side, or the client left.
async fn copy(connection: TcpStream, mut incoming: mpsc::Receiver<Bytes>, outgoing: &mut Writer) {
    let (mut read, mut write) = connection.into_split();
    let inward = async {
        while let Some(data) = incoming.recv().await {
            if write.write_all(&data).await.is_err() {
                break;
            }
        }
        // The server may still send; the connection ends when the server ends it.
        let _gone = write.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = inward => {}
        () = pump(&mut read, outgoing) => {}
    }
}

async fn pump(read: &mut (impl AsyncReadExt + Unpin), out: &mut Writer) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = tokio::select! {
            count = read.read(&mut buffer) => count,
            () = out.closed() => return,
        };
        let Some(data) = count
            .ok()
            .and_then(|count| buffer.get(..count))
            .filter(|data| !data.is_empty())
        else {
            return;
        };
        if !out.write(Bytes::copy_from_slice(data)).await {
            return;
        }
    }
}
