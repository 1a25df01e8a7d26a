//! The bundled pod network on real namespaces: the component, its two capabilities and the kernel.
//! Needs root; every test lives in network namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod lab;

use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use k3s_adapters::bundled;
use k3s_adapters::cni::{CniNetwork, CniOptions, open_cni};
use k3s_base::error::chain;
use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_client::fake::FakeApi;
use k3s_client::{Informers, resources};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::{Host, HostOptions, Policy};
use k3s_podnetwork::{
    FollowNodes, Grants, Ipam, NetHost, Node, NodeSync, SyncError, cleanup, follow_nodes,
};
use k3s_runtime::PodNetwork;
use k3s_sys::net::{LinkKind, NeighbourTable, Net, NewLink};
use k3s_sys::nft::{Nft, Nftables};
use serde_json::json;

use lab::{
    Lab, NODE, NODE_IP, Namespace, OUTSIDE_IP, PATIENCE, call, eventually, in_namespace, node,
    serve_once, tcp, veths,
};

#[test]
fn pods_reach_each_other_the_node_and_the_world() {
    in_namespace(|| async {
        let lab = Lab::new();
        let network = lab.synced().await;
        network.check().await.unwrap();
        let (one, first) = lab.pod("s1", Vec::new());
        let (two, second) = lab.pod("s2", Vec::new());
        let a = network.add(&first).await.unwrap().0[0];
        let b = network.add(&second).await.unwrap().0[0];
        assert_eq!((a, b), ([10, 42, 0, 2].into(), [10, 42, 0, 3].into()));
        assert_eq!(network.add(&first).await.unwrap().0[0], a, "idempotent");

        let server = serve_once(&two, b);
        assert_eq!(one.run(|| call((b, 80))), a);
        server.join().unwrap();
        let server = serve_once(&one, a);
        assert_eq!(
            call((a, 80)),
            IpAddr::from([10, 42, 0, 1]),
            "the node calls from the bridge"
        );
        server.join().unwrap();
        let server = serve_once(&lab.outside, OUTSIDE_IP.into());
        assert_eq!(
            one.run(|| call((OUTSIDE_IP, 80))),
            IpAddr::from(NODE_IP),
            "hidden behind the node"
        );
        server.join().unwrap();

        network.del(&first).await.unwrap();
        network.del(&first).await.unwrap();
        assert_eq!(veths().len(), 1);
        assert!(
            one.run(|| Net::current().unwrap().link("eth0").unwrap())
                .is_none()
        );
        // Its namespace went first.
        drop(two);
        network.del(&second).await.unwrap();
        assert!(veths().is_empty());
        assert_eq!(
            std::fs::read_dir(lab.folder.path().join("leases/cbr0"))
                .unwrap()
                .count(),
            1,
            "only the last address"
        );
    });
}

#[test]
fn host_ports_answer_everywhere_and_leave_no_rule() {
    in_namespace(|| async {
        let lab = Lab::new();
        let network = lab.synced().await;
        let (pod, sandbox) = lab.pod(
            "s1",
            vec![tcp(8080, None), tcp(8081, Some(Ipv4Addr::LOCALHOST.into()))],
        );
        let address = network.add(&sandbox).await.unwrap().0[0];
        let answers = |from: Option<&Namespace>, to: (Ipv4Addr, u16)| {
            let server = serve_once(&pod, address);
            let seen = from.map_or_else(|| call(to), |n| n.run(|| call(to)));
            server.join().unwrap();
            seen
        };
        assert_eq!(
            answers(Some(&lab.outside), (NODE_IP, 8080)),
            IpAddr::from(OUTSIDE_IP),
            "callers are seen"
        );
        answers(None, (NODE_IP, 8080));
        answers(None, (Ipv4Addr::LOCALHOST, 8080));
        answers(None, (Ipv4Addr::LOCALHOST, 8081));
        answers(Some(&pod), (NODE_IP, 8080));
        assert!(
            lab.outside
                .run(|| TcpStream::connect_timeout(
                    &(NODE_IP, 8081).into(),
                    Duration::from_millis(300)
                ))
                .is_err()
        );

        let (_other, taken) = lab.pod("s2", vec![tcp(8080, None)]);
        let error = network.add(&taken).await.unwrap_err();
        assert!(
            error.message.contains("taken") && !error.retryable,
            "{error:?}"
        );
        network.del(&taken).await.unwrap();

        network.del(&sandbox).await.unwrap();
        let nft = Nftables::open().unwrap();
        for (table, _) in nft.tables().unwrap() {
            for set in nft.sets(&table).unwrap() {
                assert_eq!(nft.elements(&table, &set).unwrap(), [], "{table} {set}");
            }
        }
    });
}

