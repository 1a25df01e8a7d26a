//! Links, addresses, routes and neighbours against the kernel, each test in namespaces of its own.
//! Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;

use k3s_sys::net::{
    Address, Change, LinkChange, LinkKind, Mac, Neighbour, NeighbourTable, Net, NetError, NewLink,
    Observer, Route, RouteScope, Vxlan, netns, sysctl,
};

/// A named namespace that goes away with the test.
struct Namespace(PathBuf);

impl Namespace {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("k3s-sys-net-{}-{name}", std::process::id()));
        // A run that was killed may have had the same process id.
        netns::delete(&path).unwrap();
        netns::create(&path).unwrap();
        Self(path)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        netns::delete(&self.0).unwrap();
    }
}

fn link(name: &str, kind: LinkKind<'_>) -> Result<(), NetError> {
    Net::current()?.create_link(&NewLink {
        name,
        kind,
        mtu: Some(1450),
        mac: None,
        controller: None,
        up: true,
    })
}

#[test]
fn a_link_can_be_limited() {
    netns::run_in_new(|| {
        let net = Net::current().unwrap();
        link(
            "veth1",
            LinkKind::Veth {
                peer: "veth2",
                namespace: None,
            },
        )
        .unwrap();
        let index = net.require_link("veth1").unwrap().index;
        assert_eq!(net.rate_limit(index).unwrap(), None);
        // The last one does not fit into 32 bits.
        for rate in [125, 1_250_000, 12_500_000_000] {
            net.limit_rate(index, rate).unwrap();
            assert_eq!(net.rate_limit(index).unwrap(), Some(rate));
        }
        let other = net.require_link("veth2").unwrap().index;
        assert_eq!(net.rate_limit(other).unwrap(), None);
    })
    .unwrap();
}

#[test]
fn a_veth_pair_carries_packets_into_a_namespace() {
    let pod = Namespace::new("veth");
    let address: Ipv4Addr = [10, 9, 0, 2].into();
    netns::run_in_new(|| {
        let host = Net::current().unwrap();
        link("cni0", LinkKind::Bridge).unwrap();
        let bridge = host.require_link("cni0").unwrap();
        assert_eq!(
            (bridge.kind.as_deref(), bridge.mtu, bridge.up),
            (Some("bridge"), 1450, true)
        );
        host.add_address(bridge.index, "10.9.0.1/24".parse().unwrap())
            .unwrap();
        host.add_address(bridge.index, "10.9.0.1/24".parse().unwrap())
            .unwrap();

        let file = File::open(&pod.0).unwrap();
        let kind = LinkKind::Veth {
            peer: "eth0",
            namespace: Some(file.as_fd()),
        };
        let new = NewLink {
            name: "veth1",
            kind,
            mtu: Some(1400),
            mac: None,
            controller: Some(bridge.index),
            up: true,
        };
        host.create_link(&new).unwrap();
        assert!(host.create_link(&new).unwrap_err().is_exists());
        let veth = host.require_link("veth1").unwrap();
        let change = LinkChange {
            alias: Some("pod/1".into()),
            hairpin: Some(true),
            ..Default::default()
        };
        host.change_link(veth.index, &change).unwrap();
        let veth = host.require_link("veth1").unwrap();
        assert_eq!(
            (veth.alias.as_deref(), veth.controller),
            (Some("pod/1"), Some(bridge.index))
        );
        assert!(host.links().unwrap().contains(&veth));
        assert_eq!(
            host.link("eth0").unwrap(),
            None,
            "the peer is not seen here"
        );

        let inside = Net::of_namespace(&pod.0).unwrap();
        inside.loopback_up().unwrap();
        let eth0 = inside.require_link("eth0").unwrap();
        inside
            .change_link(
                eth0.index,
                &LinkChange {
                    up: Some(true),
                    ..Default::default()
                },
            )
            .unwrap();
        inside
            .add_address(eth0.index, "10.9.0.2/24".parse().unwrap())
            .unwrap();
        let default = Route {
            destination: "0.0.0.0/0".parse().unwrap(),
            gateway: Some([10, 9, 0, 1].into()),
            index: eth0.index,
            source: None,
            metric: None,
            scope: RouteScope::Universe,
            on_link: false,
            owned: true,
        };
        inside.replace_route(&default).unwrap();
        inside.replace_route(&default).unwrap();
        assert_eq!(
            inside
                .routes()
                .unwrap()
                .iter()
                .filter(|r| **r == default)
                .count(),
            1
        );

        let listener = netns::run_in(&pod.0, || TcpListener::bind((address, 80)).unwrap()).unwrap();
        TcpStream::connect((address, 80)).unwrap();
        listener.accept().unwrap();

        let facts = netns::run_in(&pod.0, || Net::current()?.default_route())
            .unwrap()
            .unwrap();
        assert_eq!(
            (facts.interface.as_str(), facts.mtu, facts.address),
            ("eth0", 1400, address)
        );
        assert!(matches!(
            host.default_route(),
            Err(NetError::NoDefaultRoute)
        ));

        assert!(inside.delete_route(&default).unwrap());
        assert!(!inside.delete_route(&default).unwrap());
        assert!(host.delete_link("veth1").unwrap());
        assert!(!host.delete_link("veth1").unwrap());
        assert_eq!(inside.link("eth0").unwrap(), None);
    })
    .unwrap();
}

