//! A node, its pods and a machine outside, each in a network namespace of its own, with real sockets.
//!
//! The test's thread is inside the node's namespace, and so is every thread of its runtime.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use k3s_base::{Clock, Random};
use k3s_client::fake::FakeApi;
use k3s_client::{EventRecorder, Informers, resources};
use k3s_lifecycle::Tasks;
use k3s_netproxy::{Forwards, Proxy, ProxyConfig};
use k3s_observe::Metrics;
use k3s_sys::net::conntrack::Conntrack;
use k3s_sys::net::{
    LinkChange, LinkKind, Net, NewLink, Route, RouteScope, ensure_forwarding, netns,
};
use k3s_sys::nft::Nftables;
use serde_json::{Value, json};

pub(crate) const NODE: &str = "node-1";
pub(crate) const OUTSIDE_OF_NODE: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// Nothing here waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A network namespace with one interface, gone when dropped.
pub(crate) struct Machine {
    path: PathBuf,
    pub(crate) address: Ipv4Addr,
    stop: Arc<AtomicBool>,
    servers: Vec<JoinHandle<()>>,
}

static MACHINES: AtomicU32 = AtomicU32::new(0);

impl Machine {
    /// Attaches a machine to the node: behind the bridge for a pod, by a link of its own otherwise.
    fn attach(address: Ipv4Addr, gateway: Ipv4Addr, bridge: Option<u32>) -> Self {
        let number = MACHINES.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("k3s-netproxy-{}-{number}", std::process::id()));
        // A run that was killed may have had the same process id.
        netns::delete(&path).unwrap();
        netns::create(&path).unwrap();
        let machine = Self {
            path,
            address,
            stop: Arc::default(),
            servers: Vec::new(),
        };
        let node = Net::current().unwrap();
        let file = File::open(&machine.path).unwrap();
        let kind = LinkKind::Veth {
            peer: "eth0",
            namespace: Some(file.as_fd()),
        };
        let name = format!("veth{number}");
        node.create_link(&NewLink {
            name: &name,
            kind,
            mtu: None,
            mac: None,
            controller: bridge,
            up: true,
        })
        .unwrap();
        let link = node.require_link(&name).unwrap();
        if bridge.is_some() {
            node.change_link(
                link.index,
                &LinkChange {
                    hairpin: Some(true),
                    ..Default::default()
                },
            )
            .unwrap();
        } else {
            node.add_address(link.index, format!("{gateway}/24").parse().unwrap())
                .unwrap();
        }
        let inside = Net::of_namespace(&machine.path).unwrap();
        inside.loopback_up().unwrap();
        let eth0 = inside.require_link("eth0").unwrap().index;
        inside
            .change_link(
                eth0,
                &LinkChange {
                    up: Some(true),
                    ..Default::default()
                },
            )
            .unwrap();
        inside
            .add_address(eth0, format!("{address}/24").parse().unwrap())
            .unwrap();
        inside.replace_route(&default_route(gateway, eth0)).unwrap();
        machine
    }

    /// Runs something on this machine.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        netns::run_in(&self.path, work).unwrap()
    }

    /// Answers every TCP connection and UDP packet with this machine's address and the caller's.
    pub(crate) fn serve(&mut self, port: u16) {
        let address = self.address;
        let (tcp, udp) = self.run(|| {
            (
                TcpListener::bind((address, port)).unwrap(),
                UdpSocket::bind((address, port)).unwrap(),
            )
        });
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let stop = self.stop.clone();
        self.servers.push(std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((mut stream, peer)) = tcp.accept() {
                    let _ = stream.write_all(format!("{address} {}", peer.ip()).as_bytes());
                }
                if let Ok((_, peer)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(format!("{address} {}", peer.ip()).as_bytes(), peer);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }));
    }

    /// Calls from this machine: who answered, and whom they saw.
    pub(crate) fn call(&self, to: (Ipv4Addr, u16)) -> std::io::Result<(Ipv4Addr, Ipv4Addr)> {
        self.run(|| call(to))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.servers
            .drain(..)
            .for_each(|server| server.join().unwrap());
        netns::delete(&self.path).unwrap();
    }
}

/// Calls from the node: who answered, and whom they saw.
pub(crate) fn call(to: (Ipv4Addr, u16)) -> std::io::Result<(Ipv4Addr, Ipv4Addr)> {
    let mut stream = TcpStream::connect_timeout(
        &SocketAddr::V4(SocketAddrV4::new(to.0, to.1)),
        Duration::from_millis(500),
    )?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(parse(&answer))
}

/// One UDP question from this socket.
pub(crate) fn ask(
    socket: &UdpSocket,
    to: (Ipv4Addr, u16),
) -> std::io::Result<(Ipv4Addr, Ipv4Addr)> {
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    socket.send_to(b"?", to)?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer)?;
    Ok(parse(std::str::from_utf8(&buffer[..length]).unwrap()))
}

