//! What a node needs: the bridge, the overlay, settings and tables; and what it publishes for the others.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::config::{Backend, Config, Gateway};
use crate::overlay::{self, BACKEND_DATA, BACKEND_TYPE, PUBLIC_IP, VXLAN_OVERHEAD, mac};
use crate::{hostports, masquerade};
use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::cni::net::{Link, LinkKind, Plan, Sysctl, Uplink};
use k3s_plugin_sdk::cni::{Node, Outcome};

/// The bridge, as the CNI plugin of that name calls it in K3s.
pub(crate) const BRIDGE: &str = "cni0";
const KUBE_SUBNET_MANAGER: &str = "flannel.alpha.coreos.com/kube-subnet-manager";

/// The facts about this node that pods need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// This node's pods.
    pub(crate) cidr: Ipv4Net,
    /// The bridge's address.
    pub(crate) gateway: Ipv4Addr,
    pub(crate) mtu: u32,
}

/// The IPv4 pod CIDR of a node.
pub(crate) fn pod_cidr(node: &Node) -> Option<Ipv4Net> {
    node.pod_cidrs
        .iter()
        .find_map(|cidr| cidr.parse::<Ipv4Net>().ok())
        .map(|net| net.trunc())
}

pub(crate) fn annotation<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.annotations
        .iter()
        .find(|(k, _)| k == key)
        .map(|(_, value)| value.as_str())
}

/// The facts, once the node has a pod CIDR.
pub(crate) fn local(config: &Config, this: &Node, uplink: &Uplink) -> Result<Local, Sentence> {
    let cidr = pod_cidr(this).ok_or_else(|| format!("node {} has no pod CIDR yet", this.name))?;
    let end = match config.gateway {
        Gateway::First => cidr.hosts().next(),
        Gateway::Last => cidr.hosts().next_back(),
    };
    let gateway = end.filter(|_| cidr.prefix_len() <= 30);
    let gateway = gateway.ok_or_else(|| format!("pod CIDR {cidr} has no room for pods"))?;
    let overhead = match config.backend {
        Backend::Vxlan => VXLAN_OVERHEAD,
        Backend::HostGw => 0,
    };
    Ok(Local {
        cidr,
        gateway,
        mtu: config.mtu.unwrap_or(uplink.mtu.saturating_sub(overhead)),
    })
}

/// Everything that the node wants of the host.
pub(crate) fn plan(
    config: &Config,
    local: &Local,
    this: &Node,
    nodes: &[Node],
    uplink: &Uplink,
) -> Plan {
    let sysctl = |key: &str| Sysctl {
        key: key.to_owned(),
        value: "1".to_owned(),
    };
    let mut plan = Plan {
        links: vec![bridge(local)],
        sysctls: vec![
            sysctl("net.ipv4.ip_forward"),
            // A pod's answer to its neighbour on the bridge has to be translated back too.
            sysctl("net.bridge.bridge-nf-call-iptables"),
            // Host ports on 127.0.0.1.
            sysctl(&format!("net.ipv4.conf.{BRIDGE}.route_localnet")),
        ],
        tables: vec![hostports::table()],
        ..Plan::default()
    };
    if config.ip_masq {
        plan.tables.push(masquerade::table(config.network));
    }
    let others: Vec<&Node> = nodes.iter().filter(|n| n.name != this.name).collect();
    overlay::extend(&mut plan, config, this, local.cidr, uplink, &others);
    plan
}

fn bridge(local: &Local) -> Link {
    Link {
        name: BRIDGE.to_owned(),
        kind: LinkKind::Bridge,
        mtu: local.mtu,
        // A bridge without an address of its own takes that of a port, and changes it with the ports.
        mac: Some(mac(0x0a, 0x58, local.gateway)),
        bridge: None,
        hairpin: false,
        addresses: vec![format!("{}/{}", local.gateway, local.cidr.prefix_len())],
    }
}

/// What to publish for the cluster and for other software on the node.
pub(crate) fn outcome(config: &Config, local: &Local, this: &Node, uplink: &Uplink) -> Outcome {
    let annotations = [
        (
            BACKEND_TYPE,
            overlay::backend_type(config.backend).to_owned(),
        ),
        (
            BACKEND_DATA,
            overlay::backend_data(config, this, local.cidr),
        ),
        (PUBLIC_IP, uplink.address.clone()),
        (KUBE_SUBNET_MANAGER, "true".to_owned()),
    ];
    let subnet_env = format!(
        "FLANNEL_NETWORK={}\nFLANNEL_SUBNET={}/{}\nFLANNEL_MTU={}\nFLANNEL_IPMASQ={}\n",
        config.network,
        local.gateway,
        local.cidr.prefix_len(),
        local.mtu,
        config.ip_masq,
    );
    Outcome {
        annotations: annotations
            .map(|(key, value)| (key.to_owned(), value))
            .to_vec(),
        subnet_env,
    }
}
