//! Frames on the wire (SPDY protocol draft 3.1, section 2): reading them from a byte stream, and
//! their encoding.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::header::{Compressor, Decompressor, Headers};

/// A control frame may be this long; those of Kubernetes have a few hundred octets.
const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// Long data frames are passed on in pieces of this size.
const DATA_PIECE_BYTES: usize = 32 * 1024;
const CONTROL_BIT: u8 = 0x80;
const VERSION: u8 = 3;
const FLAG_FIN: u8 = 0x01;
/// Stream numbers have 31 bits.
const ID_MASK: u32 = 0x7fff_ffff;

const SYN_STREAM: u8 = 1;
const SYN_REPLY: u8 = 2;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const HEADERS: u8 = 8;

/// Status of a stream that its receiver no longer wants.
pub(crate) const CANCEL: u32 = 5;
/// Status of a stream that is refused.
pub(crate) const REFUSED: u32 = 3;

/// Why a connection cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// A control frame that is longer than the limit.
    #[error("control frame of {0} bytes is too long")]
    TooLong(usize),
    /// Not SPDY/3.
    #[error("frame is not of SPDY version 3")]
    Version,
    /// A control frame without its fixed fields.
    #[error("frame is shorter than its kind needs")]
    Short,
    /// A header block that does not decompress.
    #[error("header block is not compressed with the SPDY/3 dictionary")]
    Compression,
    /// A header block with lengths that lead outside of it.
    #[error("header block is malformed")]
    Headers,
    /// A header block that is longer than the limit.
    #[error("header block is too long")]
    HeadersTooLong,
}

/// The frames of a peer that have an effect here.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A stream that the client opens.
    Open {
        id: u32,
        headers: Headers,
        fin: bool,
    },
    /// Data, or a piece of it.
    Data { id: u32, data: Bytes, fin: bool },
    /// The client wants nothing more of a stream.
    Reset { id: u32 },
    /// To be sent back.
    Ping(u32),
    /// The client opens no more streams.
    GoAway,
    /// Settings, window updates, late headers: they have no effect.
    Nothing,
}

/// The frames that are sent to a peer.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Reply { id: u32 },
    Data { id: u32, data: Bytes, fin: bool },
    Reset { id: u32, status: u32 },
    Ping(u32),
}

/// Reads frames. Holds one piece of data or one control frame at a time.
pub struct FrameReader<R> {
    io: R,
    headers: Decompressor,
    /// A data frame under way: stream, octets left, whether it ends the stream.
    open: Option<(u32, usize, bool)>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Begins at the first octet after the upgrade.
    pub fn new(io: R) -> Self {
        Self {
            io,
            headers: Decompressor::new(),
            open: None,
        }
    }

    /// What it reads from.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> R {
        self.io
    }

    /// The next frame or piece of one; none at the end of the connection. Not cancellation safe.
    ///
    /// # Errors
    /// Where the connection breaks, or is none of SPDY/3.1 within the limits here.
    pub async fn next(&mut self) -> Result<Option<Incoming>, FrameError> {
        if let Some((id, left, fin)) = self.open.take() {
            return self.piece(id, left, fin).await.map(Some);
        }
        let mut header = [0; 8];
        match self.io.read_exact(&mut header).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        };
        let [first, second, _, kind, flags, l0, l1, l2] = header;
        let length = usize::try_from(u32::from_be_bytes([0, l0, l1, l2])).unwrap_or(usize::MAX);
        let fin = flags & FLAG_FIN != 0;
        if first & CONTROL_BIT == 0 {
            let [a, b, c, d, ..] = header;
            return self
                .piece(u32::from_be_bytes([a, b, c, d]), length, fin)
                .await
                .map(Some);
        }
        if (first & !CONTROL_BIT, second) != (0, VERSION) {
            return Err(FrameError::Version);
        }
        if length > MAX_CONTROL_BYTES {
            return Err(FrameError::TooLong(length));
        }
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await?;
        self.control(kind, fin, &payload).map(Some)
    }

    async fn piece(&mut self, id: u32, length: usize, fin: bool) -> Result<Incoming, FrameError> {
        let size = length.min(DATA_PIECE_BYTES);
        let mut data = BytesMut::zeroed(size);
        self.io.read_exact(&mut data).await?;
        let left = length.saturating_sub(size);
        if left > 0 {
            self.open = Some((id, left, fin));
        }
        Ok(Incoming::Data {
            id,
            data: data.freeze(),
            fin: fin && left == 0,
        })
    }

    fn control(&mut self, kind: u8, fin: bool, payload: &[u8]) -> Result<Incoming, FrameError> {
        let number = || {
            payload
                .first_chunk()
                .map(|octets| u32::from_be_bytes(*octets))
                .ok_or(FrameError::Short)
        };
        Ok(match kind {
            SYN_STREAM => {
                // Stream, associated stream, priority and slot precede the headers.
                let block = payload.get(10..).ok_or(FrameError::Short)?;
                Incoming::Open {
                    id: number()? & ID_MASK,
                    headers: self.headers.block(block)?,
                    fin,
                }
            }
            SYN_REPLY | HEADERS => {
                // Read, because all blocks share one compression.
                self.headers
                    .block(payload.get(4..).ok_or(FrameError::Short)?)?;
                Incoming::Nothing
            }
            RST_STREAM => Incoming::Reset {
                id: number()? & ID_MASK,
            },
            PING => Incoming::Ping(number()?),
            GOAWAY => Incoming::GoAway,
            _ => Incoming::Nothing,
        })
    }
}