fn parse(answer: &str) -> (Ipv4Addr, Ipv4Addr) {
    let (server, client) = answer.split_once(' ').unwrap();
    (server.parse().unwrap(), client.parse().unwrap())
}

fn default_route(gateway: Ipv4Addr, index: u32) -> Route {
    Route {
        destination: "0.0.0.0/0".parse().unwrap(),
        gateway: Some(gateway.into()),
        index,
        source: None,
        metric: None,
        scope: RouteScope::Universe,
        on_link: false,
        owned: false,
    }
}

/// The node with its proxy.
pub(crate) struct Lab {
    pub(crate) api: FakeApi,
    pub(crate) pods: Vec<Machine>,
    /// A machine on the node's other network, which is also its default gateway.
    pub(crate) outside: Machine,
    /// What the node is told to answer for.
    pub(crate) forwards: Forwards,
    tasks: Tasks,
}

impl Lab {
    /// A node with `pods` pods that serve port 8080. No proxy yet.
    pub(crate) fn new(pods: u8) -> Self {
        ensure_forwarding().unwrap();
        let node = Net::current().unwrap();
        let bridge = NewLink {
            name: "cni0",
            kind: LinkKind::Bridge,
            mtu: None,
            mac: None,
            controller: None,
            up: true,
        };
        node.create_link(&bridge).unwrap();
        let bridge = node.require_link("cni0").unwrap().index;
        let gateway = Ipv4Addr::new(10, 42, 0, 1);
        node.add_address(bridge, "10.42.0.1/24".parse().unwrap())
            .unwrap();
        let attach = |n| {
            let mut pod = Machine::attach([10, 42, 0, n + 2].into(), gateway, Some(bridge));
            pod.serve(8080);
            pod
        };
        let pods = (0..pods).map(attach).collect();
        let outside = Machine::attach([192, 168, 50, 2].into(), OUTSIDE_OF_NODE, None);
        let uplink = node
            .addresses()
            .unwrap()
            .into_iter()
            .find(|a| a.net.addr() == OUTSIDE_OF_NODE)
            .unwrap()
            .index;
        node.replace_route(&default_route(outside.address, uplink))
            .unwrap();
        Self {
            api: FakeApi::new(Clock::system()),
            pods,
            outside,
            forwards: Forwards::default(),
            tasks: Tasks::root("lab"),
        }
    }

    /// Starts a proxy and waits until it is ready.
    pub(crate) async fn start_proxy(&self) -> Tasks {
        let tasks = self.tasks.child("proxy");
        let client = self.api.client("system:kube-proxy");
        let events =
            EventRecorder::new(client.clone(), "kube-proxy", NODE, Clock::system(), &tasks);
        let informers = Informers::new(client, Clock::system(), Random::seeded(1), &tasks);
        let config = ProxyConfig {
            node_name: NODE.into(),
            pod_networks: vec!["10.42.0.0/16".parse().unwrap()],
            service_networks: vec!["10.43.0.0/16".parse().unwrap()],
            events,
            nft: Arc::new(Nftables::open().unwrap()),
            conntrack: Some(Conntrack::open().unwrap()),
            forwards: self.forwards.clone(),
            random: Random::seeded(1),
        };
        let proxy = Proxy::start(config, &informers, &Metrics::new(), &tasks).unwrap();
        tokio::time::timeout(PATIENCE, proxy.ready())
            .await
            .expect("the proxy never became ready");
        tasks
    }

    /// A Service on port 80, named `web`.
    pub(crate) fn service(&self, vip: Ipv4Addr, more: Value) {
        let mut spec = json!({"clusterIP": vip.to_string(), "clusterIPs": [vip.to_string()],
            "ports": [{"name": "tcp", "port": 80, "nodePort": 30080}, {"name": "udp", "port": 80, "protocol": "UDP", "nodePort": 30080}]});
        merge(&mut spec, more);
        let status = spec
            .as_object_mut()
            .unwrap()
            .remove("status")
            .unwrap_or_else(|| json!({}));
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": spec, "status": status});
        self.api.seed(&resources::SERVICES, object);
    }

    /// Its endpoints: pods by number.
    pub(crate) fn endpoints(&self, pods: &[usize]) {
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|n| json!({"addresses": [self.pods[*n].address.to_string()], "nodeName": NODE, "conditions": {"ready": true}}))
            .collect();
        self.slice(endpoints);
    }

    pub(crate) fn slice(&self, endpoints: Vec<Value>) {
        let object = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": endpoints,
            "ports": [{"name": "tcp", "port": 8080, "protocol": "TCP"}, {"name": "udp", "port": 8080, "protocol": "UDP"}]});
        self.api.seed(&resources::ENDPOINT_SLICES, object);
    }

    pub(crate) async fn stop(self) {
        assert!(self.tasks.stop(PATIENCE).await, "tasks were left");
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Runs a test inside a node's namespace.
pub(crate) fn on_a_node<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
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

/// Waits until the condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
