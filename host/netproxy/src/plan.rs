//! A Service and its endpoints to map elements. Pure: same input, same elements.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k3s_sys::nft::{Data, Key, Verdict};

use crate::model::{Endpoint, Service, ServicePort, Transport};
use crate::reserved::{Reserved, Target};
use crate::tables::{
    ALLOWED_SOURCES, CLUSTER_IPS, DEAD_NODEPORTS, DEAD_NODEPORTS_EXTERNAL, DEAD_SERVICES,
    DEAD_SERVICES_EXTERNAL, ENDPOINTS, LOCAL_OFFSET, Masquerade, NODEPORT_ENDPOINTS,
    NODEPORT_STICKY, NODEPORTS, NODEPORTS_INTERNAL, Pick, REJECT, RESTRICTED, SERVICES,
    SERVICES_INTERNAL, STICKY, Via,
};

/// Endpoints of a Service, by port name and transport.
pub(crate) type Endpoints = BTreeMap<(String, Transport), Vec<Endpoint>>;

/// Something that callers call. At most one Service has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Frontend {
    /// An address and port.
    Address(Ipv4Addr, Transport, u16),
    /// A port of the node.
    NodePort(Transport, u16),
    /// A cluster address as a whole.
    ClusterIp(Ipv4Addr),
}

impl Frontend {
    fn key(self) -> Key {
        match self {
            Self::Address(ip, transport, port) => {
                Key::new().ipv4(ip).protocol(transport.number()).port(port)
            }
            Self::NodePort(transport, port) => Key::new().protocol(transport.number()).port(port),
            Self::ClusterIp(ip) => Key::new().ipv4(ip),
        }
    }

    fn via(self) -> Via {
        match self {
            Self::NodePort(..) => Via::NodePort,
            Self::Address(..) | Self::ClusterIp(_) => Via::Address,
        }
    }
}

/// By what right a Service has a frontend; the first is the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// The API server allocated the address or node port.
    Allocated,
    /// The load balancer assigned the address.
    Assigned,
    /// Its author wrote the address.
    External,
}

/// One map or set element.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) set: &'static str,
    pub(crate) key: Vec<u8>,
    /// The last key of a range.
    pub(crate) key_end: Option<Vec<u8>>,
    pub(crate) data: Data,
}

/// Everything about one frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) frontend: Frontend,
    pub(crate) claim: Claim,
    pub(crate) rows: Vec<Row>,
    pub(crate) picks: BTreeSet<Pick>,
    /// Where flows to this frontend may lead.
    pub(crate) targets: BTreeSet<(Ipv4Addr, u16)>,
    /// Endpoints on this node, which may call themselves.
    pub(crate) local: BTreeSet<Ipv4Addr>,
}

/// All frontends of a Service, and what it asks for and does not get.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) frontends: Vec<Planned>,
    /// External addresses that are taken.
    pub(crate) refused: Vec<(Target, &'static str)>,
}

/// Whom a frontend serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// The cluster, by the cluster address.
    Cluster,
    /// All sources, by a node port or external address.
    World,
    /// All sources, by an address of a load balancer.
    Balancer,
}

/// All frontends of a Service.
pub(crate) fn plan(service: &Service, endpoints: &Endpoints, reserved: &Reserved) -> Plan {
    let mut refused = Vec::new();
    let mut planned: Vec<Planned> = service
        .cluster_ips
        .iter()
        .map(|ip| cluster_ip(*ip))
        .collect();
    for port in &service.ports {
        let known = endpoints
            .get(&(port.name.clone(), port.transport))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let choice = Choice::of(service, known);
        let address = |ip: &Ipv4Addr| Frontend::Address(*ip, port.transport, port.port);
        planned.extend(
            service
                .cluster_ips
                .iter()
                .map(|ip| choice.plan(address(ip), Audience::Cluster)),
        );
        for ip in &service.external_ips {
            let target = (*ip, port.transport, port.port);
            match reserved.owner(target) {
                Some(owner) => refused.push((target, owner)),
                None => planned.push(Planned {
                    claim: Claim::External,
                    ..choice.plan(address(ip), Audience::World)
                }),
            }
        }
        for ip in &service.load_balancer_ips {
            let mut vip = choice.plan(address(ip), Audience::Balancer);
            vip.claim = Claim::Assigned;
            vip.rows.extend(restrictions(service, *ip, port));
            planned.push(vip);
        }
        if let Some(node_port) = port.node_port {
            planned.push(choice.plan(
                Frontend::NodePort(port.transport, node_port),
                Audience::World,
            ));
        }
    }
    Plan {
        frontends: planned,
        refused,
    }
}

