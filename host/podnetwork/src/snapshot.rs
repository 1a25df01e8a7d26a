//! The present state of a network namespace.

use std::collections::HashMap;

use k3s_sys::net::{Address, Link, Neighbour, NeighbourTable, Net, NetError, Route, sysctl};

use crate::host::ALIAS_PREFIX;

/// Links, addresses, routes; and neighbours of the owner's tunnels.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    pub(crate) neighbours: Vec<Neighbour>,
    /// Settings for tests; from the kernel otherwise.
    pub(crate) sysctls: Option<HashMap<String, String>>,
}

impl Snapshot {
    /// Reads the state.
    pub(crate) fn read(net: &Net, owner: &str) -> Result<Self, NetError> {
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

    pub(crate) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|l| l.name == name)
    }

    pub(crate) fn name_of(&self, index: u32) -> Option<&str> {
        self.links
            .iter()
            .find(|l| l.index == index)
            .map(|l| l.name.as_str())
    }

    pub(crate) fn sysctl(&self, key: &str) -> Result<Option<String>, NetError> {
        match &self.sysctls {
            Some(values) => Ok(values.get(key).cloned()),
            None => sysctl::get(key),
        }
    }
}
