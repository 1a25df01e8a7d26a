//! The service proxy: Services and EndpointSlices become entries in nf_tables maps.
//!
//! The rules are written once, when the proxy starts. From then on a change of a Service is a handful
//! of map elements in one transaction, whatever the number of Services: an address, protocol and port
//! leads by a verdict map to a chain that picks a number below the count of endpoints, and by a second
//! map from that number to an endpoint. Chains are shared by all Services with the same count, so that
//! not even a new Service adds a rule.
//!
//! Existing connections live in the kernel's flow table and are not touched by any of this; UDP flows
//! to endpoints that are gone are forgotten. A restart replaces the table in one transaction.
//!
//! A LoadBalancer answers on the addresses in its status, and on those of this node that whoever
//! assigns load balancers names ([`Forwards`]). Its clients keep their addresses wherever the endpoint is
//! on this node. `healthCheckNodePort` is served too.
//!
//! `externalIPs` are served unless they belong to the cluster (`reserved`). Of several Services that want one address,
//! the same one gets it on every node and after every restart: the address that was allocated before the assigned
//! and the written one, then the older Service. An Event tells the others.
//!
//! Not acted on: IPv6, and topology hints (`trafficDistribution` is a preference).
//!
//! Tasks owned: `netproxy`, and one per health check port and caller of it. Bounds: the informers merge
//! changes per object, so nothing queues; `health` bounds its callers.

mod driver;
mod flows;
mod forwards;
mod health;
mod metrics;
mod model;
mod plan;
mod read;
mod report;
mod reserved;
mod state;
mod tables;

pub use driver::{Proxy, ProxyConfig};
pub use forwards::Forwards;
pub use tables::TABLE;

use k3s_sys::nft::{Nft, NftError, remove_tables};

/// Removes everything that a proxy put into the packet filter. Answers whether there was anything.
pub fn cleanup(nft: &dyn Nft) -> Result<bool, NftError> {
    Ok(remove_tables(nft, |table| table.name() == TABLE)? > 0)
}
