//! Address ranges of pods and services, and how pods are connected.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use super::Flag;
use super::Shape::{ManyByComma, One, Switch};
use super::typed::{DefaultFlag, ListFlag};
use super::values;
use crate::settings::FlannelBackend;

pub(crate) const CLUSTER_CIDR: DefaultFlag<Ipv4Net> = DefaultFlag::new(
    Flag::new("cluster-cidr", ManyByComma, "Network for pod addresses"),
    "10.42.0.0/16",
    values::network,
);
pub(crate) const SERVICE_CIDR: DefaultFlag<Ipv4Net> = DefaultFlag::new(
    Flag::new("service-cidr", ManyByComma, "Network for service addresses"),
    "10.43.0.0/16",
    values::network,
);
pub(crate) const SERVICE_NODE_PORT_RANGE: DefaultFlag<RangeInclusive<u16>> = DefaultFlag::new(
    Flag::new(
        "service-node-port-range",
        One,
        "Port range of NodePort services",
    ),
    "30000-32767",
    values::port_range,
);
pub(crate) const CLUSTER_DNS: ListFlag<IpAddr> = ListFlag::new(
    Flag::new(
        "cluster-dns",
        ManyByComma,
        "Address of cluster DNS (default: the 10th of the service network)",
    ),
    values::address,
);
pub(crate) const CLUSTER_DOMAIN: DefaultFlag<String> = DefaultFlag::new(
    Flag::new("cluster-domain", One, "Cluster domain"),
    "cluster.local",
    values::domain,
);
pub(crate) const FLANNEL_BACKEND: DefaultFlag<FlannelBackend> = DefaultFlag::new(
    Flag::new(
        "flannel-backend",
        One,
        "Pod network between nodes: vxlan, host-gw, or none for CNI plugins of your own",
    ),
    FlannelBackend::Vxlan.name(),
    FlannelBackend::parse,
);

pub(super) const FLAGS: &[Flag] = &[
    CLUSTER_CIDR.row(),
    SERVICE_CIDR.row(),
    SERVICE_NODE_PORT_RANGE.row(),
    CLUSTER_DNS.row(),
    CLUSTER_DOMAIN.row(),
    FLANNEL_BACKEND.row(),
    Flag::new("flannel-ipv6-masq", Switch, "Masquerade IPv6 pod traffic")
        .fatal("pod networks are IPv4 only so far"),
    Flag::new(
        "flannel-external-ip",
        Switch,
        "Use node external addresses for pod traffic",
    )
    .warns("there is one node, so no pod traffic leaves it"),
    Flag::new(
        "egress-selector-mode",
        One,
        "How the API server reaches nodes: disabled, agent, pod or cluster",
    )
    .warns("the only node is reached directly"),
    Flag::new(
        "servicelb-namespace",
        One,
        "Namespace of service load balancer pods",
    )
    .warns("the service load balancer needs no pods"),
];
