//! The driver of one connection: frames in to streams, frames out from them.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::frame::{FrameEncoder, FrameError, FrameReader, Incoming, Outgoing, REFUSED};
use crate::header::Headers;
use crate::room::Room;
use crate::stream::Stream;

/// Frames waiting to be written; a full queue makes the streams wait.
const OUT_FRAMES: usize = 32;
/// Pieces of data waiting for a stream's reader; a full queue holds the connection back.
const IN_PIECES: usize = 8;
/// Octets waiting for the readers of all streams; without room the connection is held back.
const WAITING_BYTES: u32 = 4 * 1024 * 1024;
/// Streams waiting to be accepted; more wait in the connection.
const WAITING_STREAMS: usize = 16;
/// Streams at once; more are refused. A forwarded connection has two.
const MAX_STREAMS: usize = 2048;
/// Frames are collected up to this size before they are written.
const WRITE_BYTES: usize = 64 * 1024;

/// Receives the client's streams.
#[derive(Debug)]
pub struct Acceptor {
    streams: mpsc::Receiver<Stream>,
    /// Keeps the connection open while no stream is.
    _out: mpsc::Sender<Outgoing>,
}

impl Acceptor {
    /// The next stream; none once the connection ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.streams.recv().await
    }
}

/// Serves SPDY over `io`. The returned future drives the connection: it has to be
/// polled, and ends when the client left, the peer broke the protocol, or the acceptor and all
/// streams are dropped (what they wrote is sent before).
pub fn connect<I>(
    io: I,
) -> (
    Acceptor,
    impl Future<Output = Result<(), FrameError>> + Send,
)
where
    I: AsyncRead + AsyncWrite + Send,
{
    let (out, queue) = mpsc::channel(OUT_FRAMES);
    let (accepted, streams) = mpsc::channel(WAITING_STREAMS);
    let reading = Reading {
        accepted,
        out: out.downgrade(),
        streams: HashMap::new(),
        room: Room::new(WAITING_BYTES),
    };
    let driver = async move {
        let (read, write) = tokio::io::split(io);
        let reader = FrameReader::new(tokio::io::BufReader::with_capacity(WRITE_BYTES, read));
        tokio::select! {
            done = reading.run(reader) => done,
            done = write_all(write, queue) => done,
        }
    };
    (Acceptor { streams, _out: out }, driver)
}

/// Writes what is queued until every sender is gone.
async fn write_all<W: AsyncWrite + Unpin>(
    mut io: W,
    mut queue: mpsc::Receiver<Outgoing>,
) -> Result<(), FrameError> {
    let mut encoder = FrameEncoder::default();
    let mut buffer = BytesMut::new();
    while let Some(frame) = queue.recv().await {
        encoder.encode(frame, &mut buffer);
        while buffer.len() < WRITE_BYTES
            && let Ok(frame) = queue.try_recv()
        {
            encoder.encode(frame, &mut buffer);
        }
        io.write_all(&buffer).await?;
        io.flush().await?;
        buffer.clear();
    }
    io.shutdown().await?;
    Ok(())
}

struct Reading {
    accepted: mpsc::Sender<Stream>,
    /// Weak: the reader alone does not keep a connection open.
    out: mpsc::WeakSender<Outgoing>,
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    room: Room,
}

impl Reading {
    async fn run<R: AsyncRead + Unpin>(
        mut self,
        mut reader: FrameReader<R>,
    ) -> Result<(), FrameError> {
        while let Some(frame) = reader.next().await? {
            match frame {
                Incoming::Open { id, headers, fin } => self.open(id, headers, fin).await,
                Incoming::Data { id, data, fin } => self.data(id, data, fin).await,
                Incoming::Reset { id } => drop(self.streams.remove(&id)),
                Incoming::Ping(id) => self.send(Outgoing::Ping(id)).await,
                // The client opens no more streams; those that are open continue.
                Incoming::GoAway | Incoming::Nothing => {}
            }
        }
        Ok(())
    }

    async fn send(&self, frame: Outgoing) {
        if let Some(out) = self.out.upgrade() {
            // A writer that failed ends the connection by itself.
            let _failed = out.send(frame).await;
        }
    }

    async fn open(&mut self, id: u32, headers: Headers, fin: bool) {
        self.streams.retain(|_, data| !data.is_closed());
        if self.streams.len() >= MAX_STREAMS || self.streams.contains_key(&id) {
            return self
                .send(Outgoing::Reset {
                    id,
                    status: REFUSED,
                })
                .await;
        }
        let Some(out) = self.out.upgrade() else {
            return;
        };
        let (sender, data) = mpsc::channel(IN_PIECES);
        self.send(Outgoing::Reply { id }).await;
        if self
            .accepted
            .send(Stream::new(id, headers, data, out))
            .await
            .is_ok()
            && !fin
        {
            self.streams.insert(id, sender);
        }
    }

