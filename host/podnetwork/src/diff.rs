//! From what is to what should be: the actions between, in an order that works. Pure, but for reading
//! single settings.

use std::fmt;

use ipnet::IpNet;
use k3s_sys::net::{Link, Mac, Neighbour, NetError, Route};

use crate::error::PlanError;
use crate::host::{ALIAS_PREFIX, NODE_OWNER, read_failed};
use crate::model::{Desired, DesiredLink, DesiredNeighbour, DesiredRoute, Kind, PodEnd};
use crate::snapshot::Snapshot;

/// Properties of a link to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) up: bool,
    pub(crate) mtu: Option<u32>,
    pub(crate) mac: Option<Mac>,
    pub(crate) bridge: Option<String>,
    /// Make it the owner's.
    pub(crate) adopt: bool,
}

/// One step. Links go by name, since those to come have no number yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    CreateLink(DesiredLink),
    ChangeLink(String, Change),
    DeleteLink(String),
    AddAddress(String, IpNet),
    DeleteAddress(String, IpNet),
    PutRoute(DesiredRoute),
    DeleteRoute(Route),
    PutNeighbour(DesiredNeighbour),
    DeleteNeighbour(Neighbour),
    SetSysctl(String, String),
    /// The same inside the pod.
    InPod(Box<Action>),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateLink(link) => write!(f, "add {} {}", link.kind.name(), link.name),
            Self::ChangeLink(name, change) => write!(f, "change {name}: {change:?}"),
            Self::DeleteLink(name) => write!(f, "delete link {name}"),
            Self::AddAddress(link, address) => write!(f, "add {address} to {link}"),
            Self::DeleteAddress(link, address) => write!(f, "delete {address} from {link}"),
            Self::PutRoute(route) => {
                write!(f, "set route {} over {}", route.destination, route.link)
            }
            Self::DeleteRoute(route) => write!(f, "delete route {}", route.destination),
            Self::PutNeighbour(n) => write!(
                f,
                "set {:?} entry {} {} on {}",
                n.table, n.address, n.mac, n.link
            ),
            Self::DeleteNeighbour(n) => {
                write!(f, "delete {:?} entry {} {}", n.table, n.address, n.mac)
            }
            Self::SetSysctl(key, value) => write!(f, "set {key}={value}"),
            Self::InPod(action) => write!(f, "{action} in the pod"),
        }
    }
}

/// The steps for one owner. `inside` is the pod's namespace, if the plan reaches into it.
pub(crate) fn diff(
    owner: &str,
    desired: &Desired,
    now: &Snapshot,
    inside: Option<&Snapshot>,
) -> Result<Vec<Action>, PlanError> {
    let mut differ = Differ {
        alias: format!("{ALIAS_PREFIX}{owner}"),
        now,
        inside,
        actions: Vec::new(),
    };
    for link in &desired.links {
        differ.link(link)?;
    }
    for (key, value) in &desired.sysctls {
        let current = now.sysctl(key).map_err(denied)?;
        if current.as_ref() != Some(value) {
            differ
                .actions
                .push(Action::SetSysctl(key.clone(), value.clone()));
        }
    }
    if owner == NODE_OWNER {
        differ.routes(&desired.routes);
        differ.neighbours(&desired.neighbours);
    }
    differ.prune_links(desired);
    Ok(differ.actions)
}

fn denied(error: NetError) -> PlanError {
    match error {
        NetError::SysctlDenied(key) => PlanError::Denied(format!("the setting {key}")),
        other => read_failed(other),
    }
}

struct Differ<'a> {
    alias: String,
    now: &'a Snapshot,
    inside: Option<&'a Snapshot>,
    actions: Vec<Action>,
}

