//! Header blocks: pairs of names and values, compressed with one zlib stream per direction.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::dictionary::dictionary;
use crate::frame::FrameError;

/// Names (lower case) and values, in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of a header; names compare without case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The window of the compression; a power of two, as the decompressor wants its ring.
const WINDOW_BYTES: usize = 32 * 1024;
/// A block may be this long after decompression; those of Kubernetes have under 200 octets.
const MAX_BLOCK_BYTES: usize = 64 * 1024;
/// CMF and FLG with the dictionary bit, then the dictionary's checksum.
const ZLIB_HEADER_BYTES: usize = 6;
/// The header of the direction to the peer: deflate, 32 KiB, dictionary `e3c6a7c2`.
const ZLIB_HEADER: [u8; ZLIB_HEADER_BYTES] = [0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2];
const DICTIONARY_BIT: u8 = 0x20;

/// The peer's direction.
pub(crate) struct Decompressor {
    inflate: Box<DecompressorOxide>,
    ring: Vec<u8>,
    at: usize,
    started: bool,
}

impl Decompressor {
    pub(crate) fn new() -> Self {
        let mut ring = dictionary();
        let at = ring.len();
        ring.resize(WINDOW_BYTES, 0);
        Self {
            inflate: Box::default(),
            ring,
            at,
            started: false,
        }
    }

    /// The headers of the next block. Blocks have to be decoded in the order they came.
    pub(crate) fn block(&mut self, compressed: &[u8]) -> Result<Headers, FrameError> {
        parse(&self.inflate(compressed)?)
    }

    fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut rest = compressed;
        if !self.started {
            rest = skip_zlib_header(compressed)?;
            self.started = true;
        }
        let mut block = Vec::new();
        loop {
            let (status, read, written) = decompress(
                &mut self.inflate,
                rest,
                &mut self.ring,
                self.at,
                TINFL_FLAG_HAS_MORE_INPUT,
            );
            let end = self.at.saturating_add(written);
            block.extend_from_slice(self.ring.get(self.at..end).unwrap_or_default());
            self.at = end % WINDOW_BYTES;
            rest = rest.get(read..).unwrap_or_default();
            match status {
                _ if block.len() > MAX_BLOCK_BYTES => return Err(FrameError::HeadersTooLong),
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return Ok(block),
                _ => return Err(FrameError::Compression),
            }
        }
    }
}

fn skip_zlib_header(compressed: &[u8]) -> Result<&[u8], FrameError> {
    let (header, rest) = compressed
        .split_at_checked(ZLIB_HEADER_BYTES)
        .ok_or(FrameError::Compression)?;
    // The compression level in the two upper bits of FLG is the peer's choice.
    match header {
        [0x78, flags, id @ ..] if flags & DICTIONARY_BIT != 0 && ZLIB_HEADER.ends_with(id) => {
            Ok(rest)
        }
        _ => Err(FrameError::Compression),
    }
}

fn parse(block: &[u8]) -> Result<Headers, FrameError> {
    let mut rest = block;
    let count = length(&mut rest)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = text(&mut rest)?.to_ascii_lowercase();
        headers.push((name, text(&mut rest)?));
    }
    Ok(Headers(headers))
}

fn length(rest: &mut &[u8]) -> Result<usize, FrameError> {
    let (octets, after) = rest.split_first_chunk::<4>().ok_or(FrameError::Headers)?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*octets)).map_err(|_| FrameError::Headers)
}

fn text(rest: &mut &[u8]) -> Result<String, FrameError> {
    let length = length(rest)?;
    let (octets, after) = rest.split_at_checked(length).ok_or(FrameError::Headers)?;
    *rest = after;
    String::from_utf8(octets.to_vec()).map_err(|_| FrameError::Headers)
}

/// The direction to the peer. Blocks are stored, not compressed: answers have hardly any headers.
#[derive(Default)]
pub(crate) struct Compressor {
    started: bool,
}

impl Compressor {
    pub(crate) fn block(&mut self, headers: &Headers) -> Vec<u8> {
        let mut plain = number(headers.0.len());
        for (name, value) in &headers.0 {
            for text in [name, value] {
                plain.extend(number(text.len()));
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut out = if std::mem::replace(&mut self.started, true) {
            Vec::new()
        } else {
            ZLIB_HEADER.to_vec()
        };
        for chunk in plain.chunks(usize::from(u16::MAX)) {
            stored(&mut out, chunk);
        }
        // The empty block that ends a sync flush: Go's reader returns nothing before it.
        stored(&mut out, &[]);
        out
    }
}

fn number(value: usize) -> Vec<u8> {
    u32::try_from(value)
        .unwrap_or(u32::MAX)
        .to_be_bytes()
        .to_vec()
}

/// A deflate block that is not the last and not compressed.
fn stored(out: &mut Vec<u8>, chunk: &[u8]) {
    let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
    out.push(0);
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend_from_slice(chunk);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        Headers(
            pairs
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn blocks_of_one_direction_share_their_window() {
        let (mut out, mut back) = (Compressor::default(), Decompressor::new());
        for block in [
            headers(&[("streamtype", "error"), ("port", "80")]),
            headers(&[]),
            headers(&[("a", "")]),
        ] {
            assert_eq!(back.block(&out.block(&block)).unwrap(), block);
        }
        let long = headers(&[("x", &"y".repeat(40_000))]);
        assert_eq!(back.block(&out.block(&long)).unwrap(), long);
        assert_eq!(
            back.block(&out.block(&headers(&[("after", "wrap")])))
                .unwrap(),
            headers(&[("after", "wrap")])
        );
    }

    /// Made by zlib at level 9 with a sync flush each: matches reach into the dictionary and
    /// into the block before.
    #[test]
    fn blocks_compressed_against_the_dictionary_are_read() {
        let first = hex(
            "78f9e3c6a7c202253a48f95b044eea16061606409ab308125f99a074cc68004e892545a989b9d0c2863515141500000000ffff",
        );
        let second = hex("225333a8a44a04000000ffff");
        let mut back = Decompressor::new();
        assert_eq!(
            back.block(&first).unwrap(),
            headers(&[
                ("port", "8080"),
                ("requestid", "0"),
                ("streamtype", "error")
            ])
        );
        assert_eq!(
            back.block(&second).unwrap(),
            headers(&[("port", "8080"), ("requestid", "0"), ("streamtype", "data")])
        );
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn what_is_no_header_block_is_an_error() {
        assert!(matches!(
            Decompressor::new().block(b"GET / HTTP/1.1"),
            Err(FrameError::Compression)
        ));
        assert!(matches!(
            Decompressor::new().block(&[]),
            Err(FrameError::Compression)
        ));
        let mut cut = ZLIB_HEADER.to_vec();
        stored(&mut cut, &[0, 0, 0, 9, 0, 0, 0, 1]);
        assert!(matches!(
            Decompressor::new().block(&cut),
            Err(FrameError::Headers)
        ));
    }
}