#[test]
fn a_restart_changes_nothing_and_frees_what_is_forgotten() {
    in_namespace(|| async {
        let lab = Lab::new();
        let network = lab.synced().await;
        let (one, first) = lab.pod("s1", vec![tcp(8080, None)]);
        let (_two, second) = lab.pod("s2", vec![tcp(8082, None)]);
        let address = network.add(&first).await.unwrap().0[0];
        network.add(&second).await.unwrap();
        drop(network);
        let before = Net::current().unwrap().links().unwrap();

        let network = lab.network("");
        assert!(
            network.check().await.unwrap_err().retryable,
            "not before it knows its nodes"
        );
        assert!(network.add(&first).await.unwrap_err().retryable);
        network.gc(&["s1".into()]).await.unwrap();
        network
            .sync(NODE, vec![node(NODE, "10.42.0.0/24")])
            .await
            .unwrap();
        network.check().await.unwrap();
        let after = Net::current().unwrap().links().unwrap();
        let gone: Vec<_> = before
            .iter()
            .filter(|l| !after.iter().any(|k| k.index == l.index))
            .collect();
        assert_eq!(gone.len(), 1, "only the forgotten pod's pair: {gone:?}");
        assert_eq!(after.len() + 1, before.len(), "and nothing new");
        let server = serve_once(&one, address);
        call((Ipv4Addr::LOCALHOST, 8080));
        server.join().unwrap();
        assert_eq!(network.add(&first).await.unwrap().0[0], address);
    });
}

