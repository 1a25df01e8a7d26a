//! The one TLS listener and the streaming helpers that the API server and the kubelet share.
//!
//! What it decides once, so that no server forgets it: ALPN (`h2`, `http/1.1`), HTTP/2 windows and
//! stream limits, keep-alive with a timer, a handshake timeout, a connection limit, and a drain that
//! ends within a deadline although watches and exec sessions are open.
//!
//! Invariants: request extensions of a served connection are made here and nowhere else, so nothing
//! a peer sends can set one; every connection, HTTP/2 stream and upgraded pipe is a tracked task.

pub mod body;
pub mod connect;
mod connection;
mod error;
mod extensions;
mod io;
mod listener;
mod options;
pub mod pipe;
pub mod trust;
pub mod tunnel;
pub mod upgrade;
pub mod websocket;

pub use body::Body;
pub use error::{BoxError, ServeError};
pub use extensions::{ConnectionSlot, PeerCertificates, RemoteAddr};
pub use io::{BoxIo, Io};
pub use listener::{boxed, serve, serve_with};
pub use options::ServeOptions;
