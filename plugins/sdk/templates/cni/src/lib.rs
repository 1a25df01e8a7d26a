//! A pod network to start from. As it is, it works on a cluster of one node: each pod has an address of
//! its own (/32) on a pair of interfaces, the node has a route to each pod, and a pod's way out is the
//! node's end of its pair.
//!
//! The functions of [`PodNetwork`] say what should exist; the host makes it so (`k3s/wit/net/net.wit`).
//! Everything has an owner: a sandbox, or the node.

use k3s_plugin_sdk::cni::net::{Link, LinkKind, NodeRoute, Plan, PodEnd, Route, Sysctl};
use k3s_plugin_sdk::cni::{
    Attachment, Error, NODE_OWNER, Node, Outcome, PodNetwork, Sandbox, collect_garbage, ipam, link_name, net,
};
use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::{export_cni, info};

/// Name of the network among the node's leases.
const NETWORK: &str = env!("CARGO_PKG_NAME");

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    /// The cluster's range, from the server; the node's own is what counts here.
    #[serde(default, rename = "network")]
    _network: String,
    /// Of both ends of a pair; 0 is the uplink's.
    #[serde(default)]
    mtu: u32,
}

struct MyNetwork {
    config: Config,
    local: Option<Local>,
}

/// What pods of this node need.
struct Local {
    range: ipam::Range,
    mtu: u32,
}

impl MyNetwork {
    fn local(&self) -> Result<&Local, Error> {
        self.local.as_ref().ok_or_else(|| Error::NotReady("this node has no pod CIDR yet".to_owned()))
    }

    /// The node's routes: one to each pod that is connected.
    fn routes(&self) -> Result<(), Error> {
        let owners = net::owners()?;
        let leases = ipam::leases(NETWORK)?;
        let connected = leases.iter().filter(|lease| owners.contains(&lease.owner));
        let routes = connected.map(|lease| NodeRoute {
            link: link_name(&lease.owner),
            route: Route { destination: format!("{}/32", lease.address), gateway: None, on_link: false },
        });
        let forward = Sysctl { key: "net.ipv4.ip_forward".to_owned(), value: "1".to_owned() };
        let plan = Plan { routes: routes.collect(), sysctls: vec![forward], ..Plan::default() };
        net::apply(NODE_OWNER, &plan)?;
        Ok(())
    }
}

fn pod(local: &Local, sandbox: &Sandbox, address: &str) -> Plan {
    let gateway = &local.range.gateway;
    let on_link = Route { destination: format!("{gateway}/32"), gateway: None, on_link: false };
    let default = Route { destination: "0.0.0.0/0".to_owned(), gateway: Some(gateway.clone()), on_link: true };
    let inside = PodEnd {
        name: "eth0".to_owned(),
        mac: None,
        addresses: vec![format!("{address}/32")],
        routes: vec![on_link, default],
    };
    let link = Link {
        name: link_name(&sandbox.id),
        kind: LinkKind::Pod(inside),
        mtu: local.mtu,
        mac: None,
        bridge: None,
        hairpin: false,
        // Every pair's end on the node answers for the gateway.
        addresses: vec![format!("{gateway}/32")],
    };
    Plan { links: vec![link], ..Plan::default() }
}

/// The first address of the pod CIDR.
fn first_address(cidr: &str) -> Option<String> {
    let network: std::net::Ipv4Addr = cidr.split('/').next()?.parse().ok()?;
    Some(std::net::Ipv4Addr::from(u32::from(network) + 1).to_string())
}

impl PodNetwork for MyNetwork {
    type Config = Config;

    const NAME: &'static str = env!("CARGO_PKG_NAME");
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn new(config: Config) -> Result<Self, String> {
        if config.mtu != 0 && config.mtu < 1280 {
            return Err(format!("mtu: {} is below 1280", config.mtu));
        }
        Ok(Self { config, local: None })
    }

    fn sync(&mut self, this_node: &str, nodes: &[Node]) -> Result<Outcome, Error> {
        let this = nodes.iter().find(|node| node.name == this_node);
        let cidr = this.and_then(|node| node.pod_cidrs.iter().find(|cidr| cidr.contains('.')));
        let cidr = cidr.ok_or_else(|| Error::NotReady(format!("node {this_node} has no pod CIDR yet")))?;
        let gateway = first_address(cidr).ok_or_else(|| Error::Other(format!("{cidr} is no pod CIDR")))?;
        let mtu = if self.config.mtu == 0 { net::find_uplink()?.mtu } else { self.config.mtu };
        if self.local.is_none() {
            info!("pods of {this_node} are routed from {cidr}");
        }
        self.local = Some(Local { range: ipam::Range { subnet: cidr.clone(), gateway }, mtu });
        self.routes()?;
        Ok(Outcome { annotations: Vec::new(), subnet_env: String::new() })
    }

    fn status(&self) -> Result<(), Error> {
        self.local().map(drop)
    }

    fn add(&mut self, sandbox: &Sandbox) -> Result<Attachment, Error> {
        let local = self.local()?;
        if let Some(port) = sandbox.ports.first() {
            return Err(Error::Invalid(format!("host port {} is not offered by this network", port.host_port)));
        }
        let address = ipam::allocate(NETWORK, &local.range, &sandbox.id)?;
        net::apply(&sandbox.id, &pod(local, sandbox, &address))?;
        self.routes()?;
        Ok(Attachment { addresses: vec![address] })
    }

    /// The address goes last: nobody may get it while the pod is still connected.
    fn del(&mut self, sandbox_id: &str) -> Result<(), Error> {
        net::remove(sandbox_id)?;
        self.routes()?;
        Ok(ipam::release(NETWORK, sandbox_id)?)
    }

    fn check(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let leases = ipam::leases(NETWORK)?;
        let lease = leases.iter().find(|lease| lease.owner == sandbox.id);
        let lease = lease.ok_or_else(|| Error::Other(format!("sandbox {} has no address", sandbox.id)))?;
        let differences = net::differences(&sandbox.id, &pod(self.local()?, sandbox, &lease.address))?;
        if differences.is_empty() { Ok(()) } else { Err(Error::Other(differences.join("; "))) }
    }

    fn gc(&mut self, valid_ids: &[String]) -> Result<(), Error> {
        collect_garbage(NETWORK, valid_ids)?;
        self.routes()
    }
}

export_cni!(MyNetwork);
