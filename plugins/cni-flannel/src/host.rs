//! What the host can do for this plugin: the two imported capabilities, behind a trait for tests.

use crate::bindings::k3s::ipam::ipam::{Error as IpamError, Lease, Range};
use crate::bindings::k3s::net::net::{Error as NetError, Plan, Uplink};

/// The `net` and `ipam` imports.
pub(crate) trait Host {
    fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, NetError>;
    fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, NetError>;
    fn remove(&self, owner: &str) -> Result<(), NetError>;
    fn owners(&self) -> Result<Vec<String>, NetError>;
    fn uplink(&self) -> Result<Uplink, NetError>;
    fn allocate(&self, network: &str, range: &Range, owner: &str) -> Result<String, IpamError>;
    fn release(&self, network: &str, owner: &str) -> Result<(), IpamError>;
    fn leases(&self, network: &str) -> Result<Vec<Lease>, IpamError>;
}
