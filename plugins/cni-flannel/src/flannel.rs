//! The contract's functions, on any [`Host`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::bindings::exports::k3s::cni::network::{Attachment, Error, Node, Outcome, Sandbox};
use crate::bindings::k3s::ipam::ipam::{Error as IpamError, Range};
use crate::bindings::k3s::net::net::Error as NetError;
use crate::config::Config;
use crate::host::Host;
use crate::node::{self, Local};
use crate::pod;

/// Name of the network among the node's leases, as in K3s' CNI configuration.
const NETWORK: &str = "cbr0";
/// Owner of everything that is not a pod's.
const NODE_OWNER: &str = "node";

/// An instance's state: settings, and the facts of the last `sync`.
#[derive(Debug)]
pub(crate) struct Flannel {
    config: Config,
    local: Option<Local>,
}

impl Flannel {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            local: None,
        }
    }

    pub(crate) fn status(&self) -> Result<(), Error> {
        self.local().map(drop)
    }

    pub(crate) fn sync(
        &mut self,
        host: &dyn Host,
        this: &str,
        nodes: &[Node],
    ) -> Result<Outcome, Error> {
        let this = nodes
            .iter()
            .find(|n| n.name == this)
            .ok_or_else(|| Error::NotReady(format!("node {this} is not registered yet")))?;
        let uplink = host.uplink().map_err(net_error)?;
        let local = node::local(&self.config, this, &uplink).map_err(Error::NotReady)?;
        host.apply(
            NODE_OWNER,
            &node::plan(&self.config, &local, this, nodes, &uplink),
        )
        .map_err(net_error)?;
        self.local = Some(local);
        Ok(node::outcome(&self.config, &local, this, &uplink))
    }

    pub(crate) fn add(&self, host: &dyn Host, sandbox: &Sandbox) -> Result<Attachment, Error> {
        let local = self.local()?;
        let range = Range {
            subnet: local.cidr.to_string(),
            gateway: local.gateway.to_string(),
        };
        let address = host
            .allocate(NETWORK, &range, &sandbox.id)
            .map_err(ipam_error)?;
        let plan = pod::plan(local, sandbox, parse(&address)?).map_err(Error::Invalid)?;
        host.apply(&sandbox.id, &plan).map_err(net_error)?;
        Ok(Attachment {
            addresses: vec![address],
        })
    }

    /// The address goes last: nobody may get it while the pod is still connected.
    pub(crate) fn del(host: &dyn Host, id: &str) -> Result<(), Error> {
        host.remove(id).map_err(net_error)?;
        host.release(NETWORK, id).map_err(ipam_error)
    }

    pub(crate) fn check(&self, host: &dyn Host, sandbox: &Sandbox) -> Result<(), Error> {
        let local = self.local()?;
        let leases = host.leases(NETWORK).map_err(ipam_error)?;
        let lease = leases.iter().find(|l| l.owner == sandbox.id);
        let lease =
            lease.ok_or_else(|| Error::Other(format!("sandbox {} has no address", sandbox.id)))?;
        let plan = pod::plan(local, sandbox, parse(&lease.address)?).map_err(Error::Invalid)?;
        let differences = host.differences(&sandbox.id, &plan).map_err(net_error)?;
        if differences.is_empty() {
            Ok(())
        } else {
            Err(Error::Other(differences.join("; ")))
        }
    }

    pub(crate) fn gc(host: &dyn Host, valid: &[String]) -> Result<(), Error> {
        let keep: BTreeSet<&str> = valid
            .iter()
            .map(String::as_str)
            .chain([NODE_OWNER])
            .collect();
        for owner in host.owners().map_err(net_error)? {
            if !keep.contains(owner.as_str()) {
                host.remove(&owner).map_err(net_error)?;
            }
        }
        for lease in host.leases(NETWORK).map_err(ipam_error)? {
            if !keep.contains(lease.owner.as_str()) {
                host.release(NETWORK, &lease.owner).map_err(ipam_error)?;
            }
        }
        Ok(())
    }

    fn local(&self) -> Result<&Local, Error> {
        self.local
            .as_ref()
            .ok_or_else(|| Error::NotReady("this node has no pod CIDR yet".to_owned()))
    }
}

fn parse(address: &str) -> Result<Ipv4Addr, Error> {
    address
        .parse()
        .map_err(|_| Error::Other(format!("the host gave {address:?} as an address")))
}

fn net_error(error: NetError) -> Error {
    match error {
        NetError::Failed(why) => Error::Retry(why),
        NetError::Conflict(why) | NetError::Denied(why) => Error::Invalid(why),
        NetError::Invalid(why) | NetError::Other(why) => Error::Other(why),
    }
}

fn ipam_error(error: IpamError) -> Error {
    match error {
        IpamError::Exhausted => {
            Error::Exhausted("every address of this node's pod CIDR is taken".to_owned())
        }
        IpamError::Unavailable(why) => Error::Retry(why),
        IpamError::Invalid(why) | IpamError::Other(why) => Error::Other(why),
    }
}

#[cfg(test)]
#[path = "flannel_tests.rs"]
mod tests;
