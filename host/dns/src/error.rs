//! Why the DNS server does not start. Once it runs, a failure is an answer to a client or a line in
//! the log.

use std::io;
use std::net::SocketAddr;

use hickory_proto::ProtoError;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The address or port is not available.
    #[error("cluster DNS cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cluster's domain is not a domain.
    #[error("cluster domain {domain:?} is not a domain name")]
    Domain {
        /// As configured.
        domain: String,
        /// Why.
        #[source]
        source: ProtoError,
    },
}
