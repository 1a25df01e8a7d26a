//! Cluster DNS: the names of Services, endpoints, pods and nodes, and everything else from the host's
//! name servers. It answers as CoreDNS does with K3s' Corefile.
//!
//! The server runs inside the `k3s` process and listens on the node's address. The `kube-dns` Service
//! has no selector; its EndpointSlice names that address, so pods on any node reach it through the
//! service proxy. As the address is a node's, only pods, nodes and the machine itself are answered:
//! it must not serve the world as an open resolver.
//!
//! Names are not stored record by record: a query's name is taken apart, and the answer is made from
//! the few facts about the Service that it names. So a change costs one entry, and a Service costs
//! little memory.
//!
//! Not acted on yet: the `coredns-custom` ConfigMap (stub domains, overrides).
//!
//! Tasks owned: UDP workers, TCP listener and connections, the feed from the informers, the publisher.

mod answer;
mod driver;
mod error;
mod metrics;
mod publish;
mod question;
mod sample;
mod server;
mod upstream;
mod zone;

pub use driver::{DEFAULT_PORT, Dns, DnsConfig};
pub use error::DnsError;
pub use publish::{service, withdraw};
pub use sample::SampleServer;