#[test]
fn other_nodes_get_routes_and_lose_them() {
    in_namespace(|| async {
        let lab = Lab::new();
        let network = lab.network("");
        let mut other = node("node-2", "10.42.1.0/24");
        other.annotations = vec![
            (
                "flannel.alpha.coreos.com/backend-type".into(),
                "vxlan".into(),
            ),
            (
                "flannel.alpha.coreos.com/backend-data".into(),
                r#"{"VNI":1,"VtepMAC":"02:00:00:00:00:02"}"#.into(),
            ),
            (
                "flannel.alpha.coreos.com/public-ip".into(),
                OUTSIDE_IP.to_string(),
            ),
        ];
        network
            .sync(NODE, vec![node(NODE, "10.42.0.0/24"), other])
            .await
            .unwrap();
        let net = Net::current().unwrap();
        let tunnel = net.require_link("flannel.1").unwrap();
        assert_eq!(
            (tunnel.mtu, tunnel.mac.unwrap().to_string().as_str()),
            (1450, "02:42:0a:2a:00:00")
        );
        let routes = || {
            net.routes()
                .unwrap()
                .into_iter()
                .filter(|r| r.owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(routes()[0].destination, "10.42.1.0/24".parse().unwrap());
        for table in [NeighbourTable::Arp, NeighbourTable::Forwarding] {
            assert_eq!(
                net.neighbours(table, tunnel.index).unwrap().len(),
                1,
                "{table:?}"
            );
        }
        network
            .sync(NODE, vec![node(NODE, "10.42.0.0/24")])
            .await
            .unwrap();
        assert!(routes().is_empty());
        for table in [NeighbourTable::Arp, NeighbourTable::Forwarding] {
            assert!(
                net.neighbours(table, tunnel.index).unwrap().is_empty(),
                "{table:?}"
            );
        }
        assert_eq!(net.require_link("flannel.1").unwrap().index, tunnel.index);

        cleanup(&net, &Nftables::open().unwrap()).unwrap();
        cleanup(&net, &Nftables::open().unwrap()).unwrap();
        assert!(net.link("cni0").unwrap().is_none() && net.link("flannel.1").unwrap().is_none());
        assert!(Nftables::open().unwrap().tables().unwrap().is_empty());
    });
}

#[test]
fn a_bad_configuration_or_a_foreign_link_says_so() {
    in_namespace(|| async {
        let lab = Lab::new();
        let network = lab.network(r#"{"backend":"carrier-pigeon"}"#);
        let Err(error @ SyncError::Unavailable(_)) =
            network.sync(NODE, vec![node(NODE, "10.42.0.0/24")]).await
        else {
            panic!("it was taken")
        };
        let why = chain(&error);
        assert!(why.contains("carrier-pigeon"), "{why}");

        let net = Net::current().unwrap();
        let kind = LinkKind::Veth {
            peer: "cni1",
            namespace: None,
        };
        net.create_link(&NewLink {
            name: "cni0",
            kind,
            mtu: None,
            mac: None,
            controller: None,
            up: true,
        })
        .unwrap();
        let Err(SyncError::Failed(why)) = lab
            .network("")
            .sync(NODE, vec![node(NODE, "10.42.0.0/24")])
            .await
        else {
            panic!("it was overwritten")
        };
        assert!(why.contains("cni0"), "{why}");
    });
}

#[test]
fn nodes_are_followed_and_damage_is_repaired() {
    in_namespace(|| async {
        let lab = Lab::new();
        let api = FakeApi::new(Clock::system());
        let tasks = Tasks::root("lab");
        let client = api.client("system:node:node-1");
        let informers = Informers::new(client.clone(), Clock::system(), Random::seeded(1), &tasks);
        let network = Arc::new(lab.network(""));
        let run_dir = lab.folder.path().join("run");
        let follow = FollowNodes {
            network: network.clone(),
            client,
            informers,
            node_name: NODE.into(),
            run_dir: run_dir.clone(),
            random: Random::seeded(1),
        };
        follow_nodes(follow, &tasks);
        let seed = |spec| {
            api.seed(
                &resources::NODES,
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}, "spec": spec,
                    "status": {"addresses": [{"type": "InternalIP", "address": NODE_IP.to_string()}]}}),
            );
        };
        seed(json!({}));
        seed(json!({"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"]}));
        let annotated = |api: &FakeApi| {
            let node = api.get(&resources::NODES, "", NODE).unwrap();
            node["metadata"]["annotations"]["flannel.alpha.coreos.com/public-ip"]
                == NODE_IP.to_string()
        };
        assert!(
            api.eventually(annotated).await,
            "the node was never annotated"
        );
        network.check().await.unwrap();
        assert!(
            std::fs::read_to_string(run_dir.join("subnet.env"))
                .unwrap()
                .contains("FLANNEL_SUBNET=10.42.0.1/24")
        );

        Net::current().unwrap().delete_link("cni0").unwrap();
        let bridge = || Net::current().unwrap().link("cni0").unwrap().is_some();
        eventually("the bridge is back", bridge).await;
        assert!(
            api.settles(Duration::from_millis(200)).await,
            "it writes all the time"
        );
        assert!(tasks.stop(PATIENCE).await);
    });
}

/// The other machine as a second node: a runtime whose threads are all inside of it.
struct SecondNode<'a> {
    lab: &'a Lab,
    /// None once it is being dropped.
    runtime: Option<tokio::runtime::Runtime>,
    network: CniNetwork,
}

impl Drop for SecondNode<'_> {
    fn drop(&mut self) {
        // Waiting for it is not allowed inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl<'a> SecondNode<'a> {
    fn new(lab: &'a Lab, config: &str) -> Self {
        let start = || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let mut grants = Grants::for_networks(vec!["10.42.0.0/16".parse().unwrap()]);
            grants.node_address = Some(OUTSIDE_IP);
            let options = CniOptions {
                config: config.as_bytes().to_vec(),
                ipam: Ipam::new(lab.folder.path().join("second-leases")),
                net: Arc::new(NetHost::new(
                    Net::current().unwrap(),
                    Arc::new(Nftables::open().unwrap()),
                    grants,
                )),
                environment: Environment {
                    policy: Policy::default(),
                    clock: Clock::system(),
                    random: Random::seeded(2),
                },
            };
            let host = Host::new(HostOptions::default()).unwrap();
            let flannel = bundled::find("cni", "flannel").unwrap();
            (
                Some(runtime),
                open_cni(&host, flannel.source(), options).unwrap(),
            )
        };
        let (runtime, network) = lab.outside.run(start);
        Self {
            lab,
            runtime,
            network,
        }
    }

    fn run<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        let runtime = self.runtime.as_ref().expect("a running node");
        self.lab.outside.run(|| runtime.block_on(work))
    }
}

