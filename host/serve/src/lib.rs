//! The one TLS listener and the streaming helpers that the API server and the kubelet share.
//!
//! What it decides once, so that no server forgets it: ALPN (`h2`, `http/1.1`), HTTP/2 windows and
//! stream limits, keep-alive with a timer, deadlines from `accept` to the first request and between requests,
//! places for connections per listener and per client, and a drain that ends within a deadline although watches
//! and exec sessions are open. Other listeners ([`Places`], [`Activity`]) share the places and deadlines.
//!
//! Invariants: request extensions of a served connection are made here and nowhere else, so nothing
//! a peer sends can set one; every connection, HTTP/2 stream and upgraded pipe is a tracked task.

mod activity;
pub mod body;
pub mod connect;
mod connection;
mod error;
mod extensions;
mod io;
mod listener;
pub mod one_way;
mod options;
pub mod pipe;
mod places;
pub mod trust;
pub mod tunnel;
mod unread;
pub mod upgrade;
pub mod websocket;

pub use activity::{Activity, Busy, Guarded, QuietLimits};
pub use body::Body;
pub use error::{BoxError, ServeError};
pub use extensions::{ConnectionSlot, PeerCertificates, RemoteAddr};
pub use io::{BoxIo, Io};
pub use listener::{boxed, serve};
pub use options::ServeOptions;
pub use places::{Capacity, Listener, Place, Places};
