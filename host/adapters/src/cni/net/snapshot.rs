//! What a namespace looks like at the moment.

use std::collections::HashMap;

use k3s_sys::net::{Address, Link, Neighbour, NeighbourTable, Net, NetError, Route, sysctl};

use super::ALIAS_PREFIX;

/// Links, addresses, routes; and neighbours of the owner's tunnels.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<Route>,
    pub(super) neighbours: Vec<Neighbour>,
    /// Settings for tests; from the kernel otherwise.
    pub(super) sysctls: Option<HashMap<String, String>>,
}

impl Snapshot {
    /// Looks.
    pub(super) fn take(net: &Net, owner: &str) -> Result<Self, NetError> {
        let links = net.links()?;
        let alias = format!("{ALIAS_PREFIX}{owner}");
        let mut neighbours = Vec::new();
        for tunnel in links
            .iter()
            .filter(|l| l.vxlan.is_some() && l.alias.as_deref() == Some(&alias))
        {
            for table in [NeighbourTable::Arp, NeighbourTable::Forwarding] {
                neighbours.extend(net.neighbours(table, tunnel.index)?);
            }
        }
        Ok(Self {
            links,
            addresses: net.addresses()?,
            routes: net.routes()?,
            neighbours,
            sysctls: None,
        })
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|l| l.name == name)
    }

    pub(super) fn name_of(&self, index: u32) -> Option<&str> {
        self.links
            .iter()
            .find(|l| l.index == index)
            .map(|l| l.name.as_str())
    }

    pub(super) fn sysctl(&self, key: &str) -> Result<Option<String>, NetError> {
        match &self.sysctls {
            Some(values) => Ok(values.get(key).cloned()),
            None => sysctl::get(key),
        }
    }
}