#[test]
fn a_vxlan_device_has_routes_neighbours_and_forwarding_entries() {
    netns::run_in_new(|| {
        let net = Net::current().unwrap();
        link("cni0", LinkKind::Bridge).unwrap();
        let underlay = net.require_link("cni0").unwrap().index;
        net.add_address(underlay, "192.168.7.1/24".parse().unwrap())
            .unwrap();
        let vxlan = Vxlan {
            id: 1,
            port: 8472,
            local: Some([192, 168, 7, 1].into()),
            underlay: Some(underlay),
        };
        link("flannel.1", LinkKind::Vxlan(vxlan)).unwrap();
        let device = net.require_link("flannel.1").unwrap();
        assert_eq!(device.vxlan, Some(vxlan));
        net.add_address(device.index, "10.42.0.0/32".parse().unwrap())
            .unwrap();
        let address = Address {
            index: device.index,
            net: "10.42.0.0/32".parse().unwrap(),
            host_scope: false,
        };
        assert!(net.addresses().unwrap().contains(&address));

        let route = Route {
            destination: "10.42.1.0/24".parse().unwrap(),
            gateway: Some([10, 42, 1, 0].into()),
            index: device.index,
            source: None,
            metric: None,
            scope: RouteScope::Universe,
            on_link: true,
            owned: true,
        };
        net.replace_route(&route).unwrap();
        assert!(net.routes().unwrap().contains(&route));

        let mac: Mac = "02:42:0a:2a:01:00".parse().unwrap();
        for (table, address) in [
            (NeighbourTable::Arp, Ipv4Addr::new(10, 42, 1, 0)),
            (NeighbourTable::Forwarding, [192, 168, 7, 2].into()),
        ] {
            let entry = Neighbour {
                table,
                index: device.index,
                address: address.into(),
                mac,
            };
            net.replace_neighbour(&entry).unwrap();
            net.replace_neighbour(&entry).unwrap();
            assert_eq!(net.neighbours(table, device.index).unwrap(), [entry]);
            assert!(net.delete_neighbour(&entry).unwrap());
            assert!(!net.delete_neighbour(&entry).unwrap());
            assert_eq!(net.neighbours(table, device.index).unwrap(), []);
        }
    })
    .unwrap();
}

#[test]
fn a_namespace_can_be_made_once_and_removed_once() {
    let path = std::env::temp_dir().join(format!("k3s-sys-netns-{}", std::process::id()));
    netns::delete(&path).unwrap();
    netns::create(&path).unwrap();
    assert!(netns::create(&path).is_err());
    assert!(!netns::is_same(&path, "/proc/self/ns/net".as_ref()).unwrap());
    assert!(netns::delete(&path).unwrap());
    assert!(!netns::delete(&path).unwrap());
    assert!(Net::of_namespace(&path).unwrap_err().is_missing());
}

