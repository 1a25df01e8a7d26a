//! A pod network to start from. It works on a cluster of one node: each pod has an address of its own
//! (/32) on a pair of interfaces, the node has a route to each pod, and a pod's default route leads to the
//! node's end of its pair.
//!
//! The functions of [`PodNetwork`] plan what should exist; the [`Host`] makes it so
//! (`k3s/wit/net/net.wit`). Everything has an owner: a sandbox, or the node.

use k3s_plugin_sdk::cni::net::{Link, LinkKind, NodeRoute, Plan, PodEnd, Route, Sysctl};
use k3s_plugin_sdk::cni::{
    Attachment, Error, Host, NODE_OWNER, Node, Outcome, PodNetwork, Sandbox, collect_garbage, ipam,
    link_name,
};
use k3s_plugin_sdk::serde::Deserialize;
use k3s_plugin_sdk::{Sentence, export_cni, info};

/// Name of the network among the node's leases.
const NETWORK: &str = env!("CARGO_PKG_NAME");

#[derive(Debug, Default, Deserialize)]
#[serde(crate = "k3s_plugin_sdk::serde", deny_unknown_fields)]
struct Config {
    /// The cluster's range, set by the server. This network needs only the node's own.
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
        self.local
            .as_ref()
            .ok_or_else(|| Error::NotReady("this node has no pod CIDR yet".to_owned()))
    }

    /// Gives the node a route to each connected pod.
    fn apply_routes(&self, host: &dyn Host) -> Result<(), Error> {
        let owners = host.owners()?;
        let leases = host.leases(NETWORK)?;
        let connected = leases.iter().filter(|lease| owners.contains(&lease.owner));
        let routes = connected.map(|lease| NodeRoute {
            link: link_name(&lease.owner),
            route: Route {
                destination: format!("{}/32", lease.address),
                gateway: None,
                on_link: false,
            },
        });
        let forward = Sysctl {
            key: "net.ipv4.ip_forward".to_owned(),
            value: "1".to_owned(),
        };
        let plan = Plan {
            routes: routes.collect(),
            sysctls: vec![forward],
            ..Plan::default()
        };
        host.apply(NODE_OWNER, &plan)?;
        Ok(())
    }
}

/// A pod's pair of interfaces.
fn pod_plan(local: &Local, sandbox: &Sandbox, address: &str) -> Plan {
    let gateway = &local.range.gateway;
    let on_link = Route {
        destination: format!("{gateway}/32"),
        gateway: None,
        on_link: false,
    };
    let default = Route {
        destination: "0.0.0.0/0".to_owned(),
        gateway: Some(gateway.clone()),
        on_link: true,
    };
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
    Plan {
        links: vec![link],
        ..Plan::default()
    }
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

    fn new(config: Config) -> Result<Self, Sentence> {
        if config.mtu != 0 && config.mtu < 1280 {
            return Err(format!("mtu: {} is below 1280", config.mtu).into());
        }
        Ok(Self {
            config,
            local: None,
        })
    }

    fn sync(&mut self, host: &dyn Host, this_node: &str, nodes: &[Node]) -> Result<Outcome, Error> {
        let this = nodes.iter().find(|node| node.name == this_node);
        let cidr = this.and_then(|node| node.pod_cidrs.iter().find(|cidr| cidr.contains('.')));
        let cidr =
            cidr.ok_or_else(|| Error::NotReady(format!("node {this_node} has no pod CIDR yet")))?;
        let gateway =
            first_address(cidr).ok_or_else(|| Error::Other(format!("{cidr} is not a pod CIDR")))?;
        let mtu = if self.config.mtu == 0 {
            host.find_uplink()?.mtu
        } else {
            self.config.mtu
        };
        if self.local.is_none() {
            info!("pods of {this_node} are routed from {cidr}");
        }
        self.local = Some(Local {
            range: ipam::Range {
                subnet: cidr.clone(),
                gateway,
            },
            mtu,
        });
        self.apply_routes(host)?;
        Ok(Outcome {
            annotations: Vec::new(),
            subnet_env: String::new(),
        })
    }

    fn status(&self) -> Result<(), Error> {
        self.local().map(drop)
    }

    fn add(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<Attachment, Error> {
        let local = self.local()?;
        if let Some(port) = sandbox.ports.first() {
            return Err(Error::Invalid(format!(
                "this network does not support host port {}",
                port.host_port
            )));
        }
        let address = host.allocate(NETWORK, &local.range, &sandbox.id)?;
        host.apply(&sandbox.id, &pod_plan(local, sandbox, &address))?;
        self.apply_routes(host)?;
        Ok(Attachment {
            addresses: vec![address],
        })
    }

    /// Releases the address last: it must not be given out while the pod is still connected.
    fn del(&mut self, host: &dyn Host, sandbox_id: &str) -> Result<(), Error> {
        host.remove(sandbox_id)?;
        self.apply_routes(host)?;
        Ok(host.release(NETWORK, sandbox_id)?)
    }

    fn check(&mut self, host: &dyn Host, sandbox: &Sandbox) -> Result<(), Error> {
        let leases = host.leases(NETWORK)?;
        let lease = leases.iter().find(|lease| lease.owner == sandbox.id);
        let lease =
            lease.ok_or_else(|| Error::Other(format!("sandbox {} has no address", sandbox.id)))?;
        let differences = host.differences(
            &sandbox.id,
            &pod_plan(self.local()?, sandbox, &lease.address),
        )?;
        if differences.is_empty() {
            Ok(())
        } else {
            Err(Error::Other(differences.join("; ")))
        }
    }

    fn gc(&mut self, host: &dyn Host, valid_ids: &[String]) -> Result<(), Error> {
        collect_garbage(host, NETWORK, valid_ids)?;
        self.apply_routes(host)
    }
}

export_cni!(MyNetwork);
