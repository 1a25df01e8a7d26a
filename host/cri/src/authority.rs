//! Makes `:authority` values that `h2` would refuse harmless, before `h2` sees them.
//!
//! Go's gRPC derives `:authority` from a socket path (`/run/x.sock`, `%2Frun%2Fx.sock`), which no
//! URI may carry, so `h2` resets the stream (hyperium/h2 issue 345). On a Unix socket the value
//! has no meaning: every literal one is replaced by [`REPLACEMENT`] inside the HPACK block.
//!
//! The replacement is one octet, so an entry it makes in the peer's dynamic table is never larger
//! than the client accounts for: the table here evicts later than the client's, which keeps every index
//! that the client may still use valid.

use std::collections::VecDeque;

use tokio::io::ReadBuf;

/// The value that replaces every `:authority`.
const REPLACEMENT: u8 = b'l';
/// The client's connection preface (RFC 9113, 3.4), which is not a frame.
const PREFACE_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 9;
/// The largest HEADERS frame that is inspected: the default SETTINGS_MAX_FRAME_SIZE, which nothing here
/// raises. A larger one is passed on, and `h2` refuses it.
const FRAME_LIMIT_BYTES: usize = 16 << 10;
const TYPE_HEADERS: u8 = 1;
const FLAG_PADDED: u8 = 0x8;
const FLAG_PRIORITY: u8 = 0x20;
/// Index of `:authority` in the static table (RFC 7541, appendix A).
const INDEX_AUTHORITY: usize = 1;

#[derive(Debug)]
enum State {
    /// This many octets still pass without inspection.
    Pass(usize),
    /// Collecting a frame header.
    Header,
    /// Collecting a HEADERS frame of this total size.
    Headers(usize),
}

/// Rewrites the client's half of one HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct AuthorityFilter {
    state: State,
    /// The frame being collected; at most [`FRAME_HEADER_BYTES`] + [`FRAME_LIMIT_BYTES`].
    frame: Vec<u8>,
    /// Ready for the reader; at most one chunk and one frame.
    ready: VecDeque<u8>,
}

impl Default for AuthorityFilter {
    fn default() -> Self {
        Self {
            state: State::Pass(PREFACE_BYTES),
            frame: Vec::new(),
            ready: VecDeque::new(),
        }
    }
}

impl AuthorityFilter {
    /// Moves what is ready to `out`; false when nothing is.
    pub(crate) fn drain(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let (front, _) = self.ready.as_slices();
        let count = front.len().min(out.remaining());
        out.put_slice(front.get(..count).unwrap_or_default());
        self.ready.drain(..count);
        count > 0
    }

    /// Reads octets from the wire.
    pub(crate) fn push(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            let want = match self.state {
                State::Pass(left) => left,
                State::Header => FRAME_HEADER_BYTES.saturating_sub(self.frame.len()),
                State::Headers(total) => total.saturating_sub(self.frame.len()),
            };
            let (taken, rest) = input.split_at(want.min(input.len()));
            input = rest;
            self.take(taken);
        }
    }

    fn take(&mut self, taken: &[u8]) {
        match self.state {
            State::Pass(left) => {
                self.ready.extend(taken);
                let left = left.saturating_sub(taken.len());
                self.state = if left == 0 {
                    State::Header
                } else {
                    State::Pass(left)
                };
            }
            State::Header => {
                self.frame.extend_from_slice(taken);
                if self.frame.len() == FRAME_HEADER_BYTES {
                    self.start_frame();
                }
            }
            State::Headers(total) => {
                self.frame.extend_from_slice(taken);
                if self.frame.len() == total {
                    self.ready.extend(rewrite(&self.frame));
                    self.frame.clear();
                    self.state = State::Header;
                }
            }
        }
    }

    fn start_frame(&mut self) {
        let length = payload_length(&self.frame);
        if self.frame.get(3) == Some(&TYPE_HEADERS) && (1..=FRAME_LIMIT_BYTES).contains(&length) {
            self.state = State::Headers(FRAME_HEADER_BYTES + length);
            return;
        }
        self.ready.extend(self.frame.drain(..));
        self.state = if length == 0 {
            State::Header
        } else {
            State::Pass(length)
        };
    }
}

fn payload_length(frame: &[u8]) -> usize {
    frame
        .iter()
        .take(3)
        .fold(0, |length, &octet| (length << 8) | usize::from(octet))
}

/// The HEADERS frame with its `:authority` literals replaced; as it was when it cannot be read.
fn rewrite(frame: &[u8]) -> Vec<u8> {
    try_rewrite(frame).unwrap_or_else(|| frame.to_vec())
}

fn try_rewrite(frame: &[u8]) -> Option<Vec<u8>> {
    let (header, payload) = frame.split_at_checked(FRAME_HEADER_BYTES)?;
    let flags = *header.get(4)?;
    let padding = if flags & FLAG_PADDED == 0 {
        0
    } else {
        usize::from(*payload.first()?)
    };
    let prefix =
        usize::from(flags & FLAG_PADDED != 0) + if flags & FLAG_PRIORITY == 0 { 0 } else { 5 };
    let (before, rest) = payload.split_at_checked(prefix)?;
    let (block, after) = rest.split_at_checked(rest.len().checked_sub(padding)?)?;
    let block = rewrite_block(block)?;

    let length = before.len() + block.len() + after.len();
    let length_octets = u32::try_from(length).ok()?.to_be_bytes();
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + length);
    out.extend_from_slice(length_octets.get(1..)?);
    out.extend_from_slice(header.get(3..)?);
    out.extend_from_slice(before);
    out.extend_from_slice(&block);
    out.extend_from_slice(after);
    Some(out)
}