#[test]
fn a_new_namespace_of_a_test_has_the_kernel_s_settings_whatever_the_machine_s_are() {
    netns::run_in_new(|| {
        for key in [
            "net.ipv4.ip_forward",
            "net.ipv4.conf.all.route_localnet",
            "net.ipv4.conf.default.route_localnet",
            "net.ipv4.conf.lo.route_localnet",
            "net.ipv4.conf.default.rp_filter",
        ] {
            assert_eq!(sysctl::get(key).unwrap().as_deref(), Some("0"), "{key}");
        }
    })
    .unwrap();
}

#[test]
fn settings_belong_to_the_namespace() {
    netns::run_in_new(|| {
        assert!(sysctl::set("net.ipv4.ip_forward", "1").unwrap());
        assert!(!sysctl::set("net.ipv4.ip_forward", "1").unwrap());
        assert_eq!(
            sysctl::get("net.ipv4.ip_forward").unwrap().as_deref(),
            Some("1")
        );
        assert!(sysctl::set("net.ipv4.conf.lo.route_localnet", "1").unwrap());
        assert_eq!(
            sysctl::get("net.ipv4.conf.nosuch0.rp_filter").unwrap(),
            None
        );
        assert!(matches!(
            sysctl::set("net.ipv4.tcp_mem", "1"),
            Err(NetError::SysctlDenied(_))
        ));
    })
    .unwrap();
}

#[test]
fn changes_are_observed() {
    netns::run_in_new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut observer = Observer::open().unwrap();
            link("br7", LinkKind::Bridge).unwrap();
            wait_for(&mut observer, &Change::Link("br7".into())).await;
            Net::current().unwrap().delete_link("br7").unwrap();
            wait_for(&mut observer, &Change::LinkGone("br7".into())).await;
        });
    })
    .unwrap();
}

async fn wait_for(observer: &mut Observer, wanted: &Change) {
    let seen = async { while !observer.changed().await.unwrap().contains(wanted) {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), seen)
        .await
        .unwrap_or_else(|_| panic!("{wanted:?}"));
}

#[test]
fn a_node_has_another_address_once_it_has_lost_the_old_one() {
    netns::run_in_new(|| {
        let net = Net::current().unwrap();
        let kind = LinkKind::Veth {
            peer: "uplink",
            namespace: None,
        };
        link("eth0", kind).unwrap();
        let up = LinkChange {
            up: Some(true),
            ..Default::default()
        };
        let uplink = net.require_link("uplink").unwrap().index;
        net.change_link(uplink, &up).unwrap();
        let index = net.require_link("eth0").unwrap().index;
        let old: Ipv4Addr = [192, 0, 2, 10].into();
        let instead = || net.address_instead_of(old).unwrap();
        let take = |address: &str, gateway: [u8; 4]| {
            net.add_address(index, address.parse().unwrap()).unwrap();
            let default = Route {
                destination: "0.0.0.0/0".parse().unwrap(),
                gateway: Some(gateway.into()),
                index,
                source: None,
                metric: None,
                scope: RouteScope::Universe,
                on_link: false,
                owned: false,
            };
            net.replace_route(&default).unwrap();
        };
        take("192.0.2.10/24", [192, 0, 2, 1]);
        assert_eq!(instead(), None);
        // With the only address go the routes; the node waits for another one.
        let lost = "192.0.2.10/24".parse().unwrap();
        assert!(net.delete_address(index, lost).unwrap());
        assert_eq!(instead(), None);
        take("198.51.100.20/24", [198, 51, 100, 1]);
        assert_eq!(instead(), Some(Ipv4Addr::new(198, 51, 100, 20)));
        // It would keep the old one if it had both.
        net.add_address(index, lost).unwrap();
        assert_eq!(instead(), None);
    })
    .unwrap();
}
