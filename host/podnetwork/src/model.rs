//! A guest's plan, read and held against the grants.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use k3s_base::error::chain;
use k3s_sys::net::{Mac, NeighbourTable, link};
use k3s_wit_bindings::net::k3s::net::net as wit;

use crate::error::PlanError;
use crate::grants::{Grants, address, network};
use crate::host::NODE_OWNER;

/// Entries in each list of a plan.
const LIST_MAX: usize = 4096;

/// A plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desired {
    pub(crate) links: Vec<DesiredLink>,
    pub(crate) routes: Vec<DesiredRoute>,
    pub(crate) neighbours: Vec<DesiredNeighbour>,
    pub(crate) sysctls: Vec<(String, String)>,
    pub(crate) tables: Vec<wit::Table>,
    pub(crate) elements: Vec<wit::Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredLink {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) mtu: u32,
    pub(crate) mac: Option<Mac>,
    pub(crate) bridge: Option<String>,
    pub(crate) hairpin: bool,
    pub(crate) addresses: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bridge,
    Vxlan {
        id: u32,
        port: u16,
        local: Ipv4Addr,
        underlay: String,
    },
    Pod(PodEnd),
}

impl Kind {
    /// As the kernel calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Vxlan { .. } => "vxlan",
            Self::Pod(_) => "veth",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodEnd {
    pub(crate) name: String,
    pub(crate) mac: Option<Mac>,
    pub(crate) addresses: Vec<IpNet>,
    pub(crate) routes: Vec<DesiredRoute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredRoute {
    pub(crate) link: String,
    pub(crate) destination: IpNet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) on_link: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredNeighbour {
    pub(crate) link: String,
    pub(crate) table: NeighbourTable,
    pub(crate) address: IpAddr,
    pub(crate) mac: Mac,
}

impl Desired {
    /// Reads a plan; refuses what is not granted.
    pub(crate) fn read(owner: &str, plan: &wit::Plan, grants: &Grants) -> Result<Self, PlanError> {
        check_owner(owner)?;
        check_sizes(plan)?;
        let node_only = [
            plan.routes.is_empty(),
            plan.neighbours.is_empty(),
            plan.sysctls.is_empty(),
            plan.tables.is_empty(),
        ];
        if owner != NODE_OWNER && node_only.contains(&false) {
            let what = "routes, neighbours, settings and tables are the owner node's only";
            return Err(PlanError::Denied(what.to_owned()));
        }
        let desired = Self {
            links: plan
                .links
                .iter()
                .map(|l| read_link(l, grants))
                .collect::<Result<_, _>>()?,
            routes: plan
                .routes
                .iter()
                .map(|r| read_node_route(r, grants))
                .collect::<Result<_, _>>()?,
            neighbours: plan
                .neighbours
                .iter()
                .map(read_neighbour)
                .collect::<Result<_, _>>()?,
            sysctls: plan
                .sysctls
                .iter()
                .map(|s| (s.key.clone(), s.value.clone()))
                .collect(),
            tables: plan.tables.clone(),
            elements: plan.elements.clone(),
        };
        desired.check(owner)?;
        Ok(desired)
    }

    /// The pod's end, if there is one.
    pub(crate) fn pod_end(&self) -> Option<&PodEnd> {
        self.links.iter().find_map(|l| match &l.kind {
            Kind::Pod(end) => Some(end),
            _ => None,
        })
    }

    fn check(&self, owner: &str) -> Result<(), PlanError> {
        let pods = self
            .links
            .iter()
            .filter(|l| matches!(l.kind, Kind::Pod(_)))
            .count();
        if pods > 1 || (pods == 1 && owner == NODE_OWNER) {
            return Err(PlanError::Invalid("one pair for one sandbox".to_owned()));
        }
        for neighbour in &self.neighbours {
            if !self
                .links
                .iter()
                .any(|l| l.name == neighbour.link && matches!(l.kind, Kind::Vxlan { .. }))
            {
                return Err(PlanError::Denied(format!(
                    "neighbours on {}",
                    neighbour.link
                )));
            }
        }
        Ok(())
    }
}

fn check_owner(owner: &str) -> Result<(), PlanError> {
    let good = (1..=100).contains(&owner.len())
        && owner
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if good {
        Ok(())
    } else {
        Err(PlanError::Invalid(format!(
            "{owner:?} is not the name of an owner"
        )))
    }
}

fn check_sizes(plan: &wit::Plan) -> Result<(), PlanError> {
    let rules: usize = plan
        .tables
        .iter()
        .flat_map(|t| &t.chains)
        .map(|c| c.rules.len())
        .sum();
    let sizes = [
        plan.links.len(),
        plan.routes.len(),
        plan.neighbours.len(),
        plan.sysctls.len(),
        plan.tables.len(),
        plan.elements.len(),
        rules,
    ];
    if sizes.iter().all(|size| *size <= LIST_MAX) {
        return Ok(());
    }
    Err(PlanError::Invalid(format!(
        "a plan has at most {LIST_MAX} entries in each list"
    )))
}

fn read_link(from: &wit::Link, grants: &Grants) -> Result<DesiredLink, PlanError> {
    check_link_name(&from.name)?;
    grants.check_link(&from.name)?;
    if let Some(bridge) = &from.bridge {
        grants.check_link(bridge)?;
    }
    let addresses: Vec<IpNet> = from
        .addresses
        .iter()
        .map(|a| network(a))
        .collect::<Result<_, _>>()?;
    addresses.iter().try_for_each(|a| grants.check_network(a))?;
    let kind = match &from.kind {
        wit::LinkKind::Bridge => Kind::Bridge,
        wit::LinkKind::Vxlan(v) => {
            let IpAddr::V4(local) = address(&v.local)? else {
                return Err(PlanError::Invalid(
                    "a tunnel over IPv6 is not offered".to_owned(),
                ));
            };
            Kind::Vxlan {
                id: v.id,
                port: v.port,
                local,
                underlay: v.underlay.clone(),
            }
        }
        wit::LinkKind::Pod(end) => Kind::Pod(read_pod_end(end)?),
    };
    Ok(DesiredLink {
        name: from.name.clone(),
        kind,
        mtu: from.mtu,
        mac: from.mac.as_deref().map(mac).transpose()?,
        bridge: from.bridge.clone(),
        hairpin: from.hairpin,
        addresses,
    })
}

/// Inside the pod everything is allowed: it is the pod's own namespace.
fn read_pod_end(end: &wit::PodEnd) -> Result<PodEnd, PlanError> {
    check_link_name(&end.name)?;
    Ok(PodEnd {
        name: end.name.clone(),
        mac: end.mac.as_deref().map(mac).transpose()?,
        addresses: end
            .addresses
            .iter()
            .map(|a| network(a))
            .collect::<Result<_, _>>()?,
        routes: end
            .routes
            .iter()
            .map(|r| read_route(&end.name, r))
            .collect::<Result<_, _>>()?,
    })
}

fn read_node_route(from: &wit::NodeRoute, grants: &Grants) -> Result<DesiredRoute, PlanError> {
    let route = read_route(&from.link, &from.route)?;
    grants.check_network(&route.destination)?;
    Ok(route)
}

fn read_route(link: &str, from: &wit::Route) -> Result<DesiredRoute, PlanError> {
    Ok(DesiredRoute {
        link: link.to_owned(),
        destination: network(&from.destination)?.trunc(),
        gateway: from.gateway.as_deref().map(address).transpose()?,
        on_link: from.on_link,
    })
}

fn read_neighbour(from: &wit::Neighbour) -> Result<DesiredNeighbour, PlanError> {
    Ok(DesiredNeighbour {
        link: from.link.clone(),
        table: match from.table {
            wit::NeighbourTable::Arp => NeighbourTable::Arp,
            wit::NeighbourTable::Forwarding => NeighbourTable::Forwarding,
        },
        address: address(&from.address)?,
        mac: mac(&from.mac)?,
    })
}

fn mac(text: &str) -> Result<Mac, PlanError> {
    text.parse::<Mac>()
        .map_err(|error| PlanError::Invalid(error.to_string()))
}

fn check_link_name(name: &str) -> Result<(), PlanError> {
    link::check_name(name).map_err(|error| PlanError::Invalid(chain(&error)))
}