/// Packets to a cluster address that no port of it takes are refused rather than sent to the world.
fn cluster_ip(ip: Ipv4Addr) -> Planned {
    let frontend = Frontend::ClusterIp(ip);
    let mut planned = Planned::empty(frontend);
    planned
        .rows
        .push(row(CLUSTER_IPS, frontend.key(), Data::None));
    planned
}

/// Only these sources may call the load balancer's address.
fn restrictions(service: &Service, ip: Ipv4Addr, port: &ServicePort) -> Vec<Row> {
    if service.source_ranges.is_empty() {
        return Vec::new();
    }
    let key = || Frontend::Address(ip, port.transport, port.port).key();
    let mut rows = vec![row(RESTRICTED, key(), Data::None)];
    // Overlapping ranges would be refused by the kernel.
    for range in ipnet::Ipv4Net::aggregate(&service.source_ranges) {
        let first = row(ALLOWED_SOURCES, key().ipv4(range.network()), Data::None);
        rows.push(Row {
            key_end: Some(key().ipv4(range.broadcast()).into()),
            ..first
        });
    }
    rows
}

/// Which endpoints take part, decided once per port.
struct Choice<'a> {
    service: &'a Service,
    /// Usable ones anywhere.
    cluster: Vec<Endpoint>,
    /// Usable ones on this node.
    local: Vec<Endpoint>,
}

impl<'a> Choice<'a> {
    fn of(service: &'a Service, known: &[Endpoint]) -> Self {
        let local: Vec<Endpoint> = known.iter().filter(|e| e.local).copied().collect();
        Self {
            service,
            cluster: usable(known),
            local: usable(&local),
        }
    }

    fn plan(&self, frontend: Frontend, audience: Audience) -> Planned {
        match audience {
            Audience::Cluster if self.service.internal_local => self.local_only(frontend),
            Audience::Cluster => self.anywhere(frontend, Masquerade::OffCluster),
            Audience::World | Audience::Balancer if self.service.external_local => {
                self.local_for_outsiders(frontend)
            }
            Audience::World => self.anywhere(frontend, Masquerade::Always),
            // An endpoint on this node sees its client: the answer comes back through here anyway.
            Audience::Balancer => self.anywhere(frontend, Masquerade::IfRemoteEndpoint),
        }
    }

    fn anywhere(&self, frontend: Frontend, masquerade: Masquerade) -> Planned {
        let mut planned = Planned::empty(frontend);
        if self.cluster.is_empty() {
            planned.dead(Verdict::Goto(REJECT.into()), false);
        } else {
            planned.forward(
                &self.cluster,
                self.pick(frontend, masquerade, &self.cluster, 0),
                false,
            );
        }
        planned
    }

    /// `internalTrafficPolicy: Local`. Where other nodes have endpoints the packet is dropped: the
    /// caller asked not to be sent there, and the Service is not down.
    fn local_only(&self, frontend: Frontend) -> Planned {
        let mut planned = Planned::empty(frontend);
        if !self.local.is_empty() {
            planned.forward(
                &self.local,
                self.pick(frontend, Masquerade::OffCluster, &self.local, LOCAL_OFFSET),
                false,
            );
        } else {
            planned.dead(self.dead_verdict(), false);
        }
        planned
    }

    /// `externalTrafficPolicy: Local`: callers from outside keep their address and reach this node's
    /// endpoints only; pods and the node itself reach all of them (KEP-3669's short cut).
    fn local_for_outsiders(&self, frontend: Frontend) -> Planned {
        let mut planned = Planned::empty(frontend);
        if self.cluster.is_empty() {
            planned.dead(Verdict::Goto(REJECT.into()), false);
            return planned;
        }
        planned.forward(
            &self.cluster,
            self.pick(frontend, Masquerade::OffCluster, &self.cluster, 0),
            true,
        );
        if self.local.is_empty() {
            planned.dead(self.dead_verdict(), true);
        } else {
            planned.forward(
                &self.local,
                self.pick(frontend, Masquerade::Never, &self.local, LOCAL_OFFSET),
                false,
            );
        }
        planned
    }

