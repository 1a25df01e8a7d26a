//! A node in a network namespace, with an uplink to a machine outside.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k3s_adapters::bundled;
use k3s_adapters::cni::{CniNetwork, CniOptions, open_cni};
use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_plugin_host::{Host, HostOptions, Policy};
use k3s_podnetwork::{Grants, Ipam, NetHost, Node, NodeSync};
use k3s_runtime::{PortMapping, Protocol, SandboxNetwork};
use k3s_sys::net::{Link, LinkChange, LinkKind, Net, NewLink, Route, RouteScope, netns};
use k3s_sys::nft::{Nft, Nftables};

pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const NODE: &str = "node-1";
pub(super) const NODE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 60, 1);
pub(super) const OUTSIDE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 60, 2);

/// A named namespace, gone when dropped.
pub(super) struct Namespace(pub(super) PathBuf);

impl Namespace {
    pub(super) fn new(folder: &tempfile::TempDir, name: &str) -> Self {
        let path = folder.path().join(name);
        netns::create(&path).unwrap();
        Self(path)
    }

    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        netns::run_in(&self.0, work).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        netns::delete(&self.0).unwrap();
    }
}

/// A node with an uplink to a machine outside.
pub(super) struct Lab {
    pub(super) folder: tempfile::TempDir,
    pub(super) outside: Namespace,
}

impl Lab {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outside = Namespace::new(&folder, "outside");
        let node = Net::current().unwrap();
        let other = Net::of_namespace(&outside.0).unwrap();
        let file = other.namespace().unwrap();
        let kind = LinkKind::Veth {
            peer: "eth0",
            namespace: Some(std::os::fd::AsFd::as_fd(&file)),
        };
        node.create_link(&NewLink {
            name: "uplink",
            kind,
            mtu: Some(1500),
            mac: None,
            controller: None,
            up: true,
        })
        .unwrap();
        for (net, link, address, gateway) in [
            (&node, "uplink", NODE_IP, OUTSIDE_IP),
            (&other, "eth0", OUTSIDE_IP, NODE_IP),
        ] {
            let index = net.require_link(link).unwrap().index;
            net.change_link(
                index,
                &LinkChange {
                    up: Some(true),
                    ..Default::default()
                },
            )
            .unwrap();
            net.add_address(index, format!("{address}/24").parse().unwrap())
                .unwrap();
            let everywhere = if link == "uplink" {
                "0.0.0.0/0"
            } else {
                "10.43.0.0/16"
            };
            let route = Route {
                destination: everywhere.parse().unwrap(),
                gateway: Some(gateway.into()),
                index,
                source: None,
                metric: None,
                scope: RouteScope::Universe,
                on_link: false,
                owned: false,
            };
            net.replace_route(&route).unwrap();
        }
        Self { folder, outside }
    }

    pub(super) fn network(&self, config: &str) -> CniNetwork {
        let host = Host::new(HostOptions::default()).unwrap();
        let nft: Arc<dyn Nft> = Arc::new(Nftables::open().unwrap());
        let grants = Grants::for_networks(vec!["10.42.0.0/16".parse().unwrap()]);
        let options = CniOptions {
            config: config.as_bytes().to_vec(),
            ipam: Ipam::new(self.folder.path().join("leases")),
            net: Arc::new(NetHost::new(Net::current().unwrap(), nft, grants)),
            environment: Environment {
                policy: Policy::default(),
                clock: Clock::system(),
                random: Random::seeded(1),
            },
        };
        let flannel = bundled::find("cni", "flannel").unwrap();
        open_cni(&host, flannel.source(), options).unwrap()
    }

    pub(super) async fn synced(&self) -> CniNetwork {
        let network = self.network("");
        network
            .sync(NODE, vec![node(NODE, "10.42.0.0/24")])
            .await
            .unwrap();
        network
    }

    pub(super) fn pod(&self, id: &str, ports: Vec<PortMapping>) -> (Namespace, SandboxNetwork) {
        let namespace = Namespace::new(&self.folder, id);
        let sandbox = SandboxNetwork {
            id: id.into(),
            netns_path: namespace.0.clone(),
            namespace: "default".into(),
            name: id.into(),
            uid: "u".into(),
            port_mappings: ports,
            annotations: BTreeMap::new(),
        };
        (namespace, sandbox)
    }
}

pub(super) fn node(name: &str, cidr: &str) -> Node {
    Node {
        name: name.into(),
        internal_ips: vec![NODE_IP.to_string()],
        pod_cidrs: vec![cidr.into()],
        annotations: Vec::new(),
    }
}

pub(super) fn tcp(host_port: u16, host_ip: Option<IpAddr>) -> PortMapping {
    PortMapping {
        protocol: Protocol::Tcp,
        container_port: 80,
        host_port,
        host_ip,
    }
}

/// Answers one connection with the caller's address, in a thread inside the namespace.
pub(super) fn serve_once(namespace: &Namespace, address: IpAddr) -> std::thread::JoinHandle<()> {
    let listener = namespace.run(|| TcpListener::bind((address, 80)).unwrap());
    std::thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
    })
}

/// Calls, and returns whom the server saw.
pub(super) fn call(to: impl Into<SocketAddr>) -> IpAddr {
    let mut stream = TcpStream::connect_timeout(&to.into(), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = String::new();
    stream.read_to_string(&mut seen).unwrap();
    seen.parse().unwrap()
}

pub(super) fn veths() -> Vec<Link> {
    Net::current()
        .unwrap()
        .links()
        .unwrap()
        .into_iter()
        .filter(|l| l.name.starts_with("veth"))
        .collect()
}

pub(super) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    netns::run_in_new(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    })
    .unwrap();
}

pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
