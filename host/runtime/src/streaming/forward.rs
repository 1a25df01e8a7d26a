//! Port-forward: connections into a pod's network namespace, two SPDY streams each
//! (kubernetes `staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward/httpstream.go`).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use k3s_lifecycle::Tasks;
use k3s_spdy::{Stream, StreamWriter};
use k3s_sys::namespace::{self, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::client;
use super::error::SessionError;

/// Streams whose counterpart is not there yet; more are reset.
const MAX_UNPAIRED: usize = 256;
/// Loopback answers at once, unless the server's backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const BUFFER_BYTES: usize = 32 * 1024;

/// Where connections go.
#[derive(Clone)]
struct Target {
    sandbox: String,
    netns: Option<PathBuf>,
}

/// The two streams of one connection.
struct Pair {
    port: u16,
    data: Stream,
    error: Stream,
}

/// Serves one client until it leaves.
pub(super) async fn run(
    upgraded: OnUpgrade,
    sandbox: String,
    netns: Option<PathBuf>,
    tasks: &Tasks,
) -> Result<(), SessionError> {
    let target = Target { sandbox, netns };
    let mut acceptor = client::connect(upgraded, tasks).await?;
    let mut unpaired: HashMap<String, Stream> = HashMap::new();
    while let Some(stream) = acceptor.accept().await {
        let Some(pair) = paired(&mut unpaired, stream) else {
            continue;
        };
        let target = target.clone();
        tasks.spawn_until_stopped("port forward", async move { forward(&target, pair).await });
    }
    Ok(())
}

/// The pair that `stream` completes, if it does. What cannot be part of one is dropped, and thereby
/// reset.
fn paired(unpaired: &mut HashMap<String, Stream>, stream: Stream) -> Option<Pair> {
    let port = port(&stream)?;
    let request = stream.headers().get("requestid")?.to_owned();
    let is_error = |stream: &Stream| match stream.headers().get("streamtype") {
        Some("error") => Some(true),
        Some("data") => Some(false),
        _ => None,
    };
    let error = is_error(&stream)?;
    match unpaired.remove(&request) {
        Some(other) if is_error(&other) == Some(!error) => {
            let (data, error) = if error {
                (other, stream)
            } else {
                (stream, other)
            };
            Some(Pair { port, data, error })
        }
        _ => {
            if unpaired.len() < MAX_UNPAIRED {
                unpaired.insert(request, stream);
            }
            None
        }
    }
}

fn port(stream: &Stream) -> Option<u16> {
    stream
        .headers()
        .get("port")?
        .parse()
        .ok()
        .filter(|port| *port > 0)
}

async fn forward(target: &Target, mut pair: Pair) {
    match dial(target, pair.port).await {
        Ok(connection) => copy(connection, pair.data).await,
        Err(error) => {
            let text = format!(
                "error forwarding port {} to pod {}, uid : {error}",
                pair.port, target.sandbox
            );
            pair.error.writer().write(Bytes::from(text)).await;
            pair.data.writer().finish().await;
        }
    }
    pair.error.writer().finish().await;
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

/// Until the server closed its side, or the client left.
async fn copy(connection: TcpStream, data: Stream) {
    let (mut read, mut write) = connection.into_split();
    let (mut incoming, mut outgoing) = data.split();
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
        () = pump(&mut read, &mut outgoing) => {}
    }
    outgoing.finish().await;
}

async fn pump(read: &mut (impl AsyncReadExt + Unpin), out: &mut StreamWriter) {
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
