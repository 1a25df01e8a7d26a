//! The contract's functions.

use std::net::Ipv4Addr;

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::cni::ipam::Range;
use k3s_plugin_sdk::cni::{
    Attachment, Error, Host, NODE_OWNER, Node, Outcome, PodNetwork, Sandbox, collect_garbage,
};

use crate::config::Config;
use crate::node::{self, Local};
use crate::pod;

/// Name of the network among the node's leases, as in K3s' CNI configuration.
const NETWORK: &str = "cbr0";

/// An instance's state: settings, and the facts of the last `sync`.
#[derive(Debug)]
pub(crate) struct Flannel {
    config: Config,
    local: Option<Local>,
}

impl PodNetwork for Flannel {
    type Config = Config;

    const NAME: &'static str = "flannel";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(config: Config) -> Result<Self, Sentence> {
        Ok(Self {
            config: config.validated()?,
            local: None,
        })
    }

    fn sync(&mut self, host: &dyn Host, this_node: &str, nodes: &[Node]) -> Result<Outcome, Error> {
        let this = nodes.iter().find(|node| node.name == this_node);
        let this =
            this.ok_or_else(|| Error::NotReady(format!("node {this_node} is not registered yet")))?;
        let uplink = host.find_uplink()?;
        let local =
            node::local(&self.config, this, &uplink).map_err(|why| Error::NotReady(why.into()))?;
        let plan = node::plan(&self.config, &local, this, nodes, &uplink);
        host.apply(NODE_OWNER, &plan)?;
        self.local = Some(local);
        Ok(node::outcome(&self.config, &local, this, &uplink))
    }

    fn status(&self) -> Result<(), Error> {
        self.local().map(drop)
    }

    fn add(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<Attachment, Error> {
        let local = self.local()?;
        let range = Range {
            subnet: local.cidr.to_string(),
            gateway: local.gateway.to_string(),
        };
        let address = host.allocate(NETWORK, &range, &sandbox.id)?;
        let plan = pod::plan(local, sandbox, parse_address(&address)?)
            .map_err(|why| Error::Invalid(why.into()))?;
        host.apply(&sandbox.id, &plan)?;
        Ok(Attachment {
            addresses: vec![address],
        })
    }

    /// Releases the address last: it must not be given out while the pod is still connected.
    fn del(&mut self, host: &dyn Host, sandbox_id: &str) -> Result<(), Error> {
        host.remove(sandbox_id)?;
        Ok(host.release(NETWORK, sandbox_id)?)
    }

    fn check(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<(), Error> {
        let local = self.local()?;
        let leases = host.leases(NETWORK)?;
        let lease = leases.iter().find(|lease| lease.owner == sandbox.id);
        let lease =
            lease.ok_or_else(|| Error::Other(format!("sandbox {} has no address", sandbox.id)))?;
        let address = parse_address(&lease.address)?;
        let plan = pod::plan(local, sandbox, address).map_err(|why| Error::Invalid(why.into()))?;
        let differences = host.differences(&sandbox.id, &plan)?;
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Other(differences.join("; ")))
    }

    fn gc(&mut self, host: &dyn Host, valid_ids: &[String]) -> Result<(), Error> {
        collect_garbage(host, NETWORK, valid_ids)
    }
}

impl Flannel {
    fn local(&self) -> Result<&Local, Error> {
        let not_ready = || Error::NotReady("this node has no pod CIDR yet".to_owned());
        self.local.as_ref().ok_or_else(not_ready)
    }
}

fn parse_address(address: &str) -> Result<Ipv4Addr, Error> {
    let invalid = |_| {
        Error::Other(format!(
            "the host allocated {address:?}, not an IPv4 address"
        ))
    };
    address.parse().map_err(invalid)
}

#[cfg(test)]
#[path = "flannel_tests.rs"]
mod tests;