/// Encodes frames.
#[derive(Default)]
pub(crate) struct FrameEncoder {
    headers: Compressor,
}

impl FrameEncoder {
    pub(crate) fn encode(&mut self, frame: Outgoing, out: &mut BytesMut) {
        match frame {
            Outgoing::Reply { id } => {
                let block = self.headers.block(&Headers::default());
                control(out, SYN_REPLY, &[&id.to_be_bytes(), &block]);
            }
            Outgoing::Reset { id, status } => {
                control(out, RST_STREAM, &[&id.to_be_bytes(), &status.to_be_bytes()])
            }
            Outgoing::Ping(id) => control(out, PING, &[&id.to_be_bytes()]),
            Outgoing::Data { id, data, fin } => {
                out.extend_from_slice(&(id & ID_MASK).to_be_bytes());
                length(out, u8::from(fin), data.len());
                out.extend_from_slice(&data);
            }
        }
    }
}

fn control(out: &mut BytesMut, kind: u8, parts: &[&[u8]]) {
    out.extend_from_slice(&[CONTROL_BIT, VERSION, 0, kind]);
    length(out, 0, parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Flags and the length in 24 bits; what is sent in one frame is far shorter.
fn length(out: &mut BytesMut, flags: u8, length: usize) {
    let [_, l0, l1, l2] = u32::try_from(length).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&[flags, l0, l1, l2]);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(bytes: &[u8]) -> Result<Vec<Incoming>, FrameError> {
        let mut reader = FrameReader::new(bytes);
        let mut all = Vec::new();
        while let Some(frame) = reader.next().await? {
            all.push(frame);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn frames_come_back_as_they_were() {
        let (mut encoder, mut out) = (FrameEncoder::default(), BytesMut::new());
        encoder.encode(Outgoing::Reply { id: 1 }, &mut out);
        encoder.encode(
            Outgoing::Data {
                id: 1,
                data: Bytes::from_static(b"hi"),
                fin: true,
            },
            &mut out,
        );
        encoder.encode(
            Outgoing::Reset {
                id: 3,
                status: CANCEL,
            },
            &mut out,
        );
        encoder.encode(Outgoing::Ping(7), &mut out);
        let expected = [
            Incoming::Nothing,
            Incoming::Data {
                id: 1,
                data: Bytes::from_static(b"hi"),
                fin: true,
            },
            Incoming::Reset { id: 3 },
            Incoming::Ping(7),
        ];
        assert_eq!(frames(&out).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn long_data_comes_in_pieces_and_ends_with_the_last() {
        let (mut encoder, mut out) = (FrameEncoder::default(), BytesMut::new());
        let data = Bytes::from(vec![7; DATA_PIECE_BYTES + 1]);
        encoder.encode(
            Outgoing::Data {
                id: 5,
                data,
                fin: true,
            },
            &mut out,
        );
        let pieces = frames(&out).await.unwrap();
        let sizes: Vec<_> = pieces
            .iter()
            .map(|piece| match piece {
                Incoming::Data { id: 5, data, fin } => (data.len(), *fin),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [(DATA_PIECE_BYTES, false), (1, true)]);
    }

    #[tokio::test]
    async fn what_no_peer_sends_ends_the_connection() {
        assert!(matches!(
            frames(&[0x80, 2, 0, 1, 0, 0, 0, 0]).await,
            Err(FrameError::Version)
        ));
        assert!(matches!(
            frames(&[0x80, 3, 0, 1, 0, 0xff, 0, 0]).await,
            Err(FrameError::TooLong(_))
        ));
        assert!(matches!(
            frames(&[0x80, 3, 0, 1, 0, 0, 0, 1, 0]).await,
            Err(FrameError::Short)
        ));
        assert!(matches!(
            frames(&[0x80, 3, 0, 1, 0, 0, 0, 9]).await,
            Err(FrameError::Io(_))
        ));
        assert_eq!(frames(&[0x80, 3, 0]).await.unwrap(), []);
    }
}
