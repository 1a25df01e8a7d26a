//! One question to one server.

use std::io;
use std::net::SocketAddr;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// How the client came, and how the server is asked: a client that came by TCP did so because the
/// answer did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// The largest datagram that a server may send us (RFC 6891 lets it send what the question allows).
const DATAGRAM_MAX: usize = 65_535;

/// Sends the question and waits for the answer to it, and to nothing else.
pub(super) async fn exchange(
    server: SocketAddr,
    question: &Message,
    transport: Transport,
) -> io::Result<Message> {
    let bytes = question.to_vec().map_err(io::Error::other)?;
    match transport {
        Transport::Udp => by_udp(server, question, &bytes).await,
        Transport::Tcp => by_tcp(server, question, &bytes).await,
    }
}

async fn by_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0; 4], 0).into()
    } else {
        ([0; 16], 0).into()
    };
    // A socket of its own, connected: the kernel picks a random port, and drops what others send.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let received = buffer.get(..length).unwrap_or_default();
        // A forged or late datagram is not an error: the right one may still come.
        if let Some(answer) = Message::from_vec(received)
            .ok()
            .filter(|a| answers(a, question))
        {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(io::Error::other)?;
    if answers(&answer, question) {
        Ok(answer)
    } else {
        Err(io::Error::other("an answer to another question"))
    }
}

fn answers(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && (answer.queries.is_empty() || answer.queries == question.queries)
}