/// Walks the fields of a header block (RFC 7541, section 6). It may end within a field, when
/// a CONTINUATION follows; that last piece is passed on.
fn rewrite_block(block: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(block.len());
    let mut at = 0;
    while let Some(&first) = block.get(at) {
        let Some((value, end)) = field(block, at, first) else {
            break;
        };
        match value {
            Some(value) => {
                out.extend_from_slice(block.get(at..value)?);
                out.extend_from_slice(&[1, REPLACEMENT]);
            }
            None => out.extend_from_slice(block.get(at..end)?),
        }
        at = end;
    }
    out.extend_from_slice(block.get(at..)?);
    Some(out)
}

/// Where the value of the `:authority` literal at `at` begins (none for every other field), and
/// where the field ends. None when the block ends first.
fn field(block: &[u8], at: usize, first: u8) -> Option<(Option<usize>, usize)> {
    if first & 0x80 != 0 {
        return Some((None, integer(block, at, 7)?.1));
    }
    if first & 0xe0 == 0x20 {
        return Some((None, integer(block, at, 5)?.1));
    }
    let (index, mut next) = integer(block, at, if first & 0x40 != 0 { 6 } else { 4 })?;
    if index == 0 {
        next = string(block, next)?;
    }
    let end = string(block, next)?;
    Some(((index == INDEX_AUTHORITY).then_some(next), end))
}

/// Past the string literal at `at`.
fn string(block: &[u8], at: usize) -> Option<usize> {
    let (length, start) = integer(block, at, 7)?;
    let end = start.checked_add(length)?;
    (end <= block.len()).then_some(end)
}

/// An integer with an N-bit prefix (RFC 7541, 5.1) and where it ends.
fn integer(block: &[u8], mut at: usize, prefix_bits: u32) -> Option<(usize, usize)> {
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(*block.get(at)?) & mask;
    at += 1;
    if value < mask {
        return Some((value, at));
    }
    for shift in [0, 7, 14, 21] {
        let octet = *block.get(at)?;
        at += 1;
        value = value.checked_add(usize::from(octet & 0x7f) << shift)?;
        if octet & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        out.extend([kind, flags, 0, 0, 0, 1]);
        out.extend(payload);
        out
    }

    fn run(input: &[u8], chunk: usize) -> Vec<u8> {
        let mut filter = AuthorityFilter::default();
        let mut out = Vec::new();
        for piece in input.chunks(chunk) {
            filter.push(piece);
            let mut store = [0; 7];
            loop {
                let mut buf = ReadBuf::new(&mut store);
                if !filter.drain(&mut buf) {
                    break;
                }
                out.extend(buf.filled());
            }
        }
        out
    }

    /// `:method POST` indexed, `:authority` literal with indexing, one literal after it.
    fn block(authority: &[u8]) -> Vec<u8> {
        let mut block = vec![0x83, 0x41, u8::try_from(authority.len()).unwrap()];
        block.extend(authority);
        block.extend([0x40, 1, b'a', 1, b'b']);
        block
    }

    #[test]
    fn socket_paths_are_replaced_in_any_chunking() {
        let input = [
            vec![b'p'; PREFACE_BYTES],
            frame(4, 0, &[]),
            frame(1, 4, &block(b"/run/k3s/a.sock")),
            frame(0, 1, b"data"),
        ]
        .concat();
        let want = [
            vec![b'p'; PREFACE_BYTES],
            frame(4, 0, &[]),
            frame(1, 4, &block(b"l")),
            frame(0, 1, b"data"),
        ]
        .concat();
        for chunk in [1, 2, 9, 24, 1000] {
            assert_eq!(run(&input, chunk), want, "chunks of {chunk}");
        }
    }

    #[test]
    fn padding_and_priority_stay() {
        let payload =
            |authority: &[u8]| [&[2][..], &[0, 0, 0, 0, 9], &block(authority), &[0, 0]].concat();
        let input = [
            vec![0; PREFACE_BYTES],
            frame(1, 4 | FLAG_PADDED | FLAG_PRIORITY, &payload(b"%2Frun")),
        ]
        .concat();
        let want = [
            vec![0; PREFACE_BYTES],
            frame(1, 4 | FLAG_PADDED | FLAG_PRIORITY, &payload(b"l")),
        ]
        .concat();
        assert_eq!(run(&input, 64), want);
    }

    #[test]
    fn a_block_cut_by_a_continuation_is_passed_on() {
        let cut = &block(b"x")[..6];
        let input = [vec![0; PREFACE_BYTES], frame(1, 0, cut)].concat();
        assert_eq!(run(&input, 64).len(), input.len());
    }
}