    fn dead_verdict(&self) -> Verdict {
        if self.cluster.is_empty() {
            Verdict::Goto(REJECT.into())
        } else {
            Verdict::Drop
        }
    }

    fn pick(
        &self,
        frontend: Frontend,
        masquerade: Masquerade,
        endpoints: &[Endpoint],
        offset: u32,
    ) -> Pick {
        Pick {
            via: frontend.via(),
            masquerade,
            count: u32::try_from(endpoints.len())
                .unwrap_or(LOCAL_OFFSET)
                .min(LOCAL_OFFSET),
            offset,
            affinity_secs: self.service.affinity_secs,
        }
    }
}

/// Ready ones; failing those, the ones that end but still answer (KEP-1669). Sorted, so that a slice
/// written in another order changes nothing.
fn usable(endpoints: &[Endpoint]) -> Vec<Endpoint> {
    let pick = |test: fn(&Endpoint) -> bool| -> Vec<Endpoint> {
        let mut chosen: Vec<Endpoint> = endpoints.iter().filter(|e| test(e)).copied().collect();
        chosen.sort_unstable_by_key(Endpoint::target);
        // Two slices may name the same endpoint while one replaces the other.
        chosen.dedup_by_key(|e| e.target());
        // Numbers of local endpoints start there.
        chosen.truncate(LOCAL_OFFSET as usize);
        chosen
    };
    let ready = pick(|e| e.ready);
    if ready.is_empty() {
        pick(|e| e.serving && e.terminating)
    } else {
        ready
    }
}

impl Planned {
    fn empty(frontend: Frontend) -> Self {
        Self {
            frontend,
            claim: Claim::Allocated,
            rows: Vec::new(),
            picks: BTreeSet::new(),
            targets: BTreeSet::new(),
            local: BTreeSet::new(),
        }
    }

    fn forward(&mut self, endpoints: &[Endpoint], pick: Pick, internal: bool) {
        let (entry, numbered, sticky) = match (pick.via, internal) {
            (Via::Address, false) => (SERVICES, ENDPOINTS, STICKY),
            (Via::Address, true) => (SERVICES_INTERNAL, ENDPOINTS, STICKY),
            (Via::NodePort, false) => (NODEPORTS, NODEPORT_ENDPOINTS, NODEPORT_STICKY),
            (Via::NodePort, true) => (NODEPORTS_INTERNAL, NODEPORT_ENDPOINTS, NODEPORT_STICKY),
        };
        let key = || self.frontend.key();
        let mut rows = vec![row(
            entry,
            key(),
            Data::Verdict(Verdict::Goto(pick.chain())),
        )];
        for (number, endpoint) in (pick.offset..).zip(endpoints) {
            let target = Key::new().ipv4(endpoint.address).port(endpoint.port);
            rows.push(row(
                numbered,
                key().number(number),
                Data::Value(target.into()),
            ));
            if pick.affinity_secs.is_some() {
                let member = row(
                    sticky,
                    key().ipv4(endpoint.address).port(endpoint.port),
                    Data::None,
                );
                // All and local endpoints of one frontend share the set.
                if !self.rows.contains(&member) {
                    rows.push(member);
                }
            }
        }
        self.rows.extend(rows);
        self.targets.extend(endpoints.iter().map(Endpoint::target));
        self.local
            .extend(endpoints.iter().filter(|e| e.local).map(|e| e.address));
        self.picks.insert(pick);
    }

    fn dead(&mut self, verdict: Verdict, only_outsiders: bool) {
        let set = match (self.frontend.via(), only_outsiders) {
            (Via::Address, false) => DEAD_SERVICES,
            (Via::Address, true) => DEAD_SERVICES_EXTERNAL,
            (Via::NodePort, false) => DEAD_NODEPORTS,
            (Via::NodePort, true) => DEAD_NODEPORTS_EXTERNAL,
        };
        self.rows
            .push(row(set, self.frontend.key(), Data::Verdict(verdict)));
    }
}

fn row(set: &'static str, key: Key, data: Data) -> Row {
    Row {
        set,
        key: key.into(),
        key_end: None,
        data,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
