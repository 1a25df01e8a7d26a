//! SPDY/3.1 as Kubernetes' streaming endpoints use it: the server's side of a connection on which
//! a client opens streams.
//!
//! `kubectl port-forward` runs it inside a WebSocket (KEP-4006), clients before 1.31 run `exec` and
//! `attach` over it too. Only what those peers use is here: streams opened by the client, header
//! blocks, data, resets and pings. Like `moby/spdystream`, which both ends normally run, there is
//! no flow control: a stream whose reader is slow holds its connection back.
//!
//! Nothing is spawned: [`connect`] returns a driver, and the caller runs it as a task of its own.

mod dictionary;
mod frame;
mod header;
mod room;
mod session;
mod stream;

pub use frame::{FrameError, FrameReader, Incoming};
pub use header::Headers;
pub use room::Room;
pub use session::{Acceptor, connect};
pub use stream::{Stream, StreamWriter};

/// The token in `Upgrade`.
pub const UPGRADE: &str = "SPDY/3.1";
/// The header both sides negotiate the protocol on top with.
pub const PROTOCOL_HEADER: &str = "x-stream-protocol-version";
