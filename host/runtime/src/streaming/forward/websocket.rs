//! Port-forward over WebSocket: the ports are in the request, the connection to the port at position `n` has
//! channel `2n` for data and `2n + 1` for an error. Both begin with the port as two octets, the lower one first
//! (upstream `portforward/websocket.go`).

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use k3s_lifecycle::Tasks;
use k3s_serve::websocket::{Message, Pending, Socket};
use k3s_spdy::Room;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{Forwarding, Target, Writer, forward};
use crate::streaming::channel::message;
use crate::streaming::error::SessionError;

/// A channel's number is one octet and a port has two channels.
pub(crate) const MAX_PORTS: usize = 127;
/// Messages on their way to or from one connection.
const QUEUE: usize = 8;
/// Octets on their way to all connections of a client; a message has at most as many.
const WAITING_BYTES: u32 = 4 * 1024 * 1024;

/// Writes to one channel.
pub(super) struct ChannelWriter {
    channel: u8,
    messages: mpsc::Sender<Message>,
}

impl ChannelWriter {
    pub(super) async fn write(&self, data: &[u8]) -> bool {
        let message = Message::binary(message(self.channel, data));
        self.messages.send(message).await.is_ok()
    }

    pub(super) async fn closed(&self) {
        self.messages.closed().await;
    }
}

pub(super) async fn run(
    pending: Pending,
    target: &Target,
    tasks: &Tasks,
) -> Result<(), SessionError> {
    let (sink, source) = pending.socket().await?.split();
    let (messages, outbox) = mpsc::channel(QUEUE);
    let mut inputs = Vec::new();
    let channels = (0..=u8::MAX).step_by(2);
    for (data, port) in channels.zip(target.ports.iter().take(MAX_PORTS)) {
        let writer = |channel| ChannelWriter {
            channel,
            messages: messages.clone(),
        };
        let (input, incoming) = mpsc::channel(QUEUE);
        inputs.push(input);
        let forwarding = Forwarding {
            port: *port,
            incoming,
            outgoing: Writer::WebSocket(writer(data)),
            error: Writer::WebSocket(writer(data + 1)),
        };
        let target = target.clone();
        tasks.spawn_until_stopped("port forward", serve(target, forwarding));
    }
    // The connections hold the other senders, so the outbox ends with the last connection.
    drop(messages);
    tokio::select! {
        sent = send(sink, outbox) => sent,
        received = receive(source, &inputs) => received,
    }
}

/// Says which port the channels are for, and forwards.
async fn serve(target: Target, mut forwarding: Forwarding) {
    let port = Bytes::copy_from_slice(&forwarding.port.to_le_bytes());
    if forwarding.outgoing.write(port.clone()).await && forwarding.error.write(port).await {
        forward(&target, forwarding).await;
    }
}

/// Until all connections have ended; then the client is told.
async fn send(
    mut sink: SplitSink<Socket, Message>,
    mut outbox: mpsc::Receiver<Message>,
) -> Result<(), SessionError> {
    while let Some(message) = outbox.recv().await {
        sink.send(message).await?;
    }
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    sink.send(Message::Close(Some(normal))).await?;
    sink.close().await?;
    Ok(())
}

/// Until the client leaves.
async fn receive(
    mut source: SplitStream<Socket>,
    inputs: &[mpsc::Sender<Bytes>],
) -> Result<(), SessionError> {
    let room = Room::new(WAITING_BYTES);
    while let Some(received) = source.next().await {
        let data: Bytes = match received? {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => break,
            // Pings are answered by the library.
            _ => continue,
        };
        let Some(channel) = data.first().copied().map(usize::from) else {
            continue;
        };
        // What comes on a channel for errors has no meaning.
        let input = (channel % 2 == 0).then(|| inputs.get(channel / 2));
        if let Some(input) = input.flatten().filter(|input| !input.is_closed()) {
            // A connection that has ended accepts nothing more; the others continue.
            let _ended = input.send(room.hold(data.slice(1..)).await).await;
        }
    }
    Ok(())
}