impl Differ<'_> {
    fn link(&mut self, wanted: &DesiredLink) -> Result<(), PlanError> {
        match self.now.link(&wanted.name) {
            None => self.create(wanted),
            Some(found) => {
                self.check_owner(wanted, found)?;
                if self.must_be_remade(wanted, found) {
                    self.actions.push(Action::DeleteLink(wanted.name.clone()));
                    self.create(wanted);
                } else {
                    self.adjust(wanted, found);
                }
            }
        }
        Ok(())
    }

    /// A link without an owner may be taken over if it is of the right sort: an earlier version's
    /// bridge, or a pair whose maker died before naming its owner.
    fn check_owner(&self, wanted: &DesiredLink, found: &Link) -> Result<(), PlanError> {
        let same_kind = found.kind.as_deref() == Some(wanted.kind.name());
        match found.alias.as_deref() {
            Some(alias) if alias == self.alias => Ok(()),
            Some(alias) if alias.starts_with(ALIAS_PREFIX) => Err(PlanError::Conflict(format!(
                "link {} belongs to {alias}",
                wanted.name
            ))),
            _ if same_kind => Ok(()),
            _ => Err(PlanError::Conflict(format!(
                "there is a link {} already, of another kind",
                wanted.name
            ))),
        }
    }

    fn must_be_remade(&self, wanted: &DesiredLink, found: &Link) -> bool {
        match &wanted.kind {
            Kind::Bridge => found.kind.as_deref() != Some("bridge"),
            Kind::Vxlan {
                id,
                port,
                local,
                underlay,
            } => {
                let underlay = self.now.link(underlay).map(|l| l.index);
                let same = |v: &k3s_sys::net::Vxlan| {
                    v.id == *id
                        && v.port == *port
                        && v.local == Some(*local)
                        && v.underlay == underlay
                };
                !found.vxlan.as_ref().is_some_and(same)
            }
            // The far end may be gone with the sandbox's last life.
            Kind::Pod(end) => {
                found.alias.as_deref() != Some(&self.alias)
                    || self.inside.and_then(|i| i.link(&end.name)).is_none()
            }
        }
    }

    fn create(&mut self, wanted: &DesiredLink) {
        self.actions.push(Action::CreateLink(wanted.clone()));
        let add = wanted
            .addresses
            .iter()
            .map(|a| Action::AddAddress(wanted.name.clone(), *a));
        self.actions.extend(add);
        if let Kind::Pod(end) = &wanted.kind {
            self.pod_end(end, None);
        }
    }

    fn adjust(&mut self, wanted: &DesiredLink, found: &Link) {
        let controller = found.controller.and_then(|index| self.now.name_of(index));
        let change = Change {
            up: !found.up,
            mtu: Some(wanted.mtu).filter(|mtu| *mtu != found.mtu),
            mac: wanted.mac.filter(|mac| Some(*mac) != found.mac),
            bridge: wanted
                .bridge
                .clone()
                .filter(|bridge| Some(bridge.as_str()) != controller),
            adopt: found.alias.as_deref() != Some(&self.alias),
        };
        if change != Change::default() {
            self.actions
                .push(Action::ChangeLink(wanted.name.clone(), change));
        }
        self.addresses(&wanted.addresses, found);
        if let (Kind::Pod(end), Some(inside)) = (&wanted.kind, self.inside) {
            self.pod_end(end, inside.link(&end.name));
        }
    }

    fn addresses(&mut self, wanted: &[IpNet], found: &Link) {
        // Link-local IPv6 addresses come by themselves.
        let has: Vec<IpNet> = self
            .now
            .addresses
            .iter()
            .filter(|a| a.index == found.index && a.net.addr().is_ipv4())
            .map(|a| a.net)
            .collect();
        let add = wanted
            .iter()
            .filter(|a| !has.contains(a))
            .map(|a| Action::AddAddress(found.name.clone(), *a));
        self.actions.extend(add);
        let gone = has
            .iter()
            .filter(|a| !wanted.contains(a))
            .map(|a| Action::DeleteAddress(found.name.clone(), *a));
        self.actions.extend(gone);
    }

    fn pod_end(&mut self, end: &PodEnd, found: Option<&Link>) {
        let change = Change {
            up: found.is_none_or(|l| !l.up),
            mac: end
                .mac
                .filter(|mac| found.is_none_or(|l| l.mac != Some(*mac))),
            ..Change::default()
        };
        if change != Change::default() {
            self.in_pod(Action::ChangeLink(end.name.clone(), change));
        }
        let has = |a: &IpNet| {
            let same = |x: &k3s_sys::net::Address| {
                found.is_some_and(|l| l.index == x.index) && x.net == *a
            };
            self.inside.is_some_and(|i| i.addresses.iter().any(same))
        };
        let missing: Vec<IpNet> = end.addresses.iter().filter(|a| !has(a)).copied().collect();
        let routes = end.routes.iter();
        let lost: Vec<DesiredRoute> = routes
            .filter(|r| {
                !found.is_some_and(|l| self.inside.is_some_and(|i| has_route(i, r, l.index)))
            })
            .cloned()
            .collect();
        missing
            .into_iter()
            .for_each(|a| self.in_pod(Action::AddAddress(end.name.clone(), a)));
        lost.into_iter()
            .for_each(|r| self.in_pod(Action::PutRoute(r)));
    }

    fn in_pod(&mut self, action: Action) {
        self.actions.push(Action::InPod(Box::new(action)));
    }

    /// Routes of the node: ours by their protocol number.
    fn routes(&mut self, wanted: &[DesiredRoute]) {
        for route in wanted {
            let index = self.now.link(&route.link).map(|l| l.index);
            if !index.is_some_and(|index| has_route(self.now, route, index)) {
                self.actions.push(Action::PutRoute(route.clone()));
            }
        }
        for found in self.now.routes.iter().filter(|r| r.owned) {
            if !wanted.iter().any(|r| r.destination == found.destination) {
                self.actions.push(Action::DeleteRoute(found.clone()));
            }
        }
    }

    fn neighbours(&mut self, wanted: &[DesiredNeighbour]) {
        let same = |w: &DesiredNeighbour, n: &Neighbour| {
            w.table == n.table
                && w.address == n.address
                && w.mac == n.mac
                && self.now.name_of(n.index) == Some(w.link.as_str())
        };
        let missing = wanted
            .iter()
            .filter(|w| !self.now.neighbours.iter().any(|n| same(w, n)));
        let gone = self
            .now
            .neighbours
            .iter()
            .filter(|n| !wanted.iter().any(|w| same(w, n)));
        // Of two entries with one key the new one must stay, so the old one goes first.
        let gone: Vec<Action> = gone.map(|n| Action::DeleteNeighbour(*n)).collect();
        let missing: Vec<Action> = missing.map(|w| Action::PutNeighbour(w.clone())).collect();
        self.actions.extend(gone);
        self.actions.extend(missing);
    }

    fn prune_links(&mut self, desired: &Desired) {
        let ours = self
            .now
            .links
            .iter()
            .filter(|l| l.alias.as_deref() == Some(&self.alias));
        let gone = ours.filter(|l| !desired.links.iter().any(|w| w.name == l.name));
        self.actions
            .extend(gone.map(|l| Action::DeleteLink(l.name.clone())));
    }
}

fn has_route(snapshot: &Snapshot, wanted: &DesiredRoute, index: u32) -> bool {
    snapshot.routes.iter().any(|r| {
        r.destination == wanted.destination
            && r.gateway == wanted.gateway
            && r.index == index
            && r.owned
    })
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
