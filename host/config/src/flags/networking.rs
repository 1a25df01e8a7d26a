//! Address ranges of pods and services, and how pods are connected.

use super::Flag;
use super::Shape::{ManyByComma, One, Switch};

pub(super) const FLAGS: &[Flag] = &[
    Flag::new(
        "cluster-cidr",
        ManyByComma,
        "Network for pod addresses (default: 10.42.0.0/16)",
    ),
    Flag::new(
        "service-cidr",
        ManyByComma,
        "Network for service addresses (default: 10.43.0.0/16)",
    ),
    Flag::new(
        "service-node-port-range",
        One,
        "Port range of NodePort services (default: 30000-32767)",
    ),
    Flag::new(
        "cluster-dns",
        ManyByComma,
        "Address of cluster DNS (default: the 10th of the service network)",
    ),
    Flag::new(
        "cluster-domain",
        One,
        "Cluster domain (default: cluster.local)",
    ),
    Flag::new(
        "flannel-backend",
        One,
        "Pod network between nodes: vxlan, host-gw, or none for CNI plugins of your own (default: vxlan)",
    ),
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