#[test]
fn pods_of_two_nodes_reach_each_other_and_nothing_stays_behind() {
    for config in [
        r#"{"backend":"vxlan"}"#,
        r#"{"backend":"host-gw","mtu":1400,"gateway":"last"}"#,
    ] {
        in_namespace(|| two_nodes(config));
    }
}

async fn two_nodes(config: &str) {
    let lab = Lab::new();
    let first = lab.network(config);
    let second = SecondNode::new(&lab, config);
    let mut one = node(NODE, "10.42.0.0/24");
    let mut two = Node {
        internal_ips: vec![OUTSIDE_IP.to_string()],
        ..node("node-2", "10.42.1.0/24")
    };
    // Each says by annotations how the others reach it, and hears of the others.
    one.annotations = first
        .sync(NODE, vec![one.clone()])
        .await
        .unwrap()
        .annotations;
    two.annotations = second
        .run(second.network.sync("node-2", vec![two.clone()]))
        .unwrap()
        .annotations;
    let nodes = vec![one, two];
    first.sync(NODE, nodes.clone()).await.unwrap();
    second.run(second.network.sync("node-2", nodes)).unwrap();

    let (here, here_sandbox) = lab.pod("s1", Vec::new());
    let (there, there_sandbox) = lab.pod("s2", Vec::new());
    let a = first.add(&here_sandbox).await.unwrap().0[0];
    let b = second.run(second.network.add(&there_sandbox)).unwrap().0[0];
    let server = serve_once(&there, b);
    assert_eq!(
        here.run(|| call((b, 80))),
        a,
        "{config}: the caller is seen as itself"
    );
    server.join().unwrap();
    let server = serve_once(&here, a);
    assert_eq!(
        there.run(|| call((a, 80))),
        b,
        "{config}: and the other way"
    );
    server.join().unwrap();

    let mtu = here.run(|| Net::current().unwrap().require_link("eth0").unwrap().mtu);
    let bridge = Net::current().unwrap().addresses().unwrap();
    let gateway = if config.contains("last") {
        "10.42.0.254/24"
    } else {
        "10.42.0.1/24"
    };
    assert_eq!(
        mtu,
        if config.contains("1400") { 1400 } else { 1450 },
        "{config}"
    );
    assert!(
        bridge
            .iter()
            .any(|address| address.net == gateway.parse().unwrap()),
        "{config}"
    );

    first.del(&here_sandbox).await.unwrap();
    second.run(second.network.del(&there_sandbox)).unwrap();
    let clean = || {
        let (net, nft) = (Net::current().unwrap(), Nftables::open().unwrap());
        cleanup(&net, &nft).unwrap();
        let links = net.links().unwrap();
        assert!(
            !links.iter().any(|l| ["cni", "flannel", "veth"]
                .iter()
                .any(|p| l.name.starts_with(p))),
            "{links:?}"
        );
        assert!(!net.routes().unwrap().iter().any(|r| r.owned));
        assert!(nft.tables().unwrap().is_empty());
    };
    clean();
    lab.outside.run(clean);
}

#[test]
fn bandwidth_is_limited_by_annotations() {
    in_namespace(|| async {
        let lab = Lab::new();
        let network = lab.synced().await;
        let (pod, mut sandbox) = lab.pod("s1", Vec::new());
        sandbox
            .annotations
            .insert("kubernetes.io/ingress-bandwidth".into(), "fast".into());
        let error = network.add(&sandbox).await.unwrap_err();
        assert!(
            error.message.contains("kubernetes.io/ingress-bandwidth") && !error.retryable,
            "{error}"
        );

        sandbox
            .annotations
            .insert("kubernetes.io/ingress-bandwidth".into(), "8M".into());
        sandbox
            .annotations
            .insert("kubernetes.io/egress-bandwidth".into(), "80M".into());
        let address = network.add(&sandbox).await.unwrap().0[0];
        let limit = |link: &str| {
            let net = Net::current().unwrap();
            net.rate_limit(net.require_link(link).unwrap().index)
                .unwrap()
        };
        assert_eq!(limit(&veths()[0].name), Some(1_000_000), "what it receives");
        assert_eq!(pod.run(|| limit("eth0")), Some(10_000_000), "what it sends");
        let server = serve_once(&pod, address);
        call((address, 80));
        server.join().unwrap();
        network.del(&sandbox).await.unwrap();
        assert!(veths().is_empty());
    });
}
