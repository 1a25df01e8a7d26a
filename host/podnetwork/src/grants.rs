//! What the operator lets a pod network do.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::error::PlanError;

/// The limits of a plan.
#[derive(Clone, Debug)]
pub struct Grants {
    /// Names of links on the node start with one of these.
    pub link_prefixes: Vec<String>,
    /// Addresses and routes on the node lie within these: the cluster CIDR.
    pub networks: Vec<Ipv4Net>,
    /// The node's address, if the operator set it; None for that of the default route.
    pub node_address: Option<Ipv4Addr>,
}

impl Grants {
    /// The usual ones for a cluster CIDR.
    #[must_use]
    pub fn for_networks(networks: Vec<Ipv4Net>) -> Self {
        let link_prefixes = ["cni", "flannel", "veth"].map(str::to_owned).to_vec();
        Self {
            link_prefixes,
            networks,
            node_address: None,
        }
    }

    pub(crate) fn check_link(&self, name: &str) -> Result<(), PlanError> {
        let known = self
            .link_prefixes
            .iter()
            .any(|prefix| name.starts_with(prefix.as_str()));
        if known {
            Ok(())
        } else {
            Err(PlanError::Denied(format!("a link named {name}")))
        }
    }

    pub(crate) fn check_network(&self, network: &IpNet) -> Result<(), PlanError> {
        let known = match network {
            IpNet::V4(network) => self
                .networks
                .iter()
                .any(|granted| granted.contains(network)),
            IpNet::V6(_) => false,
        };
        if known {
            Ok(())
        } else {
            Err(PlanError::Denied(format!("{network} on the node")))
        }
    }
}

/// Reads an address.
pub(crate) fn address(text: &str) -> Result<IpAddr, PlanError> {
    text.parse()
        .map_err(|_| PlanError::Invalid(format!("{text:?} is not an address")))
}

/// Reads an address with its prefix length.
pub(crate) fn network(text: &str) -> Result<IpNet, PlanError> {
    text.parse()
        .map_err(|_| PlanError::Invalid(format!("{text:?} is not an address with prefix length")))
}