    async fn data(&mut self, id: u32, data: Bytes, fin: bool) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        // Data for a stream without a reader is dropped, and needs no room.
        let gone = stream.is_closed()
            || (!data.is_empty() && stream.send(self.room.hold(data).await).await.is_err());
        if fin || gone {
            self.streams.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::header::Compressor;

    /// A client's `SYN_STREAM`.
    fn open(compressor: &mut Compressor, id: u32, headers: &[(&str, &str)]) -> Vec<u8> {
        let headers = Headers(
            headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        );
        let block = compressor.block(&headers);
        let length = u32::try_from(block.len() + 10).unwrap().to_be_bytes();
        let mut out = vec![0x80, 3, 0, 1, 0, length[1], length[2], length[3]];
        out.extend(id.to_be_bytes());
        out.extend([0; 6]);
        out.extend(block);
        out
    }

    fn data(id: u32, bytes: &[u8], fin: bool) -> Vec<u8> {
        let mut out = BytesMut::new();
        let frame = Outgoing::Data {
            id,
            data: Bytes::copy_from_slice(bytes),
            fin,
        };
        FrameEncoder::default().encode(frame, &mut out);
        out.to_vec()
    }

    async fn next(reader: &mut FrameReader<impl AsyncRead + Unpin>) -> Incoming {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(10), reader.next());
        frame.await.unwrap().unwrap().unwrap()
    }

    #[tokio::test]
    async fn streams_are_opened_answered_and_finished() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut acceptor, driver) = connect(server);
        let client_side = async {
            let (read, mut write) = tokio::io::split(client);
            let (mut reader, mut headers) = (FrameReader::new(read), Compressor::default());
            write
                .write_all(&open(
                    &mut headers,
                    1,
                    &[("streamType", "data"), ("port", "80")],
                ))
                .await
                .unwrap();
            write.write_all(&data(1, b"ping", true)).await.unwrap();
            write
                .write_all(&[0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 9])
                .await
                .unwrap();
            let mut seen = Vec::new();
            while seen.len() < 4 {
                seen.push(next(&mut reader).await);
            }
            // The reply comes first; the ping may overtake the answer.
            assert_eq!(seen.remove(0), Incoming::Nothing);
            seen.sort_by_key(|frame| matches!(frame, Incoming::Ping(_)));
            assert_eq!(
                seen[0],
                Incoming::Data {
                    id: 1,
                    data: Bytes::from_static(b"pong"),
                    fin: false
                }
            );
            assert_eq!(
                seen[1],
                Incoming::Data {
                    id: 1,
                    data: Bytes::new(),
                    fin: true
                }
            );
            assert_eq!(seen[2], Incoming::Ping(9));
            // Everything of the server's side is dropped by now, so the connection ends.
            let mut rest = Vec::new();
            let (io, _) = (reader, write);
            let mut io = io.into_inner();
            io.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, [0_u8; 0]);
        };
        let server_side = async move {
            let mut stream = acceptor.accept().await.unwrap();
            assert_eq!(stream.headers().get("streamtype"), Some("data"));
            assert_eq!(stream.headers().get("Port"), Some("80"));
            assert_eq!(stream.read().await.unwrap(), "ping");
            assert_eq!(stream.read().await, None);
            // Waits until the ping is through, so that nothing races with the end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(stream.writer().write(Bytes::from_static(b"pong")).await);
            stream.writer().finish().await;
        };
        let ((), (), driven) = tokio::join!(client_side, server_side, driver);
        driven.unwrap();
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_is_reset() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut acceptor, driver) = connect(server);
        let client_side = async {
            let (read, mut write) = tokio::io::split(client);
            let mut reader = FrameReader::new(read);
            write
                .write_all(&open(&mut Compressor::default(), 1, &[]))
                .await
                .unwrap();
            assert_eq!(next(&mut reader).await, Incoming::Nothing);
            assert_eq!(next(&mut reader).await, Incoming::Reset { id: 1 });
        };
        let server_side = async move {
            drop(acceptor.accept().await.unwrap());
            assert!(acceptor.accept().await.is_none(), "the client left");
        };
        let ((), (), driven) = tokio::join!(client_side, server_side, driver);
        driven.unwrap();
    }

    #[tokio::test]
    async fn what_waits_for_readers_is_bounded_over_all_streams() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut acceptor, driver) = connect(server);
        let (mut read, mut write) = tokio::io::split(client);
        let piece = vec![7; 32 * 1024];
        let sent = std::cell::Cell::new(0);
        let sending = async {
            let mut compressor = Compressor::default();
            for id in (1..2000).step_by(2) {
                let opening = open(&mut compressor, id, &[]);
                write.write_all(&opening).await.unwrap();
                write.write_all(&data(id, &piece, false)).await.unwrap();
                sent.set(sent.get() + piece.len());
            }
        };
        let accepting = async {
            let mut streams = Vec::new();
            while let Some(stream) = acceptor.accept().await {
                streams.push(stream);
            }
        };
        let mut sink = tokio::io::sink();
        let settled = async {
            for _ in 0..20_000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = driver => panic!("the connection ended"),
            _ = tokio::io::copy(&mut read, &mut sink) => panic!("the server left"),
            () = accepting => panic!("no more streams"),
            () = sending => panic!("everything was taken"),
            () = settled => {}
        }
        let bound = usize::try_from(WAITING_BYTES).unwrap();
        let under_way = 2 * WRITE_BYTES + piece.len();
        assert!(sent.get() <= bound + under_way, "{}", sent.get());
        assert!(sent.get() >= bound / 2, "{}", sent.get());
    }
}
