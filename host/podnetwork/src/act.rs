//! Performing single actions.

use k3s_sys::net::{
    LinkChange, LinkKind, Neighbour, Net, NetError, NewLink, Route, RouteScope, Vxlan, sysctl,
};

use crate::diff::{Action, Change};
use crate::host::ALIAS_PREFIX;
use crate::model::{DesiredLink, DesiredRoute, Kind};

/// Performs actions for an owner.
pub(crate) struct Applier<'a> {
    pub(crate) owner: &'a str,
    pub(crate) host: &'a Net,
    pub(crate) pod: Option<&'a Net>,
}

impl Applier<'_> {
    pub(crate) fn perform(&self, action: &Action) -> Result<(), NetError> {
        match action {
            Action::CreateLink(link) => self.create(link),
            Action::InPod(action) => match self.pod {
                Some(pod) => Applier {
                    owner: self.owner,
                    host: pod,
                    pod: None,
                }
                .perform(action),
                None => Err(NetError::NoLink("(no pod)".to_owned())),
            },
            Action::ChangeLink(name, change) => self.change(name, change),
            Action::DeleteLink(name) => self.host.delete_link(name).map(drop),
            Action::AddAddress(link, address) => self.host.add_address(self.index(link)?, *address),
            Action::DeleteAddress(link, address) => self
                .host
                .delete_address(self.index(link)?, *address)
                .map(drop),
            Action::PutRoute(route) => self.host.replace_route(&self.route(route)?),
            Action::DeleteRoute(route) => self.host.delete_route(route).map(drop),
            Action::PutNeighbour(n) => {
                let (table, index) = (n.table, self.index(&n.link)?);
                self.host.replace_neighbour(&Neighbour {
                    table,
                    index,
                    address: n.address,
                    mac: n.mac,
                })
            }
            Action::DeleteNeighbour(neighbour) => self.host.delete_neighbour(neighbour).map(drop),
            Action::SetSysctl(key, value) => sysctl::set(key, value).map(drop),
        }
    }

    fn create(&self, link: &DesiredLink) -> Result<(), NetError> {
        let controller = link
            .bridge
            .as_deref()
            .map(|name| self.index(name))
            .transpose()?;
        let namespace = self.pod.map(Net::namespace).transpose()?;
        let kind = match &link.kind {
            Kind::Bridge => LinkKind::Bridge,
            Kind::Vxlan {
                id,
                port,
                local,
                underlay,
            } => LinkKind::Vxlan(Vxlan {
                id: *id,
                port: *port,
                local: Some(*local),
                underlay: Some(self.index(underlay)?),
            }),
            Kind::Pod(end) => LinkKind::Veth {
                peer: &end.name,
                namespace: namespace.as_ref().map(std::os::fd::AsFd::as_fd),
            },
        };
        let new = NewLink {
            name: &link.name,
            kind,
            mtu: Some(link.mtu),
            mac: link.mac,
            controller,
            up: true,
        };
        self.host.create_link(&new)?;
        let change = LinkChange {
            alias: Some(self.alias()),
            hairpin: controller.map(|_| link.hairpin),
            ..LinkChange::default()
        };
        self.host.change_link(self.index(&link.name)?, &change)?;
        match self.pod {
            Some(pod) => pod.loopback_up(),
            None => Ok(()),
        }
    }

    fn change(&self, name: &str, change: &Change) -> Result<(), NetError> {
        let controller = change
            .bridge
            .as_deref()
            .map(|name| self.index(name))
            .transpose()?;
        let change = LinkChange {
            up: change.up.then_some(true),
            mtu: change.mtu,
            mac: change.mac,
            controller,
            alias: change.adopt.then(|| self.alias()),
            hairpin: None,
        };
        self.host.change_link(self.index(name)?, &change)
    }

    fn route(&self, route: &DesiredRoute) -> Result<Route, NetError> {
        Ok(Route {
            destination: route.destination,
            gateway: route.gateway,
            index: self.index(&route.link)?,
            source: None,
            metric: None,
            scope: if route.gateway.is_some() {
                RouteScope::Universe
            } else {
                RouteScope::Link
            },
            on_link: route.on_link,
            owned: true,
        })
    }

    fn index(&self, name: &str) -> Result<u32, NetError> {
        self.host.require_link(name).map(|l| l.index)
    }

    fn alias(&self) -> String {
        format!("{ALIAS_PREFIX}{}", self.owner)
    }
}
