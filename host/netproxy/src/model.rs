//! Services and endpoints, reduced to what forwarding needs.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A transport that Services know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Transport {
    /// As Kubernetes writes it; an absent protocol is TCP.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }

    /// As Kubernetes writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// IP protocol number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// A Service that has addresses to be forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) cluster_ips: Vec<Ipv4Addr>,
    /// `metadata.creationTimestamp`: of two that want one address, the older one gets it.
    pub(crate) created: String,
    /// `spec.externalIPs`.
    pub(crate) external_ips: Vec<Ipv4Addr>,
    /// `status.loadBalancer.ingress` in VIP mode.
    pub(crate) load_balancer_ips: Vec<Ipv4Addr>,
    /// Source ranges that may call the load balancer addresses; empty allows all.
    pub(crate) source_ranges: Vec<Ipv4Net>,
    pub(crate) ports: Vec<ServicePort>,
    /// Seconds that a client stays with an endpoint.
    pub(crate) affinity_secs: Option<u32>,
    /// `internalTrafficPolicy: Local`.
    pub(crate) internal_local: bool,
    /// `externalTrafficPolicy: Local`.
    pub(crate) external_local: bool,
    /// `type: LoadBalancer`.
    pub(crate) is_balancer: bool,
    /// `healthCheckNodePort` of a load balancer.
    pub(crate) health_check_port: Option<u16>,
}

impl Service {
    /// Answers on these addresses of the node too, if it is a load balancer.
    pub(crate) fn also_on(&mut self, addresses: &[Ipv4Addr]) {
        if self.is_balancer {
            let new = addresses
                .iter()
                .filter(|a| !self.load_balancer_ips.contains(a));
            self.load_balancer_ips
                .extend(new.copied().collect::<Vec<_>>());
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePort {
    /// Matches the port of that name in EndpointSlices; empty for the only port.
    pub(crate) name: String,
    pub(crate) transport: Transport,
    pub(crate) port: u16,
    pub(crate) node_port: Option<u16>,
}

/// One endpoint of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Endpoint {
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) ready: bool,
    pub(crate) serving: bool,
    pub(crate) terminating: bool,
    /// On this node.
    pub(crate) local: bool,
}

impl Endpoint {
    pub(crate) fn target(&self) -> (Ipv4Addr, u16) {
        (self.address, self.port)
    }
}
