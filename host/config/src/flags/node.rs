//! The node of this server.

use super::Flag;
use super::Shape::{Many, ManyByComma, One, Switch};

pub(super) const FLAGS: &[Flag] = &[
    Flag::new("node-name", One, "Node name (default: host name)").env("K3S_NODE_NAME"),
    Flag::new("with-node-id", Switch, "Append an id to the node name"),
    Flag::new(
        "node-label",
        Many,
        "Label of the node, at its first registration",
    ),
    Flag::new(
        "node-taint",
        Many,
        "Taint of the node, at its first registration",
    ),
    Flag::new(
        "node-ip",
        ManyByComma,
        "Address of the node (default: that of the default route)",
    )
    .short('i'),
    Flag::new(
        "node-external-ip",
        ManyByComma,
        "External address of the node",
    ),
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
    Flag::new("resolv-conf", One, "Resolver file for pods").env("K3S_RESOLV_CONF"),
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
    Flag::new(
        "kubelet-arg",
        Many,
        "Argument of the kubelet: max-pods, cgroup-root, root-dir, container-log-max-size, container-log-max-files, \
         eviction-hard, eviction-minimum-reclaim, eviction-pressure-transition-period, image-gc-high-threshold, \
         image-gc-low-threshold, pod-max-pids",
    ),
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
