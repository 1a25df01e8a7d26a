//! The node: the server's own, or an agent's.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Flag;
use super::Shape::{Many, ManyByComma, One, Switch};
use super::typed::{DefaultFlag, ListFlag, OptionalFlag, SwitchFlag};
use super::values;
use crate::kubelet_args;

pub(crate) const NODE_NAME: OptionalFlag<String> = OptionalFlag::new(
    Flag::new("node-name", One, "Node name (default: host name)").env("K3S_NODE_NAME"),
    values::node_name,
);
pub(crate) const WITH_NODE_ID: SwitchFlag =
    SwitchFlag::new("with-node-id", "Append an id to the node name");
pub(crate) const NODE_LABEL: ListFlag<(String, String)> = ListFlag::new(
    Flag::new(
        "node-label",
        Many,
        "Label of the node, at its first registration",
    ),
    values::label,
);
pub(crate) const NODE_TAINT: ListFlag<String> = ListFlag::new(
    Flag::new(
        "node-taint",
        Many,
        "Taint of the node, at its first registration",
    ),
    values::taint,
);
pub(crate) const NODE_IP: ListFlag<IpAddr> = ListFlag::new(
    Flag::new(
        "node-ip",
        ManyByComma,
        "Address of the node (default: that of the default route)",
    )
    .short('i'),
    values::address,
);
pub(crate) const NODE_EXTERNAL_IP: ListFlag<IpAddr> = ListFlag::new(
    Flag::new(
        "node-external-ip",
        ManyByComma,
        "External address of the node",
    ),
    values::address,
);
pub(crate) const RESOLV_CONF: DefaultFlag<PathBuf> = DefaultFlag::new(
    Flag::new("resolv-conf", One, "Resolver file for pods").env("K3S_RESOLV_CONF"),
    "/etc/resolv.conf",
    values::path,
);
pub(crate) const KUBELET_ARG: ListFlag<String> = ListFlag::new(
    Flag::new("kubelet-arg", Many, "Argument of the kubelet, NAME=VALUE")
        .choices("arguments", kubelet_args::names),
    values::text,
);

pub(super) const FLAGS: &[Flag] = &[
    NODE_NAME.row(),
    WITH_NODE_ID.row(),
    NODE_LABEL.row(),
    NODE_TAINT.row(),
    NODE_IP.row(),
    NODE_EXTERNAL_IP.row(),
    Flag::new(
        "node-internal-dns",
        ManyByComma,
        "Internal DNS names of the node",
    )
    .warns("DNS names are not published as addresses of the node yet"),
    Flag::new(
        "node-external-dns",
        ManyByComma,
        "External DNS names of the node",
    )
    .warns("DNS names are not published as addresses of the node yet"),
    RESOLV_CONF.row(),
    Flag::new(
        "flannel-iface",
        One,
        "Interface for pod traffic between nodes",
    )
    .warns("there is one node, so no pod traffic leaves it"),
    Flag::new("flannel-conf", One, "Replacement for net-conf.json")
        .fatal("the pod network would differ from the file"),
    Flag::new(
        "flannel-cni-conf",
        One,
        "Replacement for the CNI configuration",
    )
    .fatal("the pod network would differ from the file"),
    Flag::new("vpn-auth", One, "VPN credentials")
        .env("K3S_VPN_AUTH")
        .fatal("VPN integration does not exist; traffic would not be encrypted"),
    Flag::new("vpn-auth-file", One, "File with VPN credentials")
        .env("K3S_VPN_AUTH_FILE")
        .fatal("VPN integration does not exist; traffic would not be encrypted"),
    KUBELET_ARG.row(),
    Flag::new(
        "protect-kernel-defaults",
        Switch,
        "Fail if kernel settings differ from the kubelet's",
    )
    .fatal("kernel settings are not checked yet, so the protection asked for would be missing"),
    Flag::new("rootless", Switch, "Run without root").fatal("k3s needs root"),
    Flag::new("selinux", Switch, "SELinux for containers")
        .env("K3S_SELINUX")
        .fatal("containers would run unconfined by SELinux"),
    Flag::new(
        "lb-server-port",
        One,
        "Port of the client-side load balancer",
    )
    .env("K3S_LB_SERVER_PORT")
    .warns("a server talks to its own API without a load balancer"),
    Flag::new(
        "disable-apiserver-lb",
        Switch,
        "No client-side load balancer",
    )
    .warns("a server talks to its own API without a load balancer"),
];
