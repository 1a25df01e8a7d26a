//! Ports and connections: binding ([`port`]), the way of a connection to its protocol ([`connection`]),
//! and routes of whole connections ([`tcp`]).

mod connection;
pub(crate) mod port;
mod tcp;
