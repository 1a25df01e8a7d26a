//! Frames of clients: SPDY/3.1, and WebSockets with the channels of remote commands.

use bytes::Bytes;
use futures_util::FutureExt;
use k3s_runtime::{ChannelInput, ChannelProtocol};
use k3s_serve::websocket;
use k3s_spdy::{FrameReader, Incoming};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket};

use crate::pieces::Pieces;

/// A piece of data, as long as the reader makes it.
const MAX_PIECE_BYTES: usize = 32 * 1024;
/// A header block, and what is decompressed before it is seen to be longer.
const MAX_HEADERS_BYTES: usize = 64 * 1024 + 32 * 1024;
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// What is read until the end or a fault, whose text comes last.
fn spdy(data: &[u8], size: usize) -> (Vec<Incoming>, Option<String>) {
    let mut reader = FrameReader::new(Pieces::new(data, size));
    let mut frames = Vec::new();
    loop {
        let next = reader.next().now_or_never().expect("nothing to wait for");
        match next {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

/// Frames of a SPDY client. However they arrive they are the same, and none is longer than its bound.
pub fn spdy_frames(data: &[u8]) {
    let whole = spdy(data, usize::MAX);
    assert_eq!(spdy(data, 1), whole);
    assert_eq!(spdy(data, 7), whole);
    for frame in &whole.0 {
        match frame {
            Incoming::Data { data, id, .. } => {
                assert!(data.len() <= MAX_PIECE_BYTES && *id < 1 << 31);
            }
            Incoming::Open { headers, id, .. } => {
                let headers = headers.0.iter();
                let bytes: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
                assert!(bytes <= MAX_HEADERS_BYTES && *id < 1 << 31);
            }
            Incoming::Reset { id } => assert!(*id < 1 << 31),
            Incoming::Ping(_) | Incoming::GoAway | Incoming::Nothing => {}
        }
    }
    let received: usize = whole.0.iter().map(data_length).sum();
    assert!(received <= data.len());
}

fn data_length(frame: &Incoming) -> usize {
    match frame {
        Incoming::Data { data, .. } => data.len(),
        _ => 0,
    }
}

fn messages(data: &[u8], size: usize) -> (Vec<Message>, String) {
    let stream = Pieces::new(data, size);
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, Some(websocket::limits()));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => messages.push(message),
            Err(error) => return (messages, error.to_string()),
        }
    }
}

/// Frames of a WebSocket client, and what their messages mean in each subprotocol of remote commands.
pub fn websocket_frames(data: &[u8]) {
    let whole = messages(data, usize::MAX);
    assert_eq!(messages(data, 1), whole);
    assert_eq!(messages(data, 7), whole);
    for message in whole.0 {
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        if message.is_binary() || message.is_text() {
            channels(&message.into_data());
        }
    }
}

fn channels(message: &Bytes) {
    let names = [
        websocket::V5,
        websocket::V4,
        websocket::V4_BASE64,
        websocket::CHANNEL,
        websocket::CHANNEL_BASE64,
    ];
    for name in names {
        let protocol = ChannelProtocol::agreed(Some(name));
        match protocol.parse(message) {
            Ok(ChannelInput::Data(data)) => {
                assert!(!data.is_empty() && data.len() < message.len());
                // What goes to the process is what a client would send for it.
                let sent = protocol.message(0, &data).into_data();
                assert_eq!(protocol.parse(&sent), Ok(ChannelInput::Data(data)));
            }
            Ok(ChannelInput::Resize(size)) => assert!(size.len() < message.len()),
            Ok(ChannelInput::HalfClose) => assert_eq!(name, websocket::V5),
            Ok(ChannelInput::Nothing) | Err(_) => {}
        }
    }
}
